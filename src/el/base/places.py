"""The user's folders for linkers and caches, used when no other folder is given."""

import os
from pathlib import Path

import platformdirs

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
