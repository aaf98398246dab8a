"""PyTorch's networks as files that OpenVINO opens."""

import warnings
from pathlib import Path

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn
from transformers.utils import logging


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
