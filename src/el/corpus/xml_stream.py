"""Splits a file of BioC XML into its documents, so that one document is in memory at a time.

expat finds where documents start and end, and reports the declarations, so that entities are refused before
another parser sees them.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from el.base.errors import InputError
from el.corpus.bioc_documents import XmlHead, XmlSource
from el.corpus.opening import MAX_DOCUMENT, open_input, too_large

CHECK = "Check the file against BioC.dtd"
TAG = r"<(?P<end>/)?(?P<name>[^\s/>!?]+)(?:[^>\"']|\"[^\"]*\"|'[^']*')*+>"
"""A pattern for a start tag or an end tag."""

# Bytes that are parsed at once. A larger value needs more memory.
_CHUNK = 1 << 16
_INVALID_TOKEN = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
# Python's names of the encodings in which a byte of ASCII always stands for its character.
_ENCODINGS = re.compile(r"utf-8|ascii|iso8859-\d+|cp125\d")
_DECLARED = re.compile(r"(<\?xml[^>]*?\sencoding\s*=\s*[\"'])[^\"']*")
_DOCUMENT = re.compile(rb"<document(?=[\s/>])")
_TAG = re.compile(TAG.encode())
_END_TAG = re.compile(rb"</document\s*>")
# Characters of Unicode that XML does not allow, beside control characters.
_NO_CHARACTERS = {b"\xef\xbf\xbe": "U+FFFE", b"\xef\xbf\xbf": "U+FFFF"}


@dataclass(frozen=True, slots=True)
class XmlPiece:
    """A document.

    Attributes:
        line: the line at which it starts, from 1.
        source: its characters.
    """

    line: int
    source: XmlSource


class XmlStream:
    """A collection that is read from its start to its end.

    Args:
        path: the file.

    Attributes:
        head: the part above the documents, once the first piece has been read.
    """

    def __init__(self, path: Path) -> None:
        self.head = XmlHead()
        self._path = path
        self._encoding = "utf-8"
        self._root_at = 0
        self._root = b""
        self._is_begun = False
        self._waiting: tuple[int, str] | None = None
        # The start and end tags of documents, and the end tag of the collection, by their places.
        self._tags: list[tuple[str, int]] = []
        self._buffer = _Buffer()
        # The place of the last error.
        self._error_at = 0
        self._guard = self._make_guard()

    def pieces(self) -> Iterator[XmlPiece | InputError]:
        """Yields the documents, and an error in place of each that is not well-formed or too large.

        Raises:
            InputError: an error before the first document, or a declaration or element that is refused.
        """
        with open_input(self._path) as stream:
            while True:
                chunk = stream.read(_CHUNK)
                self._buffer.add(chunk)
                error = self._parse(chunk)
                yield from self._taken()
                while error is not None:
                    if not self._is_begun:
                        raise error
                    yield from self._ended("\n")
                    yield error
                    if not self._resume(stream):
                        return
                    error = self._parse(self._buffer.rest())
                    yield from self._taken()
                if not chunk:
                    return

    def _parse(self, chunk: bytes) -> InputError | None:
        """Returns an error after which reading may go on at the next document."""
        try:
            self._guard.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            return self._not_well_formed(error)
        except _NestedError as error:
            self._error_at = error.place
            problem = "a document starts before the end of the last one"
            return InputError(self._path, self._buffer.line(error.place), problem, CHECK)
        except (LookupError, ValueError) as error:
            raise _bad_encoding(self._path, str(error)) from error
        last = self._tags[-1][1] if self._tags else self._buffer.start
        if self._buffer.stop - last > MAX_DOCUMENT:
            self._error_at = self._buffer.stop
            return too_large(self._path, f"document at {self._buffer.line(last)}")
        return None

    def _not_well_formed(self, error: expat.ExpatError) -> InputError:
        place = self._error_at = max(self._guard.ErrorByteIndex, self._buffer.start)
        raw = self._buffer.some(place, 3)
        is_bad_byte = error.code == _INVALID_TOKEN
        problem = "not well-formed XML" + ("" if is_bad_byte else f" ({expat.ErrorString(error.code)})")
        remedy = "Write & and < as &amp; and &lt; in texts, and check that the file is complete"
        if is_bad_byte and raw in _NO_CHARACTERS:
            problem, remedy = f"holds {_NO_CHARACTERS[raw]}, which is no character", "Remove it"
        elif is_bad_byte and raw[:1] >= b"\x80":
            problem = f"not {self._encoding.upper()}"
            remedy = "Convert the file to the encoding that it declares"
        elif is_bad_byte and raw and raw[0] < 0x20:
            problem, remedy = f"holds the control character U+{raw[0]:04X}", "Remove the character"
        where = f"byte {self._buffer.in_file(place)} of the file"
        return InputError(self._path, self._buffer.line(place), f"{problem} at {where}", remedy)

    def _resume(self, stream: BinaryIO) -> bool:
        """Goes on at the next document after an error. Returns whether there is one."""
        # An error may stand at the start of the damaged document.
        place = max(self._error_at, self._buffer.start + 1)
        while (start := self._buffer.find(_DOCUMENT, place)) is None:
            # A part of the tag may be there already.
            self._buffer.cut(max(self._buffer.start, self._buffer.stop - 2 * len("<document")))
            place = self._buffer.start
            chunk = stream.read(_CHUNK)
            if not chunk:
                return False
            self._buffer.add(chunk)
        self._buffer.cut(start)
        self._guard = self._make_guard(self._encoding)
        self._guard.Parse(self._root, False)
        self._buffer.start = len(self._root)
        return True

    def _taken(self) -> Iterator[XmlPiece]:
        """Yields the documents that have ended. What follows a document is known at the next tag."""
        for name, place in self._tags:
            if name == "end":
                line = self._buffer.line_number(self._buffer.start)
                self._waiting = line, self._decoded(self._buffer.cut(self._buffer.end_of_tag(place)))
                continue
            raw = self._buffer.cut(place)
            if not self._is_begun:
                self._take_head(raw)
            yield from self._ended(self._decoded(raw))
        self._tags.clear()

    def _ended(self, after: str) -> Iterator[XmlPiece]:
        if self._waiting is not None:
            line, xml = self._waiting
            self._waiting = None
            yield XmlPiece(line, XmlSource(self._decoded(self._root), xml, after))

    def _take_head(self, raw: bytes) -> None:
        self._is_begun = True
        tag = _TAG.match(raw, self._root_at)
        self._root = tag[0] if tag else b""
        prolog = self._decoded(raw[: self._root_at])
        if self._encoding != "utf-8":
            prolog = _DECLARED.sub(r"\1UTF-8", prolog, count=1)
        self.head = XmlHead(prolog, self._decoded(raw[self._root_at :]))

    def _decoded(self, raw: bytes) -> str:
        return raw.decode(self._encoding)

    def _make_guard(self, encoding: str | None = None) -> expat.XMLParserType:
        guard = expat.ParserCreate(encoding)
        depth = 0

        def error(problem: str, remedy: str) -> InputError:
            return InputError(self._path, self._buffer.line(guard.CurrentByteIndex), problem, remedy)

        def refuse_declared(name: str, *_: Any) -> None:
            raise error(f"declares the entity {name!r}", "Write its text out and remove the declaration")

        def refuse_used(name: str, _: bool) -> None:
            raise error(f"uses the entity {name!r}", "Write its text out")

        def start(name: str, _: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth == 1:
                if name != "collection":
                    problem = f"the outermost element is <{name}>, not <collection>"
                    raise InputError(self._path, "", problem, "Give a BioC XML file")
                if not self._is_begun:
                    self._root_at = guard.CurrentByteIndex
            elif name == "document" and depth == 2:
                self._tags.append(("start", guard.CurrentByteIndex))
            elif name == "document":
                raise _NestedError(guard.CurrentByteIndex)
            elif depth == 2 and (self._is_begun or self._tags):
                raise error(f"<{name}> after the first document", "Put it before the documents")

        def end(name: str) -> None:
            nonlocal depth
            depth -= 1
            if depth == 1 and name == "document":
                self._tags.append(("end", guard.CurrentByteIndex))
            elif depth == 0:
                self._tags.append(("close", guard.CurrentByteIndex))

        def check_encoding(_: str, name: str | None, __: int) -> None:
            self._encoding = _codec(self._path, name or "utf-8")

        guard.EntityDeclHandler = refuse_declared
        guard.SkippedEntityHandler = refuse_used
        guard.StartElementHandler = start
        guard.EndElementHandler = end
        guard.XmlDeclHandler = check_encoding
        return guard


class _Buffer:
    """The bytes of a file that are still needed. Their places are those that expat counts.

    Attributes:
        start: the place of the first byte.
    """

    def __init__(self) -> None:
        self.start = 0
        self._raw = bytearray()
        self._line = 1
        self._dropped = 0

    @property
    def stop(self) -> int:
        """The place after the last byte."""
        return self.start + len(self._raw)

    def add(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._raw += chunk

    def cut(self, place: int) -> bytes:
        """Removes and returns the bytes before a place."""
        size = place - self.start
        raw = bytes(self._raw[:size])
        del self._raw[:size]
        self.start = place
        self._dropped += size
        self._line += raw.count(b"\n")
        return raw

    def rest(self) -> bytes:
        """Returns all bytes."""
        return bytes(self._raw)

    def some(self, place: int, most: int) -> bytes:
        """Returns the bytes from a place on, at most a number of them."""
        return bytes(self._raw[place - self.start : place - self.start + most])

    def find(self, pattern: re.Pattern[bytes], place: int) -> int | None:
        """Returns where a pattern is found, from a place on."""
        match = pattern.search(self._raw, place - self.start)
        return self.start + match.start() if match else None

    def end_of_tag(self, place: int) -> int:
        """Returns the place after a document whose end expat reports at a place."""
        tag = _END_TAG.match(self._raw, place - self.start)
        # The end of <document/> is reported behind it.
        return self.start + tag.end() if tag else place

    def line_number(self, place: int) -> int:
        """Returns the line of a place in the file, from 1."""
        return self._line + self._raw.count(b"\n", 0, place - self.start)

    def line(self, place: int) -> str:
        """Returns what messages call the line of a place."""
        return f"line {self.line_number(place)}"

    def in_file(self, place: int) -> int:
        """Returns the place in the file."""
        return self._dropped + place - self.start


class _NestedError(Exception):
    """A document starts inside a document, where the end of the other is missing.

    Args:
        place: the place of its start tag.
    """

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def _codec(path: Path, encoding: str) -> str:
    """The name of Python's codec for an encoding that a file declares."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        name = ""
    if not _ENCODINGS.fullmatch(name):
        raise _bad_encoding(path, encoding)
    return name


def _bad_encoding(path: Path, problem: str) -> InputError:
    remedy = "Convert the file to UTF-8, and declare that"
    return InputError(path, "", f"has an encoding that cannot be read ({problem})", remedy)
