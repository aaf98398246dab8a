"""Disk space and memory, checked before long work starts."""

import shutil
from pathlib import Path

import psutil

from el.base.errors import ElError


def check_room(folder: Path, disk: int, memory: int, purpose: str) -> None:
    """Refuses work that needs more disk space or memory than there is.

    Args:
        folder: where the files will be written. The folder, or one above it, must exist.
        disk: the most bytes that the files take.
        memory: the most bytes that are held in memory.
        purpose: what needs the room, such as "the index of 784,000 names".

    Raises:
        ElError: there is less space on the disk, or less memory.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if free < disk:
        raise ElError(
            f"{existing}: {purpose} takes {_gigabytes(disk)} on disk, but {_gigabytes(free)} are free. "
            "Free some space, or work on another disk"
        )
    available = psutil.virtual_memory().available
    if available < memory:
        raise ElError(
            f"{purpose} takes {_gigabytes(memory)} of memory, but {_gigabytes(available)} are available. "
            "Close other programs, or use a machine with more memory"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
