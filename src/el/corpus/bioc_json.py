"""Reads and writes BioC JSON.

A file is read whole and may have up to 200 MB. Documents are written one at a time. The collection may be the
only item of a list, as in files of PubMed Central. The documents' key is `documents`, or `PubTator3` in files
of that service.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from el.base.errors import InputError
from el.corpus.bioc_documents import (
    JsonHead,
    JsonSource,
    Row,
    all_annotations,
    annotation_row,
    found_infons,
    head_row,
    read_row,
    row_holders,
    row_of,
    with_link_infons,
)
from el.corpus.checks import Skip, read_each
from el.corpus.fields import FreeIds
from el.corpus.opening import decoded, read_whole
from el.corpus.plain import BYTE_ORDER_MARK
from el.corpus.store import loaded
from el.corpus.types import Document, LinkedDocument

MAX_FILE = 200_000_000
"""The most bytes that a file may have, unpacked. Reading takes several times as much memory: a larger value
needs a larger machine."""

DOCUMENT_KEYS = ("documents", "PubTator3")


def read_bioc_json(path: Path, skip: Skip | None = None) -> Iterator[Document]:
    """Yields the documents of a BioC JSON file. See `el.corpus.bioc_xml.read_bioc` for what is read.

    Args:
        path: the file.
        skip: receives the error of each document that cannot be used, and the document is skipped. None
            raises the error. A file that is not JSON raises an error in any case.

    Raises:
        InputError: the file is missing, too large or not BioC JSON, or a mention's text differs from the text
            at its offsets.
    """

    def read(row: Any) -> Document:
        if not isinstance(row, dict):
            raise InputError(path, "documents", "not a JSON object", "Give BioC documents")
        return read_row(path, row, JsonSource(row), 0, [])

    _, documents = _read(path)
    return read_each(documents, read, skip)


def read_bioc_json_head(path: Path) -> JsonHead:
    """Returns the part of a BioC JSON file beside its documents.

    Raises:
        InputError: the file is missing, too large or not BioC JSON.
    """
    return _read(path)[0]


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
        self._head = head if isinstance(head, JsonHead) else JsonHead(head_row(head))
        self._separator = "\n"
        opening = "[" if self._head.is_listed else ""
        pairs = [f"{_dumped(key)}: {_dumped(value)}, " for key, value in self._head.row.items()]
        stream.write(f"{opening}{{{''.join(pairs)}{_dumped(self._head.key)}: [")

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document."""
        row = _with_links(row_of(linked.document), linked)
        self._stream.write(self._separator + _dumped(row))
        self._separator = ",\n"

    def finish(self) -> None:
        """Ends the collection."""
        self._stream.write("\n]}" + ("]" if self._head.is_listed else "") + "\n")


def _read(path: Path) -> tuple[JsonHead, list[Any]]:
    text = decoded(path, read_whole(path, MAX_FILE)).removeprefix(BYTE_ORDER_MARK)
    value = loaded(path, "", text)
    is_listed = isinstance(value, list) and len(value) == 1
    row = value[0] if is_listed else value
    key = next((key for key in DOCUMENT_KEYS if isinstance(row, dict) and key in row), None)
    if key is None or not isinstance(row[key], list):
        problem = "not one BioC collection with its documents"
        raise InputError(path, "", problem, "Give a file that holds one collection")
    return JsonHead({name: row[name] for name in row if name != key}, key, is_listed), row[key]


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _with_links(row: Row, linked: LinkedDocument) -> Row:
    """A copy of the object with links. The given object is not changed."""
    if not linked.mentions:
        return row
    row = json.loads(json.dumps(row))
    given = linked.given
    free = FreeIds(str(annotation["id"]) for annotation in all_annotations(row))
    holders = row_holders(row)
    for annotation in all_annotations(row):
        link = given.get(str(annotation["id"]))
        if link is not None:
            annotation["infons"] = with_link_infons(annotation.get("infons") or {}, link)
    for found in linked.found:
        annotation = annotation_row(found.mention, free.take(found.mention.id), found_infons(found))
        level = holders.at(found.mention.start)
        level["annotations"] = [*(level.get("annotations") or ()), annotation]
    return row
