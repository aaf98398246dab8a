"""Measures the memory that a process takes.

It is a separate module, so that `el.benchmark.linking` can measure memory without importing PyTorch.
"""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_mb() -> float:
    """Returns the peak memory of this process so far, in megabytes (10^6 bytes), including mapped files."""
    if _STATUS.is_file():
        # Not `getrusage`: on Linux its peak starts at that of the process that started this one.
        (peak,) = (line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) * 1024 / 1e6
    peak_size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # `ru_maxrss` is in bytes on macOS, in kibibytes elsewhere.
    return peak_size / 1e6 if sys.platform == "darwin" else peak_size * 1024 / 1e6
