"""Describes the machine that timings were measured on."""

import platform
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from el.models.base import supports_bf16


def describe_machine() -> dict[str, str | int | bool]:
    """Returns what latency depends on: processor, cores, memory, GPU, threads and versions of packages."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True) or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else "none",
        "bf16": supports_bf16(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "faiss": version("faiss-cpu"),
        "openvino": version("openvino"),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
