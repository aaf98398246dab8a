"""Splits a file of JSON into its values, so that one value is in memory at a time.

The values are found by their brackets and quotes. Whether a value is JSON shows when it is decoded. So a
value that is damaged inside does not hide the values after it.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from el.base.errors import InputError
from el.corpus.opening import MAX_DEPTH, MAX_DOCUMENT, decoded, too_large
from el.corpus.store import loaded

# Bytes that are read at once. A larger value needs more memory.
_CHUNK = 1 << 16
_BLANKS = re.compile(rb"[ \t\r\n]*+")
# All outside of brackets, with strings as a whole. The quantifiers do not backtrack, so the time is linear.
_ATOMS = rb'[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"'
# The same with small objects and lists in it, which are faster to skip here than one bracket at a time.
_FLAT = rb"%b|[{\[](?:%b)*+[}\]]" % (_ATOMS, _ATOMS)
_SMALL = rb"%b|[{\[](?:%b)*+[}\]]" % (_ATOMS, _FLAT)
_TO_BRACKET = re.compile(rb"(?:%b|[{\[](?:%b)*+[}\]])*+" % (_ATOMS, _SMALL), re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PLAIN = re.compile(rb'[^\s,:"{}\[\]]*+')
# The control characters that are no white space.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes of one value.

    Attributes:
        line: the line of the first byte, from 1.
        offset: the place of the first byte in the file.
        raw: the bytes.
        depth: the most brackets inside each other.
    """

    line: int
    offset: int
    raw: bytes
    depth: int = 0

    def value(self, path: Path) -> Any:
        """Returns the value.

        Raises:
            InputError: the bytes are not JSON or not UTF-8, or are nested too deep.
        """
        place = f"line {self.line}"
        if self.depth > MAX_DEPTH:
            problem = f"nested too deep (more than {MAX_DEPTH} brackets)"
            raise InputError(path, place, problem, "Give documents of the usual form")
        if control := _CONTROL.search(self.raw):
            line = self.line + self.raw.count(b"\n", 0, control.start())
            byte = self.offset + control.start()
            problem = f"holds the control character U+{ord(control[0]):04X} (byte {byte} of the file)"
            raise InputError(path, f"line {line}", problem, "Remove the character or write it as an escape")
        text = decoded(path, self.raw, self.offset, place)
        try:
            return loaded(path, place, text)
        except InputError as error:
            raise self._placed(path, text) or error from error

    def _placed(self, path: Path, text: str) -> InputError | None:
        """The error for text that is not JSON, with its place in the file; None for other errors."""
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            byte = self.offset + len(text[: error.pos].encode())
            problem = f"not JSON ({error.msg}, byte {byte} of the file)"
            return InputError(path, f"line {self.line + error.lineno - 1}", problem, "Correct the value")
        except (ValueError, RecursionError):
            pass
        return None


class JsonStream:
    """Reads a file of JSON from its start to its end.

    Args:
        path: the file, for messages.
        stream: its bytes.

    Attributes:
        line_end: the first line end that was read; "" before that.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.line_end = ""
        self._path = path
        self._stream = stream
        self._line, self._offset = 1, 0
        self._last = b""
        # From the place up to which the file is read on.
        self._buffer = bytearray()
        self._fill(_CHUNK)
        if self._buffer.startswith(codecs.BOM_UTF8):
            self._drop(len(codecs.BOM_UTF8))

    def next(self) -> str:
        """Returns the next character that is not white space, without reading it; "" at the end."""
        while True:
            blanks = _BLANKS.match(self._buffer)
            self._drop(blanks.end() if blanks else 0)
            if self._buffer or not self._fill(_CHUNK):
                return chr(self._buffer[0]) if self._buffer else ""

    def take(self, *expected: str) -> str:
        """Reads the next character that is not white space.

        Raises:
            InputError: the character is none of the expected ones.
        """
        found = self.next()
        if found not in expected:
            problem = (
                f"{found!r} in place of {' or '.join(map(repr, expected))}" if found else "the file ends"
            )
            raise self._not_json(problem)
        self._drop(1)
        return found

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Yields before each item of an object or a list. The caller reads the item.

        Args:
            opening: the bracket that opens it.
            closing: the bracket that closes it.

        Raises:
            InputError: a bracket or a comma is missing.
        """
        self.take(opening)
        if self.next() == closing:
            self.take(closing)
            return
        yield
        while self.take(",", closing) == ",":
            yield

    def read(self) -> Piece:
        """Reads the next value.

        Raises:
            InputError: there is no value, its end is missing, or it is larger than `MAX_DOCUMENT`.
        """
        first = self.next()
        line, offset = self._line, self._offset
        depth = 0
        if first in ("{", "["):
            size, depth = self._container()
        else:
            size = self._match(_STRING if first == '"' else _PLAIN, 0)
        if size == 0:
            raise self._not_json(f"{first!r} where a value belongs" if first else "the file ends")
        return Piece(line, offset, self._drop(size), depth)

    def _container(self) -> tuple[int, int]:
        """The bytes of the object or list at the start of the buffer, and its depth (or up to three less)."""
        deepest = depth = 1
        end = 1
        while True:
            end = self._match(_TO_BRACKET, end)
            if end == len(self._buffer) or self._buffer[end] not in b"{}[]":
                raise self._without_end()
            depth += 1 if self._buffer[end] in b"{[" else -1
            deepest = max(deepest, depth)
            end += 1
            if depth == 0:
                return end, deepest

    def _match(self, pattern: re.Pattern[bytes], start: int) -> int:
        """The end of a match in the buffer, which is filled until other bytes follow or the file ends."""
        while True:
            match = pattern.match(self._buffer, start)
            end = match.end() if match else start
            # A string whose end is missing stops the pattern.
            is_cut = end == len(self._buffer) or (self._buffer[end] == ord('"') and pattern is not _PLAIN)
            if pattern is _STRING:
                is_cut = match is None
            if not is_cut:
                return end
            if len(self._buffer) > MAX_DOCUMENT:
                raise self._without_end()
            # What is not matched yet is searched again, so the buffer doubles: the time is linear.
            if not self._fill(max(_CHUNK, len(self._buffer) - start)):
                return end

    def _fill(self, size: int) -> bool:
        """Reads more of the file into the buffer, but little more than one document may have."""
        chunk = self._stream.read(min(size, max(_CHUNK, MAX_DOCUMENT + 1 - len(self._buffer))))
        if not self.line_end and b"\n" in chunk:
            before = (self._last + chunk)[: len(self._last) + chunk.index(b"\n")]
            self.line_end = "\r\n" if before.endswith(b"\r") else "\n"
        self._last = chunk[-1:]
        self._buffer += chunk
        return bool(chunk)

    def _drop(self, size: int) -> bytes:
        raw = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._line += raw.count(b"\n")
        self._offset += size
        return raw

    def _not_json(self, problem: str) -> InputError:
        problem = f"not JSON ({problem} at byte {self._offset} of the file)"
        return InputError(self._path, f"line {self._line}", problem, "Check that the file is complete")

    def _without_end(self) -> InputError:
        """The error for a value whose end is not found: the file ends, the value is too large or not JSON."""
        is_large = len(self._buffer) > MAX_DOCUMENT
        try:
            json.loads(self._buffer)
        except json.JSONDecodeError as error:
            # A quote too many hides the end of a value. The decoder stops near it, long before the limit.
            if not is_large or (not error.msg.startswith("Unterminated") and error.pos < MAX_DOCUMENT // 2):
                return self._not_json(f"{error.msg}, {error.pos} characters after the value's start")
        except (ValueError, RecursionError):
            pass
        place = f"value at line {self._line}"
        return too_large(self._path, place) if is_large else self._not_json("the value has no end; it starts")
