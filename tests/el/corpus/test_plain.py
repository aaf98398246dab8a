from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.plain import read_plain
from el.corpus.types import Passage


def test_paragraphs_stand_at_their_offsets(tmp_path: Path) -> None:
    text = "\n  First 😀\r\ngoes on \n \t\n\nSecond.\n"
    path = tmp_path / "note.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode("utf-8"))
    (document,) = read_plain(path)
    assert document.id == "note"
    assert document.passages == (
        Passage("paragraph", 3, "First 😀\r\ngoes on"),
        Passage("paragraph", text.index("Second"), "Second."),
    )
    assert document.mentions == ()
    for passage in document.passages:
        assert text[passage.offset :].startswith(passage.text)


def test_a_last_line_without_an_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("only", encoding="utf-8")
    assert [document.text for document in read_plain(path)] == ["only"]


def test_other_encodings_are_refused_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"na\xefve")
    with pytest.raises(InputError, match="byte 2: not UTF-8"):
        list(read_plain(path))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no text"):
        list(read_plain(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_plain(tmp_path / "none.txt"))
