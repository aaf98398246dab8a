"""Folders of the user, for what is kept when no other folder is given."""

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "EL_HOME"
_NAME = "hypencoder-el"


def data_folder() -> Path:
    """Returns the folder that keeps linkers: EL_HOME, or else the platform's folder for user data."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else platformdirs.user_data_path(_NAME, appauthor=False)


def cache_folder() -> Path:
    """Returns the folder that keeps downloads and unfinished work; all in it can be made again."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "cache" if home else platformdirs.user_cache_path(_NAME, appauthor=False)
