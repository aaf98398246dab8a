"""Where linkers and caches go when no folder is given."""

import sys
from pathlib import Path

import platformdirs
import pytest

from el.base.places import HOME_VARIABLE, FolderError, cache_folder, data_folder, writable_folder


def test_the_variable_overrides_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HOME_VARIABLE == "EL_HOME"
    monkeypatch.setenv("EL_HOME", str(tmp_path / "home"))
    assert data_folder() == tmp_path / "home"
    assert cache_folder() == tmp_path / "home" / "cache"
    # Asked for, not made.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [None, ""])
def test_without_it_the_platforms_folders_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("EL_HOME", raising=False)
    else:
        monkeypatch.setenv("EL_HOME", value)
    asked = []

    def answers(kind: str) -> object:
        def path(appname: str, appauthor: object = None) -> Path:
            asked.append((kind, appname, appauthor))
            return tmp_path / kind

        return path

    monkeypatch.setattr(platformdirs, "user_data_path", answers("data"))
    monkeypatch.setattr(platformdirs, "user_cache_path", answers("cache"))
    assert (data_folder(), cache_folder()) == (tmp_path / "data", tmp_path / "cache")
    # Without an author, which Windows would put above the name.
    assert asked == [("data", "hypencoder-el", False), ("cache", "hypencoder-el", False)]


def test_a_folder_to_write_to_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        assert writable_folder(folder) == folder
        assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FolderError, match="EL_HOME") as caught:
            writable_folder(folder)
        assert str(caught.value).startswith(f"{folder}: ")
        assert caught.value.exit_code == 74
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of the XDG specification")
def test_folders_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EL_HOME", raising=False)
    for kind in ("DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    assert data_folder() == tmp_path / "DATA" / "hypencoder-el"
    assert cache_folder() == tmp_path / "CACHE" / "hypencoder-el"
