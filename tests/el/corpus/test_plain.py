from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.plain import read_plain
from el.corpus.types import Passage
from tests.work import assert_in_proportion


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


@pytest.mark.parametrize("blank", ["\u00a0", "\u2028", "\u0085\t", "\ufeff", "\u3000\r", "\x1f"])
def test_any_blank_line_ends_a_paragraph(tmp_path: Path, blank: str) -> None:
    path = tmp_path / "note.txt"
    text = f"{blank}\nOne\n{blank}\n{blank}two{blank}\nthree\n\n{blank}\n{blank}"
    path.write_bytes(text.encode())
    (document,) = read_plain(path)
    text = text.removeprefix("\ufeff")
    expected = ["One", f"two{blank}\nthree"]
    assert [passage.text for passage in document.passages] == expected
    assert [passage.offset for passage in document.passages] == [text.index(piece) for piece in expected]


def test_many_lines_take_time_in_proportion(tmp_path: Path) -> None:
    def read(count: int) -> None:
        for lines in ("\n" * count + "x", " \n" * count + "x", " " * count + "x", "x\n\n" * count):
            (tmp_path / "note.txt").write_text(lines, encoding="utf-8")
            assert sum(1 for _ in read_plain(tmp_path / "note.txt")) == 1

    assert_in_proportion(read, 1_000)


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
