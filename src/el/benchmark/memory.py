"""The memory that a process takes."""

import resource
import sys


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in megabytes; files that are mapped count too."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
