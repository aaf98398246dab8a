"""Stage, run every time: what machine this is, so that timings are taken anew on another one."""

import platform
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from el.base.cli import run_stage
from el.base.files import write_json
from el.models.base import supports_bf16

MACHINE = Path("machine.json")


def describe_machine() -> dict[str, str | int | bool]:
    """Returns what latency depends on: processor, cores, memory, accelerator, versions."""
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


def main() -> None:
    write_json(MACHINE, describe_machine())


if __name__ == "__main__":
    run_stage(main, __doc__)
