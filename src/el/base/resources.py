"""Room on disk and in memory, asked for before long work starts rather than missed at its end."""

import shutil
from pathlib import Path

import psutil

from el.base.errors import ElError


def check_room(folder: Path, disk: int, memory: int, purpose: str) -> None:
    """Refuses work for which there is no room.

    Args:
        folder: where files go; it, or a folder above it, exists.
        disk: bytes that they take, at most.
        memory: bytes that are held in memory, at most.
        purpose: what for, such as "the index of 784,000 names".

    Raises:
        ElError: the disk or the memory has less.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if free < disk:
        raise ElError(
            f"{existing}: {purpose} takes {_gigabytes(disk)} on disk, {_gigabytes(free)} are free. "
            "Make room, or work on another disk"
        )
    available = psutil.virtual_memory().available
    if available < memory:
        raise ElError(
            f"{purpose} takes {_gigabytes(memory)} of memory, {_gigabytes(available)} are available. "
            "Close other programs, or use a larger machine"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
