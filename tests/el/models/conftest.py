"""The parity checkpoints, laid out as the released code finds them."""

import shutil
from pathlib import Path

import pytest

PARITY = Path(__file__).parents[2] / "fixtures" / "parity"


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A writable copy of the checkpoints; the current folder, for `tiny-bert` is a relative path."""
    folder = tmp_path / "parity"
    shutil.copytree(PARITY, folder)
    monkeypatch.chdir(folder)
    return folder
