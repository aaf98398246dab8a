"""The memory that a process takes."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in megabytes; files that are mapped count too."""
    if _STATUS.is_file():
        # What `getrusage` says on Linux begins with that of the process that started this one.
        (peak,) = (line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) * 1024 / 1e6
    peak_size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kibibytes elsewhere.
    return peak_size / 1e6 if sys.platform == "darwin" else peak_size * 1024 / 1e6
