"""Saves PyTorch modules as OpenVINO files. Opening them needs no PyTorch (`el.runtime.networks`)."""

import warnings
from pathlib import Path

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn
from transformers.utils import logging


def save_compiled(
    module: nn.Module, example: tuple[Tensor, ...], shapes: list[list[int]], path: Path, half: bool = True
) -> None:
    """Writes a network as `path` (.xml), and its weights beside it (.bin).

    Args:
        module: the network, in evaluation mode, on the CPU.
        example: inputs to trace the network with.
        shapes: the shapes of the inputs; -1 for a dimension of any size.
        path: the file to write.
        half: whether the weights are written in half precision.
    """
    # Not `openvino.convert_model`: it may send statistics of its use.
    front_end = FrontEndManager().load_by_framework("pytorch")
    verbosity = logging.get_verbosity()
    with warnings.catch_warnings():
        # Tracing warns that it is deprecated, and that branches may depend on shapes. Here they do not.
        warnings.simplefilter("ignore")
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        logging.set_verbosity(verbosity)
    decoder = TorchScriptPythonDecoder(traced)
    converted = front_end.convert(front_end.load(decoder))
    for parameter, shape in zip(converted.inputs, shapes, strict=True):
        parameter.get_node().set_partial_shape(openvino.PartialShape(shape))
    converted.validate_nodes_and_infer_types()
    openvino.save_model(converted, str(path), compress_to_fp16=half)
