"""`python -m el.benchmark.exhaustive`: how near scoring all names comes to what the machine multiplies.

Of random q-nets and names, for nothing else counts here.
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
Scores random names with random q-nets, as an exhaustive search does, on the GPU where there is one. Prints as
JSON:

  device          the card, or cpu
  flops           floating point operations a second, of 2 (N D^2 + D) for each q-net and name
  matmul_flops    the same of one large product of square matrices in the same precision
  times_as_long   how many times as long it takes as such a product with as many operations would
"""

# Of a large product, on a GPU and on a CPU.
_SIDE, _SMALL_SIDE = 8192, 1024
_BEST = 256


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = command_parser(_DESCRIPTION, "python -m el.benchmark.exhaustive", "")
    parser.add_argument("--names", type=int, default=784_000, help="(default: %(default)s, as MeSH has)")
    parser.add_argument("--width", type=int, default=384, help="D (default: %(default)s)")
    parser.add_argument("--depth", type=int, default=2, help="N, hidden layers (default: %(default)s)")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps(exhaustive_speed(device, options.names, options.width, options.depth)))


def exhaustive_speed(device: torch.device, names: int, width: int, depth: int) -> dict[str, float | str]:
    """Times one pass of `QUERY_BATCH` q-nets over so many names; returns what --help describes.

    Raises:
        ElError: a GPU's memory is too small.
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
    """The least that a call takes, once what is compiled is compiled."""
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
