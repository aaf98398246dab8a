"""Networks that OpenVINO compiles for the CPU that they run on, and the tokenizers beside them, opened.

PyTorch is not needed here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openvino
from tokenizers import Tokenizer

from el.base.errors import InputError
from el.base.files import sampled_sha256

_AGAIN = "Make the linker again"


def check_file(path: Path, expected: str) -> None:
    """Raises InputError where a file does not have the expected checksum (`sampled_sha256`)."""
    if not path.is_file() or sampled_sha256(path) != expected:
        raise InputError(path, "", "missing, truncated or altered", _AGAIN)


def read_network(path: Path) -> openvino.Model:
    """Reads a network that `el.runtime.openvino` wrote.

    Raises:
        InputError: it is broken.
    """
    try:
        return openvino.Core().read_model(str(path))
    except RuntimeError as error:
        raise InputError(path, "", f"broken ({_first_line(error)})", _AGAIN) from error


def chained(first: openvino.Model, second: openvino.Model) -> openvino.Model:
    """One network of two: the inputs of the second but its first one are the outputs of the first, in order.

    Its inputs are the first's, then the one that is left of the second.
    """
    first, second = first.clone(), second.clone()
    for output, parameter in zip(first.outputs, second.get_parameters()[1:], strict=True):
        parameter.output(0).replace(output.get_node().input_value(0))
    return openvino.Model(second.get_results(), [*first.get_parameters(), second.get_parameters()[0]])


def compiled(network: openvino.Model, shapes: Sequence[Sequence[int]] | None = None, threads: int = 0) -> Any:
    """Compiles a network: OpenVINO's inference request.

    Args:
        network: stays as it is.
        shapes: of its inputs, where they are always the same: that saves what shapes take to work out.
        threads: that it runs in, on any processors; 0 for all.
    """
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    if shapes is not None:
        network = network.clone()
        network.reshape({number: openvino.PartialShape(list(shape)) for number, shape in enumerate(shapes)})
    return openvino.Core().compile_model(network, "CPU", options).create_infer_request()


def open_compiled(path: Path) -> Any:
    """Opens a network that `el.runtime.openvino` wrote, as OpenVINO's inference request.

    Raises:
        InputError: it is broken.
    """
    return compiled(read_network(path))


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
