import contextlib
import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from el.base.errors import InputError, UnreadableError
from el.base.files import open_unpacked
from el.corpus import checks, json_stream, opening, pubtator, xml_stream
from el.corpus.formats import open_corpus


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    return stream.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7\n\x00", "is a PDF. Extract its text"),
        (b"{\\rtf1 An ache}", "is RTF. Save it as plain text"),
        ("\ufeffAn ache".encode("utf-16"), "is UTF-16, not UTF-8. Convert it to UTF-8"),
        ("An ache".encode("utf-16-le"), "looks like UTF-16, not UTF-8. Convert it"),
        ("An ache".encode("utf-16-be"), "looks like UTF-16"),
        ("\ufeffAn ache".encode("utf-32"), "is UTF-32"),
        ("An ache".encode("utf-32-le"), "looks like UTF-32, not UTF-8. Convert it"),
        ("痛み 5 ache".encode("utf-32-be"), "looks like UTF-32"),
        ("πόνος 12 πόνος και 3 ή 4".encode("utf-16-le"), "looks like UTF-16"),
        (b"\x00" * 5000, "holds NUL bytes only"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x12\x34", "is binary, not text"),
        (zipped(), "is a zip archive"),
        (tar(), "is a tar archive"),
        (b"BZh91AY", "packed with bzip2"),
        (b"\xfd7zXZ\x00\x00", "packed with xz"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, problem: str, packed: bool) -> None:
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=problem):
        open_corpus(path)


def test_gzip_is_unpacked_once(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(gzip.compress(b"text")))
    with pytest.raises(InputError, match="gzip inside gzip"):
        open_corpus(path)


@pytest.mark.parametrize("end", [20, -9, -1])
def test_damaged_gzip_is_refused(tmp_path: Path, end: int) -> None:
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(os.urandom(1000).hex().encode())[:end])
    with pytest.raises(InputError, match="damaged gzip"):
        list(open_corpus(path))


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"An ache"))
    packed[-6] ^= 1
    (tmp_path / "input").write_bytes(packed)
    with pytest.raises(InputError, match="damaged gzip"):
        list(open_corpus(tmp_path / "input"))


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"na\xefve", "line 1, byte 2: not UTF-8 .* iconv -f WINDOWS-1252 -t UTF-8"),
        (b"An ache\n\nof 5 \xb5g", "line 3, byte 14: not UTF-8 .* may be Windows-1252"),
        ("痛み".encode("shift-jis"), r"not UTF-8 \(invalid start byte\). Convert the file to UTF-8$"),
        ("An ache é".encode()[:-1], "not UTF-8 .*it ends inside a character"),
        (b'{"id": "1", "text": "na\xefve"}', "line 1: not UTF-8 .* at byte 23 of the file"),
        (b'{"documents": ["na\xefve"]}', "line 1: not UTF-8 .* at byte 18 of the file"),
        (b"<collection>\nna\xefve</collection>", "line 2: not UTF-8 at byte 15 of the file"),
    ],
)
def test_invalid_utf8_is_refused_by_byte(tmp_path: Path, content: bytes, place: str) -> None:
    (tmp_path / "input").write_bytes(content)
    with pytest.raises(InputError, match=place):
        list(open_corpus(tmp_path / "input"))


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("An ache\x00 in a text", "line 1, byte 7: a NUL byte"),
        ("First line.\r\nAn\x00ache, and\x00 more", "line 2, byte 15: the first of 2 NUL bytes"),
        ("A file that was cut\n" + "\x00" * 100_000, "line 2, byte 20: the first of 100000 NUL bytes"),
        ('{"documents": [],\n "key": "a\x00"}', r"line 2: holds the control character U.0000 .byte 28"),
    ],
)
def test_nul_bytes_are_refused_by_line(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "input").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=place):
        list(open_corpus(tmp_path / "input"))


@pytest.mark.parametrize(
    "blanks", ["\n", " \n", "\r\n", "\t" * 99 + "\n", "\u00a0\n", "\u2028\u0085\n", "\ufeff\n"]
)
@pytest.mark.parametrize("before", ['{"id": "1", "text": "x"}\n', "1|t|x\n"])
def test_endless_blank_lines_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, blanks: str
) -> None:
    path = tmp_path / "input"
    many = blanks.encode() * (2_000_000 // len(blanks.encode()))
    path.write_bytes(gzip.compress(before.encode() + many, compresslevel=1))
    read = counted_bytes(monkeypatch)
    with pytest.raises(InputError, match="more than 100 kB of blank lines"):
        list(open_corpus(path))
    assert sum(read) <= opening.MAX_BLANK + 6 * opening.HEAD_BYTES


def test_a_file_of_blank_lines_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(b"\n" * (4 * opening.MAX_DOCUMENT), compresslevel=1))
    read = counted_bytes(monkeypatch)
    with pytest.raises(InputError, match=r"larger than 10 MB"):
        list(open_corpus(path))
    assert sum(read) <= 2 * opening.MAX_DOCUMENT + 6 * opening.HEAD_BYTES


def test_some_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text('{"id": "1", "text": "x"}\n' + (" \n" * 20_000 + '{"text": "y"}\n') * 3, encoding="utf-8")
    assert len(list(open_corpus(path))) == 4


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="is a folder") as caught:
        open_corpus(tmp_path)
    assert caught.value.exit_code == os.EX_IOERR


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match="not a regular file"):
        open_corpus(tmp_path / "pipe")


def test_files_that_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "input"
    path.write_text("text", encoding="utf-8")
    # Not by its mode: who runs the tests may read all files.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableError, match=r"cannot be read \(Permission denied\). Check its permissions"):
        open_corpus(path)


DOCUMENT = "<document><id>%d</id><passage><offset>0</offset><text>word</text></passage></document>"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        "word " * 200_000,
        "1|t|" + "word " * 200_000,
        "1|t|word\n" + "1\tis\ta\tb\n" * 100_000,
        '{"id": "1", "text": "' + "word " * 200_000,
        '{"documents": ["' + "word " * 200_000,
        "<collection><document>" + "<passage>word</passage>" * 50_000,
        "<collection>" + "<infon>word</infon>" * 50_000,
        '{"id": "1", "passages": [{"offset": 900000, "text": "word"}]}',
        '{"documents": [{"id": "1", "passages": [{"offset": 900000, "text": "word"}]}]}',
    ],
)
def test_documents_too_large_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, packed: bool
) -> None:
    limit = 200_000
    for module in (opening, pubtator, xml_stream, json_stream, checks):
        monkeypatch.setattr(module, "MAX_DOCUMENT", limit)
    monkeypatch.setattr(opening.read_whole, "__defaults__", (limit,))
    read = counted_bytes(monkeypatch)
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    with pytest.raises(InputError, match=r"larger than .* Split it|ends after character 200,000"):
        list(open_corpus(path))
    # The head, which tells the format, is read twice.
    assert min(len(content), opening.HEAD_BYTES) <= sum(read) <= limit + 4 * opening.HEAD_BYTES


def counted_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that receives the size of each piece that is read of a file, unpacked."""
    sizes: list[int] = []

    class Counted:
        def __init__(self, stream: BinaryIO) -> None:
            self.stream = stream

        def read(self, size: int) -> bytes:
            piece = self.stream.read(size)
            sizes.append(len(piece))
            return piece

    @contextlib.contextmanager
    def counted(path: Path) -> Iterator[Counted]:
        with open_unpacked(path) as stream:
            yield Counted(stream)

    monkeypatch.setattr(opening, "open_unpacked", counted)
    return sizes


def test_many_small_documents_are_not_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_stream, "MAX_DOCUMENT", 200_000)
    text = "<collection>" + "".join(DOCUMENT % number for number in range(5000)) + "</collection>"
    assert len(text) > 400_000
    (tmp_path / "input").write_text(text, encoding="utf-8")
    assert [document.id for document in open_corpus(tmp_path / "input")] == [str(n) for n in range(5000)]
