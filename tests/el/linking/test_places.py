"""Where a linker is found, and where a new one goes, when no folder is given."""

import os
import re
from pathlib import Path

import pytest

from el.base.errors import InputError
from el.linking.folder import FORMAT
from el.linking.places import find_linker, linkers_folder, new_linker_folder


def make_linker(folder: Path) -> Path:
    """Makes what looks like a linker from outside."""
    (folder / "ontology").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def own(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's linkers, which does not exist yet."""
    monkeypatch.setenv("EL_HOME", str(here.parent / "data"))
    return here.parent / "data" / "linkers" / FORMAT


def refused(given: str | Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        find_linker(given)
    return str(caught.value)


def test_each_format_has_a_folder_of_its_own(own: Path) -> None:
    assert linkers_folder() == own
    assert not own.exists()


def test_a_new_linker_goes_into_models_where_that_exists(here: Path, own: Path) -> None:
    assert new_linker_folder("mesh") == own / "mesh"
    (here / "models").write_text("no folder")
    assert new_linker_folder("mesh") == own / "mesh"
    (here / "models").unlink()
    (here / "models").mkdir()
    assert new_linker_folder("mesh").resolve() == here / "models" / "mesh"
    assert list((here / "models").iterdir()) == []


def test_the_first_that_exists_is_taken(here: Path, own: Path) -> None:
    # From the last to the first.
    only = make_linker(own / "hospital")
    assert find_linker() == only
    for folder in (own / "mesh", here / "models" / "linker", here / "models" / "mesh"):
        assert find_linker().resolve() != folder
        make_linker(folder)
        assert find_linker().resolve() == folder


def test_linkers_of_the_sample_come_last(here: Path, own: Path) -> None:
    made_by = '{"made_by": {"data": "sample", "system": "hypencoder_2"}}'
    hardly_trained = make_linker(here / "models" / "linker")
    (hardly_trained / "manifest.json").write_text(made_by)
    assert find_linker().resolve() == hardly_trained
    for folder in (own / "sample", here / "models" / "sample", own / "hospital", own / "mesh"):
        make_linker(folder)
        assert find_linker().resolve() == folder
    (hardly_trained / "manifest.json").write_text(made_by.replace("sample", "bc5cdr"))
    assert find_linker().resolve() == hardly_trained


def test_other_linkers_of_the_current_folder_are_not_taken_unasked(here: Path, own: Path) -> None:
    make_linker(here / "models" / "hospital")
    only = make_linker(own / "other")
    assert find_linker() == only


def test_what_is_no_linker_is_not_the_only_one(own: Path) -> None:
    only = make_linker(own / "hospital")
    (own / "unfinished" / "ontology").mkdir(parents=True)
    (own / "notes").mkdir()
    (own / "notes" / "manifest.json").write_text("{}")
    assert find_linker() == only


def test_a_folder_is_taken_as_it_is_given(here: Path, own: Path) -> None:
    make_linker(own / "given")
    make_linker(here / "given")
    for given in ("given", "./given", Path("given"), here / "given"):
        assert find_linker(given) == Path(given)


def test_a_folder_that_is_no_linker_does_not_hide_one_of_its_name(here: Path, own: Path) -> None:
    (here / "given").mkdir()
    assert "no linker here" in refused("given")
    theirs = make_linker(own / "given")
    assert find_linker("given") == theirs
    assert refused("./given").startswith("./given: no linker here")
    assert refused("").startswith('"": no linker here')


def test_a_name_is_looked_up_here_and_then_in_the_users_folder(here: Path, own: Path) -> None:
    theirs = make_linker(own / "hospital")
    assert find_linker("hospital") == find_linker(Path("hospital")) == theirs
    (here / "models" / "hospital").mkdir(parents=True)
    # Not a linker.
    assert find_linker("hospital") == theirs
    ours = make_linker(here / "models" / "hospital2")
    make_linker(own / "hospital2")
    assert find_linker("hospital2").resolve() == ours


@pytest.mark.parametrize("given", ["absent", "hospita", "./hospital", "hospital/", "linkers/hospital"])
def test_what_is_neither_a_folder_nor_a_name(own: Path, given: str) -> None:
    make_linker(own / "hospital")
    message = refused(given)
    assert message.startswith(f"{given}: no linker here. `el index sample` makes one")
    assert message.endswith("Known linkers: hospital.")


def test_known_linkers_are_told_once(here: Path, own: Path) -> None:
    make_linker(here / "models" / "hospital")
    for name in ("hospital", "mesh"):
        make_linker(own / name)
    (own / "unfinished").mkdir()
    assert refused("absent").endswith("Known linkers: hospital, mesh.")


def test_of_several_one_must_be_chosen(own: Path) -> None:
    for name in ("b", "a"):
        make_linker(own / name)
    assert refused() == f"{own}: holds several linkers. Choose one with --linker. Known linkers: a, b."


def test_without_any_it_is_told_how_one_is_made(own: Path) -> None:
    for message in (refused(), refused("absent")):
        assert "`el index sample` makes one for a small slice of MeSH within a minute" in message
        assert re.search(r"`el index` one for all of MeSH, in about \d+ min on this machine", message)
        assert "Known linkers" not in message
    assert refused().startswith(f"{own}: no linker here yet. ")
    own.mkdir(parents=True)
    assert "no linker here yet" in refused()


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Each path below a folder with its time and its content."""
    return {
        os.fspath(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_linkers_of_an_older_format_are_told_and_stay(own: Path) -> None:
    older = make_linker(own.parent / "el-linker-4" / "mesh")
    make_linker(own.parent / "el-linker-4" / "hospital")
    (own.parent / "el-linker-4" / "notes").mkdir()
    before = tree(own.parent)
    for message in (refused(), refused("mesh")):
        for name in ("hospital", "mesh"):
            told = f"{older.with_name(name)} is of format el-linker-4, which this version does not read"
            assert message.count(told) == 1
        assert message.count("el-linker-4,") == 2
        assert "Known linkers" not in message
    assert tree(own.parent) == before


def test_a_linker_of_this_format_goes_before_an_older_one(own: Path) -> None:
    make_linker(own.parent / "el-linker-4" / "mesh")
    only = make_linker(own / "hospital")
    assert find_linker() == only
    message = refused("mesh")
    assert "Known linkers: hospital. " in message
    assert "is of format el-linker-4" in message
