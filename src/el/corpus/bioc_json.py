"""Reads and writes BioC JSON, one document at a time.

The collection may be the only item of a list, as in files of PubMed Central. The documents' key is
`documents`, or `PubTator3` in files of that service.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired, TextIO, TypedDict

from el.base.errors import ElError, InputError
from el.corpus.bioc_documents import (
    JsonHead,
    JsonSource,
    head_row,
    line_end,
    read_row,
    row_of,
    with_links,
)
from el.corpus.bioc_tree import Row
from el.corpus.checks import Skip, read_each
from el.corpus.json_stream import JsonStream, Piece
from el.corpus.opening import open_input
from el.corpus.schema import check_types
from el.corpus.types import Document, LinkedDocument

DOCUMENT_KEYS = ("documents", "PubTator3")


class _Head(TypedDict):
    infons: NotRequired[dict[str, Any] | None]


def read_bioc_json(path: Path, skip: Skip | None = None) -> Iterator[Document]:
    """Yields the documents of a BioC JSON file. See `el.corpus.bioc_xml.read_bioc` for what is read.

    Args:
        path: the file.
        skip: receives the error of each document or mention that cannot be used, which is skipped. None
            raises the error. After an error between documents, the rest of the file is not read. An error
            before the first document is raised in any case.

    Raises:
        InputError: the file is missing or not BioC JSON, a document is too large, a value has a wrong type,
            or a mention's text differs from the text at its offsets.
    """

    def read(piece: Piece | InputError) -> Document:
        if isinstance(piece, InputError):
            raise piece
        row = piece.value(path)
        if not isinstance(row, dict):
            raise InputError(
                path, f"line {piece.line}", "a document is not a JSON object", "Give BioC documents"
            )
        return read_row(path, row, JsonSource(row), skip=skip)

    return read_each(_pieces(path), read, skip)


def read_bioc_json_head(path: Path) -> JsonHead:
    """Returns the part of a BioC JSON file beside its documents. The whole file is read for it.

    Raises:
        InputError: the file is missing, or not BioC JSON up to its first document.
    """
    with open_input(path) as opened:
        stream = JsonStream(path, opened)
        collection = _Collection(path, stream)
        # The reader of the documents reports an error that follows the first of them.
        for piece in collection.pieces():
            if isinstance(piece, InputError):
                break
        return JsonHead(collection.row, collection.key, collection.is_listed, stream.line_end or "\n")


class BioCJsonWriter:
    """Writes documents as one BioC JSON collection, one document a line.

    A document that was read from BioC keeps all its content, also JSON keys unknown to BioC. Links are added
    as in `el.corpus.bioc_xml.BioCXmlWriter`.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Begins the collection.

        Args:
            stream: an open text stream in UTF-8.
            head: the head of a collection in JSON or XML; any other head is dropped.
        """
        self._stream = stream
        self._head = head if isinstance(head, JsonHead) else JsonHead(head_row(head), line_end=line_end(head))
        self._separator = self._head.line_end
        opening = "[" if self._head.is_listed else ""
        pairs = [f"{_dumped(key)}: {_dumped(value)}, " for key, value in self._head.row.items()]
        stream.write(f"{opening}{{{''.join(pairs)}{_dumped(self._head.key)}: [")

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document.

        Raises:
            ElError: BioC or a file in UTF-8 cannot hold the document.
        """
        text = _dumped(with_links(row_of(linked.document), linked))
        try:
            text.encode()
        except UnicodeEncodeError as error:
            problem = f"document {linked.document.id!r} holds half a surrogate pair"
            raise ElError(f"{problem}, which UTF-8 cannot hold. Write whole characters") from error
        self._stream.write(self._separator + text)
        self._separator = f",{self._head.line_end}"

    def finish(self) -> None:
        """Ends the collection."""
        end = self._head.line_end
        self._stream.write(f"{end}]}}" + ("]" if self._head.is_listed else "") + end)


class _Collection:
    """A collection that is read in pieces. After the last piece, its other keys and values are known.

    Attributes:
        row: the collection's object without its documents.
        key: the key of the documents.
        is_listed: whether the collection is the only item of a list.
    """

    def __init__(self, path: Path, stream: JsonStream) -> None:
        self.row: Row = {}
        self.key = ""
        self.is_listed = stream.next() == "["
        self._path = path
        self._stream = stream

    def pieces(self) -> Iterator[Piece | InputError]:
        """Yields the documents, and as the last piece an error that follows the first document."""
        is_begun = False
        try:
            for piece in self._pieces():
                is_begun = True
                yield piece
        except InputError as error:
            if not is_begun:
                raise
            yield error

    def _pieces(self) -> Iterator[Piece]:
        stream = self._stream
        if self.is_listed:
            stream.take("[")
        if stream.next() != "{":
            raise self._not_one()
        for _ in stream.items("{", "}"):
            if stream.next() != '"':
                raise self._not_one()
            key = stream.read().value(self._path)
            stream.take(":")
            if key not in DOCUMENT_KEYS:
                self._add(key, stream.read())
                continue
            if self.key or stream.next() != "[":
                raise self._not_one()
            self.key = key
            for _ in stream.items("[", "]"):
                yield stream.read()
        if not self.key or (self.is_listed and stream.next() == ","):
            raise self._not_one()
        if self.is_listed:
            stream.take("]")
        if stream.next():
            raise self._not_one()

    def _add(self, key: str, piece: Piece) -> None:
        place = f"line {piece.line}"
        if key in self.row:
            problem = f"the key {key!r} stands twice in one object"
            raise InputError(self._path, place, problem, "Remove one of the two")
        value = piece.value(self._path)
        check_types(self._path, place, {key: value}, _Head)
        self.row[key] = value

    def _not_one(self) -> InputError:
        problem = "not one BioC collection with its documents"
        return InputError(self._path, "", problem, "Give a file that holds one collection")


def _pieces(path: Path) -> Iterator[Piece | InputError]:
    with open_input(path) as opened:
        yield from _Collection(path, JsonStream(path, opened)).pieces()


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
