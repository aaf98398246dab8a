"""Networks that OpenVINO compiles for the CPU that they run on, and the tokenizers beside them, opened.

PyTorch is not needed here.
"""

from pathlib import Path
from typing import Any

import openvino
from tokenizers import Tokenizer

from el.errors import InputError
from el.files import sampled_sha256

_AGAIN = "Make the linker again"


def check_file(path: Path, expected: str) -> None:
    """Raises InputError where a file has not the checksum (`el.files.sampled_sha256`) that it should have."""
    if not path.is_file() or sampled_sha256(path) != expected:
        raise InputError(path, "", "missing, truncated or altered", _AGAIN)


def open_compiled(path: Path, threads: int = 0) -> Any:
    """Opens a network that `el.search.saving` wrote, as OpenVINO's inference request.

    Args:
        path: the network's file.
        threads: that it runs in, on any processors; 0 for all.

    Raises:
        InputError: it is broken.
    """
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", options)
    except RuntimeError as error:
        raise InputError(path, "", f"broken ({_first_line(error)})", _AGAIN) from error
    return compiled.create_infer_request()


def open_tokenizer(path: Path) -> Tokenizer:
    """Opens a tokenizer's file. It neither cuts nor pads.

    Raises:
        InputError: it is missing or broken.
    """
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    # What the library raises for a broken file is a bare Exception.
    except Exception as error:
        raise InputError(path, "", f"broken ({_first_line(error)})", _AGAIN) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
