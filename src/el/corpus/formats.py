"""Reads a corpus in any format, and writes linked documents in the same format or another.

| format | read | written | recognised by |
|---|---|---|---|
| `bioc` | yes | yes | `<?xml`, `<!DOCTYPE` or `<collection` |
| `bioc-json` | yes | yes | JSON with `documents` (or `PubTator3`) before any text |
| `pubtator` | yes | yes | `id|t|` |
| `brat` | yes | yes | a `.txt` and an `.ann` of one name |
| `jsonl` | yes | yes | JSON with `text` or `passages` |
| `plain` | yes | no | all other text |
| `tsv`, `links` | no | yes | |

A document that is written in the format it was read from keeps all its content; each writer's documentation
says what is added. In another format, a document keeps the content of `Document`: text, passages, mentions,
ids and relations. Between `bioc` and `bioc-json`, all content of BioC is kept. A format that cannot hold
something drops the content or refuses the document:

- `bioc`, `bioc-json`: the texts of a composite's parts are dropped. XML refuses control characters.
- `pubtator`: the ids of mentions are dropped. Refused are passages other than title and abstract,
  discontinuous mentions, parts that are annotated in addition to their composite, tabs and line ends.
- `brat`: passages become one text. The ids and roles of mentions, the texts of parts, and relations between
  other things than mentions are dropped. In a folder, an id that cannot be the name of a file is refused.
- `jsonl`: everything is kept.
- `tsv` and `links`: everything except links is dropped.
"""

import codecs
import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TextIO, get_args

from el.base.errors import InputError, UsageError
from el.corpus.bioc_json import BioCJsonWriter, read_bioc_json, read_bioc_json_head
from el.corpus.bioc_xml import BioCXmlWriter, read_bioc, read_bioc_head
from el.corpus.brat import brat_files, counterpart, is_annotations, open_brat, read_brat
from el.corpus.checks import Skip
from el.corpus.opening import read_head, written_text
from el.corpus.plain import read_plain
from el.corpus.pubtator import PubTatorWriter, read_pubtator
from el.corpus.store import JsonLinesWriter, read_documents
from el.corpus.tables import LinksWriter, TableWriter
from el.corpus.types import Document, LinkedDocument

Format = Literal["bioc", "bioc-json", "pubtator", "brat", "jsonl", "plain"]
OutputFormat = Literal["bioc", "bioc-json", "pubtator", "brat", "jsonl", "tsv", "links"]

FORMATS: tuple[Format, ...] = get_args(Format)
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

_XML = re.compile(rb"<(\?xml|!DOCTYPE|collection)\b")
_PUBTATOR = re.compile(rb"[^|\t\n]+\|t\|")
# The first of these keys distinguishes a collection from a document. Inside a JSON string, the quotes around
# a key would be escaped, so no text can look like a key.
_JSON_KEY = re.compile(rb'"(documents|PubTator3|passages|text)"\s*:')


class Writer(Protocol):
    """Writes linked documents in one format, one at a time."""

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document."""


class _StreamWriter(Writer, Protocol):
    def finish(self) -> None: ...


@dataclass(frozen=True)
class Corpus:
    """A file of documents. Each iteration reads the file again; no documents are kept in memory.

    Attributes:
        path: the file.
        format: its format.
    """

    path: Path
    format: Format

    @property
    def head(self) -> object:
        """The information above the file's documents, for a writer; None if the format has none.

        Raises:
            InputError: see `documents`.
        """
        if self.format == "bioc":
            return read_bioc_head(self.path)
        if self.format == "bioc-json":
            return read_bioc_json_head(self.path)
        return None

    def __iter__(self) -> Iterator[Document]:
        return self.documents()

    def documents(self, skip: Skip | None = None) -> Iterator[Document]:
        """Yields the documents. One is in memory at a time; BioC JSON is read whole.

        Args:
            skip: receives the error of each document that cannot be used, and the document is skipped. None
                raises the error. An error after which the start of the next document is unknown is raised
                in any case.

        Raises:
            InputError: the file or a document cannot be used, or the file holds no documents.
        """
        is_empty = True

        def report(error: InputError) -> None:
            nonlocal is_empty
            is_empty = False
            if skip is None:
                raise error
            skip(error)

        for document in _READERS[self.format](self.path, report):
            is_empty = False
            yield document
        if is_empty:
            raise InputError(self.path, "", "holds no documents", "Give a file with documents in it")


def open_corpus(path: Path, format: Format | Literal["auto"] = "auto") -> Corpus:
    """Opens a file of documents, optionally gzipped.

    Args:
        path: the file. A brat document is given by either of its two files.
        format: "auto" recognises the format by the start of the file and by a brat file beside it. A file
            that is not recognised is plain text.

    Raises:
        InputError: the file is missing, is empty, is packed in another way or is not text.
        UnreadableError: the path is a folder, or the file cannot be read.
    """
    head = read_head(path)
    # The annotations of a brat document may be empty: a new document has none.
    if not head and not is_annotations(path):
        raise InputError(path, "", "is empty", "Give a file with text in it")
    return Corpus(path, _recognise(path, head) if format == "auto" else format)


def output_format(format: Format) -> OutputFormat:
    """Returns the default output format: the format of the input, or a table for plain text."""
    return "tsv" if format == "plain" else format


@contextlib.contextmanager
def open_writer(target: Path | TextIO, format: OutputFormat, head: object = None) -> Iterator[Writer]:
    """Yields a writer of linked documents.

    Args:
        target: a file, which is written whole or not at all, and is gzipped if its name ends in `.gz`. Or an
            open text stream in UTF-8. For brat, a name: see `el.corpus.brat.open_brat`.
        format: the format.
        head: the head of the corpus that the documents come from; see `Corpus.head`.

    Raises:
        UsageError: brat is to be written to a stream.
        ElError: the format cannot hold a document.
    """
    if format == "brat":
        if not isinstance(target, Path):
            raise UsageError("brat needs two files; give a name for them")
        with open_brat(target) as brat:
            yield brat
        return
    with written_text(target) if isinstance(target, Path) else contextlib.nullcontext(target) as stream:
        writer = _WRITERS[format](stream, head)
        yield writer
        writer.finish()


def output_files(target: Path, format: OutputFormat) -> tuple[Path, ...]:
    """Returns the files, or the folder, that `open_writer` writes for a target."""
    return brat_files(target) if format == "brat" else (target,)


def _recognise(path: Path, head: bytes) -> Format:
    if is_annotations(path) or counterpart(path) is not None:
        return "brat"
    head = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if _XML.match(head):
        return "bioc"
    if _PUBTATOR.match(head):
        return "pubtator"
    key = _JSON_KEY.search(head) if head.startswith((b"{", b"[")) else None
    if key is not None:
        return "jsonl" if key[1] in (b"passages", b"text") else "bioc-json"
    return "plain"


_READERS: dict[Format, Callable[[Path, Skip], Iterator[Document]]] = {
    "bioc": lambda path, skip: read_bioc(path, skip=skip),
    "bioc-json": read_bioc_json,
    "pubtator": read_pubtator,
    "brat": read_brat,
    "jsonl": partial(read_documents, keep_source=True),
    "plain": read_plain,
}
_WRITERS: dict[str, Callable[[TextIO, object], _StreamWriter]] = {
    "bioc": BioCXmlWriter,
    "bioc-json": BioCJsonWriter,
    "pubtator": PubTatorWriter,
    "jsonl": JsonLinesWriter,
    "tsv": TableWriter,
    "links": LinksWriter,
}
