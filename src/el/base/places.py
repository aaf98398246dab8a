"""The user's folders for linkers and caches, used when no other folder is given."""

import os
import tempfile
from pathlib import Path

import platformdirs

from el.base.errors import ElError

HOME_VARIABLE = "EL_HOME"
_NAME = "hypencoder-el"


def data_folder() -> Path:
    """Returns the folder for linkers: EL_HOME if it is set, or else the platform's folder for user data."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else platformdirs.user_data_path(_NAME, appauthor=False)


def cache_folder() -> Path:
    """Returns the folder for downloads and unfinished work. Everything in this folder can be made again."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "cache" if home else platformdirs.user_cache_path(_NAME, appauthor=False)


class FolderError(ElError):
    """A folder of the user cannot be written to."""

    exit_code = os.EX_IOERR


def writable_folder(folder: Path) -> Path:
    """Makes a folder where there is none, and returns it.

    Raises:
        FolderError: the folder cannot be made, or no file can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise FolderError(
            f"{folder}: cannot write to this folder ({error.strerror}). Set the environment variable "
            f"{HOME_VARIABLE} to a folder that you may write to"
        ) from error
