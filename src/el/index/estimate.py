"""About how long a machine takes to encode names, from a measurement of a fraction of a second."""

import time

import numpy as np
import openvino

from el.base.instructions import is_limited

# The share of a matrix product's speed that encoding reaches. Measured: .97 in float32, .72 in bf16.
_EFFICIENCY = 0.9
# How many times as fast a machine multiplies in bf16 where it can. Measured with AVX-512 and bf16: 1.8.
_BF16 = 1.8
# The shape of the products that are measured: (tokens of a batch, width) by (width, inner width).
_SHAPE = (2048, 384, 1536)
_SECONDS = 0.2
# The operations for all of MeSH with the trained parts that ship: 8.77 million tokens, each 21.2 million.
MESH_OPERATIONS = 1.86e14


def encoding_minutes(operations: float) -> float:
    """Returns about how many minutes it takes to encode names on this machine.

    Args:
        operations: the floating-point operations of the tower, for all tokens of all names.
    """
    tokens, width, inner = _SHAPE
    generator = np.random.default_rng(0)
    left, right = (
        generator.normal(size=size).astype(np.float32) for size in ((tokens, width), (width, inner))
    )
    left @ right
    begun, products = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < _SECONDS:
        left @ right
        products += 1
    speed = 2 * tokens * width * inner * products / spent * _EFFICIENCY
    if not is_limited() and "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        speed *= _BF16
    return operations / speed / 60
