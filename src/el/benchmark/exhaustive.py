"""`python -m el.benchmark.exhaustive`: the speed of scoring all names, compared with a matrix product.

The q-nets and the names are random, because their values do not influence the time.
"""

import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from el.base.cli import command_parser
from el.evaluation.exhaustive import QUERY_BATCH, names_on
from el.index.vectors import NameVectors
from el.models.base import supports_bf16
from el.models.qnet import QNetConfig, QNets

_DESCRIPTION = """\
Scores random names with random q-nets, as an exhaustive search does. Uses the GPU if there is one. Prints
JSON:

  device          the name of the GPU, or cpu
  flops           floating point operations per second; each q-net and name counts as 2 (N D^2 + D) operations
  matmul_flops    the same for one large product of square matrices in the same precision
  times_as_long   the time of scoring, divided by the time of a matrix product with as many operations
"""

# The number of rows of the square matrices, on a GPU and on a CPU. Smaller matrices do not reach the full
# speed of the machine; larger ones take longer.
_SIDE, _SMALL_SIDE = 8192, 1024
# The number of best names that are kept per q-net, as in an evaluation.
_BEST = 256


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = command_parser(_DESCRIPTION, "python -m el.benchmark.exhaustive", "")
    parser.add_argument(
        "--names", type=int, default=784_000, help="number of names (default: %(default)s, as in MeSH)"
    )
    parser.add_argument("--width", type=int, default=384, help="D, width of vectors (default: %(default)s)")
    parser.add_argument(
        "--depth", type=int, default=2, help="N, number of hidden layers (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps(exhaustive_speed(device, options.names, options.width, options.depth)))


def exhaustive_speed(device: torch.device, names: int, width: int, depth: int) -> dict[str, float | str]:
    """Times one pass of `QUERY_BATCH` q-nets over random names. Returns the figures that --help describes.

    Args:
        device: where to score.
        names: the number of names.
        width: D, the width of the vectors.
        depth: N, the number of hidden layers of the q-nets.

    Raises:
        ElError: the GPU's memory is too small.
    """
    numbers = np.random.default_rng(0).standard_normal((names, width), dtype=np.float32)
    every = names_on(device, NameVectors(numbers.astype(np.float16), {}))
    qnets = _random_qnets(QNetConfig((width,) * (depth + 1) + (1,))).to(device)
    flop = 2 * (depth * width**2 + width) * QUERY_BATCH * names
    flops = flop / _seconds(lambda: every.best(qnets, _BEST), device)
    side = _SIDE if device.type == "cuda" else _SMALL_SIDE
    precision = torch.bfloat16 if supports_bf16(device) else torch.float32
    square = torch.randn(side, side, device=device, dtype=precision)
    most = 2 * side**3 / _seconds(lambda: square @ square, device)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "flops": flops,
        "matmul_flops": most,
        "times_as_long": round(most / flops, 2),
    }


def _random_qnets(config: QNetConfig) -> QNets:
    weights = [torch.randn(QUERY_BATCH, *shape) / shape[0] ** 0.5 for shape in config.weight_shapes]
    return QNets(weights, [torch.zeros(QUERY_BATCH, out) for _, out in config.weight_shapes[:-1]], config)


def _seconds(run: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    """Returns the shortest time of several calls, in seconds. The first call, which compiles, is left out."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


if __name__ == "__main__":
    from el.base.cli import run_command

    run_command(main)
