"""Files whole or not at all."""

import contextlib
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from el.base.errors import BusyError, InputError
from el.base.files import (
    GZIP_ERRORS,
    atomic_file,
    atomic_folder,
    claimed,
    clear_leftovers,
    clear_temporary_folders,
    open_unpacked,
    read_json,
    read_jsonl,
    remove_folder,
    sha256_file,
    temporary_folder,
    write_json,
    write_jsonl,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert names_in(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_file_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_file(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file") as temporary:
            temporary.touch()
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / name).touch()
        assert names_in(path) == [name]
    assert names_in(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_folder_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "old").touch()
    with pytest.raises(error), atomic_folder(path) as temporary:  # noqa: PT012
        (temporary / "half").touch()
        raise error
    assert names_in(path) == ["old"]
    assert names_in(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "old").write_text("kept")
    rename = Path.rename

    def fail_on_part(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise error("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_part)
    with pytest.raises(error), atomic_folder(path) as temporary:
        (temporary / "new").touch()
    assert (path / "old").read_text() == "kept"
    assert names_in(tmp_path) == ["folder"]


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_json_round_trip_reads_the_same_every_time(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "ü", "a": [1]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": [\n    1\n  ],\n  "b": "ü"\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": [1], "b": "ü"}


@pytest.mark.parametrize("content", [b"{", b'"\xff"', b""])
def test_broken_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json: not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "b.json")


def test_lines_round_trip(tmp_path: Path) -> None:
    rows = [{"a": "line\u2028separator\x85 and\nmore"}, {"b": 2}]
    assert write_jsonl(tmp_path / "a.jsonl", rows) == 2
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [(1, rows[0]), (2, rows[1])]


def test_blank_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\r\n\n  \n{"b": 2}')
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [(1, {"a": 1}), (4, {"b": 2})]


@pytest.mark.parametrize(
    ("line", "problem"),
    [(b"{", "not JSON"), (b'{"a": "\xe9"}', "not JSON"), (b"[1]", "not a JSON object")],
)
def test_broken_line_is_named(tmp_path: Path, line: bytes, problem: str) -> None:
    # Far apart, for text is decoded in blocks.
    good = json.dumps({"a": "x" * 20000}).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, good, line, good]))
    rows = read_jsonl(tmp_path / "a.jsonl")
    assert [next(rows)[0], next(rows)[0]] == [1, 2]
    with pytest.raises(InputError, match=f"line 3: {problem}") as caught:
        next(rows)
    assert caught.value.place == "line 3"


def test_missing_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        next(read_jsonl(tmp_path / "a.jsonl"))


def test_failed_lines_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_jsonl(tmp_path / "a.jsonl", ({"a": 1 // n} for n in (1, 0)))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["text.txt", "text.gz"])
def test_gzip_is_known_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for stored in (b"words", gzip.compress(b"words"), b"", b"\x1f"):
        path.write_bytes(stored)
        with open_unpacked(path) as stream:
            assert stream.read() == (b"words" if len(stored) > 1 else stored)


def test_gzip_may_be_known_by_its_name(tmp_path: Path) -> None:
    plain, packed = tmp_path / "words", tmp_path / "words.gz"
    for path in (plain, packed):
        path.write_bytes(gzip.compress(b"words"))
    with open_unpacked(plain, by_name=True) as stream:
        assert stream.read() == plain.read_bytes()
    with open_unpacked(packed, by_name=True) as stream:
        assert stream.read() == b"words"
    packed.write_bytes(b"words")
    with pytest.raises(GZIP_ERRORS), open_unpacked(packed, by_name=True) as stream:
        stream.read()


# Begins to write, says so, and waits to be killed.
KILLED = """
import sys, time
from pathlib import Path
from el.base import files
kind, path = sys.argv[1], Path(sys.argv[2])
with {"file": files.atomic_file, "folder": files.atomic_folder, "claim": files.claimed}[kind](path) as made:
    if kind == "folder":
        (made / "half").touch()
    print("writing", flush=True)
    time.sleep(100)
"""


@contextlib.contextmanager
def writing(kind: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes; it is killed at the end."""
    command = [sys.executable, "-c", KILLED, kind, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["out", ".hidden", "a.b [1]*"])
def test_leftovers_of_killed_processes_are_cleared_and_those_of_living_ones_kept(
    tmp_path: Path, kind: str, name: str
) -> None:
    path, other = tmp_path / name, tmp_path / "other"
    foreign = {".out.part", ".other.abcdefgh.part", f".{name}.abc.part", f"{name}.abcdefgh.part"}
    for one in foreign:
        (tmp_path / one).touch()
    with writing(kind, path):
        clear_leftovers([path])
        (written,) = set(names_in(tmp_path)) - foreign
        assert written.startswith(f".{name}.")
    clear_leftovers([path, tmp_path / "absent" / "x"])
    assert set(names_in(tmp_path)) == foreign
    clear_leftovers([other])
    assert set(names_in(tmp_path)) == foreign - {".other.abcdefgh.part"}


def test_a_folder_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".made.abcdefgh.old" / "made"
    aside.mkdir(parents=True)
    (aside / "precious").touch()
    # Being deleted, so perhaps not complete.
    (tmp_path / ".lost.abcdefgh.old" / "lost.deleted").mkdir(parents=True)
    clear_leftovers([tmp_path / "made", tmp_path / "lost"])
    assert names_in(tmp_path) == ["made"]
    assert names_in(tmp_path / "made") == ["precious"]
    aside.mkdir(parents=True)
    clear_leftovers([tmp_path / "made"])
    assert names_in(tmp_path / "made") == ["precious"]
    remove_folder(tmp_path / "made")
    assert names_in(tmp_path) == []


def test_a_place_is_claimed_by_one_process_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with writing("claim", path) as other:
        with pytest.raises(BusyError, match=f"another process \\(process {other.pid}\\)") as caught:
            claimed(path).__enter__()
        assert caught.value.exit_code == 75
        with claimed(tmp_path / "elsewhere"):
            pass
    # The claim of a killed process does not stand in the way, and leaves nothing behind.
    with claimed(path), pytest.raises(BusyError):
        claimed(path).__enter__()
    with claimed(path):
        pass
    assert names_in(tmp_path) == []


def test_temporary_folders_of_killed_processes_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "ontology-1").mkdir()
    (tmp_path / "ontology-1" / "file").touch()
    (tmp_path / "other").mkdir()
    with temporary_folder(tmp_path, "ontology-") as folder:
        clear_temporary_folders(tmp_path, "ontology-")
        assert names_in(tmp_path) == sorted(["other", folder.name])
    assert names_in(tmp_path) == ["other"]
