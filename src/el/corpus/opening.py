"""Files of documents as bytes: unpacked if they are gzipped, and refused if they are not text.

A document may have up to 10 MB (`MAX_DOCUMENT`), more than any book. Readers stop at this limit, also in a
gzipped file, so that a small file cannot fill the memory.
"""

import codecs
import contextlib
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from el.base.errors import InputError, UnreadableError
from el.base.files import GZIP_ERRORS, GZIP_SIGNATURE, atomic_file, open_unpacked

MAX_DOCUMENT = 10_000_000
"""The most bytes that one document may have, unpacked. At a larger value, linking one document needs more
memory and time."""

HEAD_BYTES = 1 << 16
"""The bytes at the start of a file, unpacked, by which its format is recognised. At a larger value, a format
whose mark stands later in the file is recognised too, and opening a file reads more."""

MAX_BLANK = 100_000
"""The most bytes that blank lines one after the other may have. A small gzipped file may hold a gigabyte of
them; at a larger value, reading such a file takes longer."""

MAX_DEPTH = 100
"""The most arrays and objects of JSON inside each other. Documents need fewer than ten. At a value above some
hundreds, Python itself may fail."""

_UNPACK = "Unpack it and give the files in it"
_CONVERT = "Convert it to UTF-8"
# Byte order marks. UTF-32 stands first, because the mark of UTF-16 is the start of its mark.
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# The first bytes of files that are not text, after gzip is unpacked; what the file is; and the remedy.
_SIGNATURES = (
    (GZIP_SIGNATURE, "gzip inside gzip", "Unpack it once"),
    (b"PK\x03\x04", "a zip archive (or a document of an office program)", _UNPACK),
    (b"BZh", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", _UNPACK),
    (b"{\\rtf", "RTF", "Save it as plain text"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Fetch the file: git lfs pull"),
    (b"/annex/objects/", "a pointer of git-annex, not the file itself", "Fetch the file: git annex get"),
    (b"%PDF-", "a PDF", "Extract its text, and give the text"),
)
BLANKS = r"\s\ufeff"
"""The characters that may stand on a blank line, for a set in a pattern: white space of any script, and byte
order marks."""

BLANK_LINE = re.compile(f"[{BLANKS}]*")
"""A blank line as text, without its line end."""

# ASCII control characters without those of white space, which texts may have, and without NUL.
_CONTROLS = bytes(code for code in (*range(1, 9), *range(14, 27), *range(28, 32), 127))
# A tar archive has its signature at this byte.
_TAR = (257, b"ustar")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file.

    Attributes:
        number: counted from 1.
        offset: the place of the first byte in the unpacked file.
        raw: the bytes, with the line end.
    """

    number: int
    offset: int
    raw: bytes


@contextlib.contextmanager
def open_input(path: Path) -> Iterator["io.BufferedReader[_Unpacked]"]:
    """Yields the bytes of a file, unpacked if the file is gzipped, whatever its name.

    Raises:
        InputError: the file does not exist, is packed in another way or is not text.
        UnreadableError: the path is a folder, or the file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        unpacked = _opened(path, stack)
        stream = stack.enter_context(io.BufferedReader(_Unpacked(path, unpacked), HEAD_BYTES))
        _check_text(path, stream.peek())
        yield stream


def read_head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """Returns the first bytes of a file, unpacked: at most `size`.

    Raises:
        InputError, UnreadableError: see `open_input`.
    """
    with open_input(path) as stream:
        return stream.read(size)


def read_whole(path: Path, limit: int = MAX_DOCUMENT) -> bytes:
    """Returns all bytes of a file, unpacked.

    Raises:
        InputError: the file has more than `limit` bytes; or see `open_input`.
        UnreadableError: see `open_input`.
    """
    with open_input(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise too_large(path, "", limit)
    return content


def read_lines(path: Path) -> Iterator[Line]:
    """Yields the lines of a file, split only at line feeds.

    Texts may hold other characters that Python's `splitlines` takes for line ends.

    Raises:
        InputError: a line is larger than `MAX_DOCUMENT`, blank lines one after the other are larger than
            `MAX_BLANK`; or see `open_input`.
        UnreadableError: see `open_input`.
    """
    offset = blank = 0
    with open_input(path) as stream:
        number = 0
        while raw := stream.readline(MAX_DOCUMENT + 1):
            number += 1
            if len(raw) > MAX_DOCUMENT:
                raise too_large(path, f"line {number}")
            blank = blank + len(raw) if is_blank(raw) else 0
            if blank > MAX_BLANK:
                problem = f"more than {MAX_BLANK // 1000} kB of blank lines"
                raise InputError(path, f"line {number}", problem, "Remove them, or make the file again")
            yield Line(number, offset, raw)
            offset += len(raw)


def is_blank(raw: bytes) -> bool:
    """Whether a line holds only characters of `BLANKS`."""
    return raw.isspace() or BLANK_LINE.fullmatch(raw.decode("utf-8", "replace")) is not None


def decoded(path: Path, raw: bytes, offset: int = 0, place: str = "") -> str:
    """Decodes UTF-8.

    Args:
        path: the file, for messages.
        raw: the bytes.
        offset: the place of the first byte in the file.
        place: what messages call the place, such as "line 12"; "" names the line and the byte.

    Raises:
        InputError: the bytes are not UTF-8, or hold a NUL byte.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 ({error.reason})"
        raise _bad_byte(
            path, raw, error.start, offset, place, problem, _encoding_remedy(raw, error)
        ) from error
    if (start := raw.find(0)) >= 0:
        problem = "a NUL byte" if raw.count(0) == 1 else f"the first of {raw.count(0)} NUL bytes"
        remedy = "Put a blank in place of each, or copy the file again if content is missing there"
        raise _bad_byte(path, raw, start, offset, place, problem, remedy)
    return text


def _bad_byte(
    path: Path, raw: bytes, start: int, offset: int, place: str, problem: str, remedy: str
) -> InputError:
    if place:
        return InputError(path, place, f"{problem} at byte {offset + start} of the file", remedy)
    line = raw.count(b"\n", 0, start) + 1
    return InputError(path, f"line {line}, byte {offset + start}", problem, remedy)


def _encoding_remedy(raw: bytes, error: UnicodeDecodeError) -> str:
    if error.reason == "unexpected end of data":
        return "Copy the file again: it ends inside a character"
    # Western encodings have one byte for a letter with an accent. The others have two or more.
    near = raw[max(0, error.start - 1) : error.start + 2]
    if sum(byte >= 0x80 for byte in near) == 1:
        return "Convert the file to UTF-8; it may be Windows-1252: iconv -f WINDOWS-1252 -t UTF-8"
    return "Convert the file to UTF-8"


def too_large(path: Path, place: str, limit: int = MAX_DOCUMENT) -> InputError:
    """Returns the error for a document, or a file that must fit into memory, of more than `limit` bytes."""
    return InputError(path, place, f"larger than {limit // 10**6} MB", "Split it")


def document_name(path: Path) -> str:
    """Returns the id for a document that is a whole file: the file's name without `.gz` and suffix."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    return name.stem


@contextlib.contextmanager
def written_text(path: Path) -> Iterator[TextIO]:
    """Yields a stream of text, which is written to a file in UTF-8, whole or not at all.

    The file is gzipped if its name ends in `.gz`.
    """
    with atomic_file(path) as temporary, temporary.open("wb") as file, contextlib.ExitStack() as stack:
        binary: BinaryIO | gzip.GzipFile = file
        if path.suffix == ".gz":
            # Without a name and a time, the same documents give the same bytes.
            binary = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8", newline="\n"))


def _opened(path: Path, stack: contextlib.ExitStack) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise UnreadableError(path, "", f"is {kind}", "Give the file itself")
        return stack.enter_context(open_unpacked(path))
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Check the path") from error
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise UnreadableError(path, "", problem, "Check its permissions") from error


class _Unpacked(io.RawIOBase):
    """The bytes of a file. Errors of reading and unpacking become errors that name the file."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            piece = self._stream.read(len(buffer))
        except GZIP_ERRORS as error:
            raise InputError(self._path, "", f"damaged gzip ({error})", "Pack or copy it again") from error
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise UnreadableError(self._path, "", problem, "Check the disk") from error
        buffer[: len(piece)] = piece
        return len(piece)


def _check_text(path: Path, head: bytes) -> None:
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            raise InputError(path, "", f"is {name}, not UTF-8", _CONVERT)
    for signature, kind, remedy in _SIGNATURES:
        if head.startswith(signature):
            raise InputError(path, "", f"is {kind}", remedy)
    start, signature = _TAR
    if head[start : start + len(signature)] == signature:
        raise InputError(path, "", "is a tar archive", _UNPACK)
    if 0 in head:
        _check_zeros(path, head)


def _check_zeros(path: Path, head: bytes) -> None:
    """Refuses other encodings and binary files. A text may have a few NUL bytes: readers name their lines."""
    zeros = head.count(0)
    if zeros == len(head):
        raise InputError(path, "", "holds NUL bytes only", "Copy the file again")
    # Without a byte order mark, text in UTF-32 has two zeros in each four bytes, on one side.
    if any(not head[place::4].strip(b"\0") and not head[place + 1 :: 4].strip(b"\0") for place in (0, 2)):
        raise InputError(path, "", "looks like UTF-32, not UTF-8", _CONVERT)
    # Western text in UTF-16 has a zero in every second byte, other text at spaces and digits.
    is_one_side = zeros in (head[0::2].count(0), head[1::2].count(0))
    few = max(2, len(head) // 50)
    if is_one_side and (zeros > len(head) // 4 or (zeros > few and not _is_utf8(head))):
        raise InputError(path, "", "looks like UTF-16, not UTF-8", _CONVERT)
    # A file that was not copied to its end may have zeros there.
    text = head.rstrip(b"\0")
    strange = len(text) - len(text.translate(None, b"\0" + _CONTROLS))
    if strange > max(1, len(text) // (5 if _is_utf8(head) else 50)):
        raise InputError(path, "", "is binary, not text", "Give a file of text in UTF-8")


def _is_utf8(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8. Their last character may be incomplete."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
