"""Opens networks with OpenVINO, which compiles them for the CPU at hand, and tokenizers.

It is apart from `el.runtime.openvino`, which writes networks, because opening needs no PyTorch.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy.typing as npt
import openvino
from tokenizers import Tokenizer

from el.base.errors import InputError, first_line
from el.base.instructions import is_limited

_Made = TypeVar("_Made")

AGAIN = "Make the linker again"


def read_network(path: Path) -> openvino.Model:
    """Reads a network that `el.runtime.openvino` wrote.

    Raises:
        InputError: the file is missing or broken.
    """
    try:
        return openvino.Core().read_model(str(path))
    except RuntimeError as error:
        raise InputError(path, "", f"broken ({first_line(error)})", AGAIN) from error


def chained(first: openvino.Model, second: openvino.Model) -> openvino.Model:
    """Joins two networks into one.

    The outputs of the first network become the inputs of the second one, in order, from its second input on.
    The inputs of the result are those of the first network, then the first input of the second.
    """
    first, second = first.clone(), second.clone()
    for output, parameter in zip(first.outputs, second.get_parameters()[1:], strict=True):
        parameter.output(0).replace(output.get_node().input_value(0))
    return openvino.Model(second.get_results(), [*first.get_parameters(), second.get_parameters()[0]])


def compiled(network: openvino.Model, shapes: Sequence[Sequence[int]] | None = None, threads: int = 0) -> Any:
    """Compiles a network and returns OpenVINO's inference request.

    Args:
        network: the network. It is not changed.
        shapes: the shapes of the inputs, if they are always the same; a run then computes no shapes. None for
            the shapes in the network.
        threads: how many threads the network runs in, on any cores; 0 for the cores' number.
    """
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **_precision()}
    if threads:
        options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    if shapes is not None:
        network = network.clone()
        network.reshape({number: openvino.PartialShape(list(shape)) for number, shape in enumerate(shapes)})
    return openvino.Core().compile_model(network, "CPU", options).create_infer_request()


def compiled_for_many(network: openvino.Model) -> openvino.AsyncInferQueue:
    """Compiles a network for the most inputs a second. Returns a queue that runs several inputs at a time."""
    options = {"PERFORMANCE_HINT": "THROUGHPUT", **_precision()}
    return openvino.AsyncInferQueue(openvino.Core().compile_model(network, "CPU", options))


def _precision() -> dict[str, Any]:
    """The option that limits networks to float32 where bf16 is switched off."""
    return {"INFERENCE_PRECISION_HINT": "f32"} if is_limited() else {}


# What a forked process has of its parent's networks. It is never freed: the threads that would free it did
# not survive the fork, and the process would crash or wait forever.
_OF_PARENT: list[Any] = []


class OfProcess(Generic[_Made]):
    """Something that is made once in each process, such as a compiled network.

    A forked process makes it again, because threads do not survive a fork.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], _Made]) -> None:
        self._make = make
        self._process, self._made = os.getpid(), make()

    def __call__(self) -> _Made:
        """Returns what was made in this process."""
        if self._process != os.getpid():
            _OF_PARENT.append(self._made)
            self._process, self._made = os.getpid(), self._make()
        return self._made


class OpenNetwork:
    """A network from a file, ready to run, also in a forked process.

    Args:
        path: a file that `el.runtime.openvino` wrote.

    Raises:
        InputError: the file is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        network = read_network(path)
        self._request = OfProcess(lambda: compiled(network))

    def infer(self, inputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Runs the network. Returns OpenVINO's outputs, by number."""
        return self._request().infer(list(inputs))


def open_tokenizer(path: Path) -> Tokenizer:
    """Opens a tokenizer's file. The tokenizer neither cuts nor pads texts.

    Raises:
        InputError: the file is missing or broken.
    """
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    # The library raises a bare Exception for a broken file.
    except Exception as error:
        raise InputError(path, "", f"broken ({first_line(error)})", AGAIN) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
