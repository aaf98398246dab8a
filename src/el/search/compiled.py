"""Networks compiled by OpenVINO for the CPU that they run on, and the tokenizers beside them, as files."""

import warnings
from pathlib import Path
from typing import Any

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers.utils import logging

from el.errors import InputError
from el.files import sampled_sha256

_AGAIN = "Make the linker again"


def save_compiled(
    module: nn.Module, example: tuple[Tensor, ...], shapes: list[list[int]], path: Path
) -> None:
    """Writes a network as `path` (.xml) with its weights, in half precision, beside it (.bin).

    Args:
        module: in evaluation mode, on the CPU.
        example: inputs to trace it with.
        shapes: of its inputs; -1 where any size may be given.
        path: where to.
    """
    # The front end itself, and not `openvino.convert_model`, which may send statistics of its use.
    front_end = FrontEndManager().load_by_framework("pytorch")
    verbosity = logging.get_verbosity()
    with warnings.catch_warnings():
        # Of tracing itself, which torch wants to replace, and of branches that shapes do not change here.
        warnings.simplefilter("ignore")
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        logging.set_verbosity(verbosity)
    decoder = TorchScriptPythonDecoder(traced)
    converted = front_end.convert(front_end.load(decoder))
    for parameter, shape in zip(converted.inputs, shapes, strict=True):
        parameter.get_node().set_partial_shape(openvino.PartialShape(shape))
    converted.validate_nodes_and_infer_types()
    openvino.save_model(converted, str(path), compress_to_fp16=True)


def check_file(path: Path, expected: str) -> None:
    """Raises InputError where a file has not the checksum (`el.files.sampled_sha256`) that it should have."""
    if not path.is_file() or sampled_sha256(path) != expected:
        raise InputError(path, "", "missing, truncated or altered", _AGAIN)


def open_compiled(path: Path) -> Any:
    """Opens a network that `save_compiled` wrote, as OpenVINO's inference request.

    Raises:
        InputError: it is broken.
    """
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
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
