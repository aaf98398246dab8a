"""Whether the user limits the instructions of the processor."""

import os


def is_limited() -> bool:
    """Whether PyTorch's variable ATEN_CPU_CAPABILITY switches AVX-512 and bf16 off.

    Everything that computes respects it, so that one variable shows how a plain processor runs the program.
    """
    return os.environ.get("ATEN_CPU_CAPABILITY") in ("avx2", "default")
