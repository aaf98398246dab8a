"""Reads a corpus in any format, and writes linked documents in the same format or another.

| format | read | written | recognised by |
|---|---|---|---|
| `bioc` | yes | yes | XML with the outermost element `<collection>` |
| `bioc-json` | yes | yes | JSON whose outermost object has `documents` or `PubTator3` |
| `pubtator` | yes | yes | `id|t|`, and a line of the same id, an empty line or nothing after it |
| `brat` | yes | yes | a `.txt` and an `.ann` of one name |
| `jsonl` | yes | yes | JSON whose outermost object has `text` or `passages` |
| `plain` | yes | no | all other text |
| `tsv`, `links` | no | yes | |

If JSON has several of these keys within its first 64 KB, the first one in this table decides. Other XML, HTML
and other JSON are refused, unless the user gives their format.

A document that is written in the format it was read from keeps all its content; each writer's documentation
says what is added. In another format, a document keeps the content of `Document`: text, passages, mentions,
ids and relations. Between `bioc` and `bioc-json`, all content of BioC is kept. A format that cannot hold
something drops the content or refuses the document:

- All formats except `jsonl` drop `Mention.original_ids`.
- `bioc`, `bioc-json`: the texts of a composite's parts are dropped. XML refuses control characters.
- `pubtator`: the ids of mentions are dropped, and the role and texts of a composite that has not as many
  texts of parts as ids. Refused are passages other than title and abstract, discontinuous mentions, parts
  that are annotated in addition to their composite, tabs and line ends, and ids that would be read as others.
- `brat`: passages become one text. A mention gets a piece for each line that it runs over. Blanks in types
  become `_`. The ids and roles of mentions, the texts of parts, and relations between other things than
  mentions are dropped. Refused are ids with blanks, ids that would be read as others, and mentions outside
  the text. In a folder, an id that cannot be the name of a file is refused.
- `jsonl`: everything is kept.
- `tsv` and `links`: everything except links is dropped.

The prefix `MESH:` of a concept id is dropped in all formats except `jsonl`.
"""

import contextlib
import json
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
from el.corpus.opening import BLANK_LINE, BLANKS, HEAD_BYTES, MAX_DEPTH, MAX_DOCUMENT, read_head, written_text
from el.corpus.plain import read_plain
from el.corpus.pubtator import ID, PubTatorWriter, read_pubtator
from el.corpus.store import JsonLinesWriter, read_documents
from el.corpus.tables import TSV_COLUMNS, LinksWriter, TableWriter
from el.corpus.types import Document, LinkedDocument

Format = Literal["bioc", "bioc-json", "pubtator", "brat", "jsonl", "plain"]
OutputFormat = Literal["bioc", "bioc-json", "pubtator", "brat", "jsonl", "tsv", "links"]

FORMATS: tuple[Format, ...] = get_args(Format)
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

# What begins XML or HTML for certain. A text may begin with another tag, or with "<5 mg".
_XML = re.compile(r"<(?:\?xml|!DOCTYPE|html|collection)\b|<!--", re.IGNORECASE)
_PROLOG = re.compile(
    r"\s*(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*(?:\[.*?\]\s*)?>)", re.DOTALL | re.IGNORECASE
)
_ELEMENT = re.compile(r"\s*<([A-Za-z_][\w.:-]*)(?:\s[^<>]*)?/?>")
# The outermost elements of other kinds of XML that hold texts.
_OTHER_XML = {
    "html": "HTML",
    "article": "an article in JATS XML",
    "pmc-articleset": "articles in JATS XML",
    "PubmedArticleSet": "PubMed XML",
    "PubmedArticle": "PubMed XML",
    "MedlineCitationSet": "MEDLINE XML",
    "TEI": "TEI XML",
}
# A title, and then a line of the same document. A text cannot have both by chance.
_PUBTATOR = re.compile(r"^\ufeff?([^|\t\n]{1,200})\|t\|[^\n]*\n\1(?:\|a\||\t)", re.MULTILINE)
_PUBTATOR_TITLE = re.compile(rf"({ID})\|t\|[^\n]*")
_PUBTATOR_LINE = re.compile(rf"^{ID}\|[ta]\|", re.MULTILINE)
# What shows the keys of the outermost object in JSON: keys and braces. Other strings are passed over in the
# same search, because there may be millions. A string without an end ends with its line, so that no search is
# repeated.
_STRING = r'"((?:[^"\\\n]|\\.)*+)"?+'
_JSON_PIECE = re.compile(rf'(?:[^"{{}}]++|{_STRING}(?!\s*+:))*+({_STRING}\s*+:|[{{}}]|\Z)')
_JSON_KEYS: dict[str, "Format"] = {
    "documents": "bioc-json",
    "PubTator3": "bioc-json",
    "passages": "jsonl",
    "text": "jsonl",
}
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
# spaCy's training data: a text, and an object with its annotations.
_TEXT_AND_OBJECT = re.compile(rf"\[\s*{_STRING}\s*,\s*\{{")
# One JSON value over several lines, or a list of documents.
_NOT_LINES = re.compile(r"\{\s*\n|\[\s*[\n{\[]")
_TABLE = "\t".join(TSV_COLUMNS)


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
        """Yields the documents. One is in memory at a time.

        Args:
            skip: receives the error of each document, and of each mention (`MentionError`), that cannot be
                used, and the document or the mention is skipped. None raises the error. An error after which
                the start of the next document is unknown ends the reading: it is received, or raised.

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
        format: "auto" recognises the format by the start of the file and by a brat file beside it. A text
            that is not recognised is plain text.

    Raises:
        InputError: the file is missing, is empty, is packed in another way or is not text. Or, with "auto",
            it is JSON, XML or a table that cannot be read.
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
    text = _beginning(head)
    if not text and len(head) == HEAD_BYTES:
        text = _beginning(read_head(path, MAX_DOCUMENT))
    if text.startswith("<"):
        return _of_markup(path, text)
    if text.startswith(("{", "[")):
        return _of_json(path, head, text)
    if _is_pubtator(text):
        return "pubtator"
    if text.startswith(_TABLE):
        raise InputError(path, "", "is a table of links, not of documents", "Give the documents themselves")
    if text and _has_json_suffix(path):
        raise InputError(path, "", "is not JSON, as its name says", "Check the file, or name its format")
    return "plain"


def _beginning(head: bytes) -> str:
    """The first characters of a file without blanks before them."""
    return re.sub(rf"\A[{BLANKS}]+", "", head.decode("utf-8", "replace"))


def _is_pubtator(text: str) -> bool:
    """Whether a text begins with a title and goes on as PubTator, or has a PubTator document further on."""
    title = _PUBTATOR_TITLE.match(text)
    if title is None:
        return _PUBTATOR.search(text) is not None
    # A title alone is followed by an empty line, or by nothing.
    _, _, rest = text[title.end() :].partition("\n")
    is_alone = BLANK_LINE.fullmatch(rest.partition("\n")[0]) is not None
    return is_alone or f"\n{title[1]}\t" in f"\n{rest}" or _PUBTATOR_LINE.search(rest) is not None


def _of_markup(path: Path, text: str) -> Format:
    """The format of what begins with `<`: BioC, or plain text that is no XML.

    Raises:
        InputError: it is XML or HTML of another kind.
    """
    place = 0
    while prolog := _PROLOG.match(text, place):
        place = prolog.end()
    element = _ELEMENT.match(text, place)
    name = element[1] if element else ""
    if not (_XML.match(text) or f"</{name}>" in text):
        return "plain"
    if name in ("", "collection"):
        return "bioc"
    kind = _OTHER_XML.get(name) or _OTHER_XML.get(name.lower(), "XML, but not BioC")
    problem = f"is {kind} (the outermost element is <{name[:50]}>, not <collection>)"
    raise InputError(path, "", problem, "Convert it to BioC XML, or name its format if it is plain text")


def _of_json(path: Path, head: bytes, text: str) -> Format:
    """The format of what begins as JSON: by the keys, or plain text that is no JSON.

    Raises:
        InputError: it is JSON without a text, or JSON with texts that is not one document a line.
    """
    keys = _json_keys(text)
    if not keys.keys() & _JSON_KEYS.keys() and len(head) == HEAD_BYTES:
        # The key stands further on.
        text = _beginning(read_head(path, MAX_DOCUMENT))
        keys = _json_keys(text)
    format = next((format for key, format in _JSON_KEYS.items() if key in keys), None)
    if format == "jsonl" and _NOT_LINES.match(text):
        remedy = "Put each document on one line: `jq -c` does this, and `jq -c '.[]'` for a list"
        raise InputError(path, "", "is JSON with a text, but not one document a line", remedy)
    if format is None and _TEXT_AND_OBJECT.match(text):
        return "jsonl"
    if format is None and (_has_json_suffix(path) or _is_json(text)):
        found = f"its keys: {', '.join(list(keys)[:10])[:200]}" if keys else "no keys"
        problem = f"is JSON without {', '.join(f'`{key}`' for key in _JSON_KEYS)} ({found})"
        remedy = "Put each document on its own line, with its text under the key `text`"
        raise InputError(path, "", problem, remedy)
    return format or "plain"


def _json_keys(text: str) -> dict[str, None]:
    """The keys of the outermost objects, in order, up to the end of the first object that tells the format.

    An object that is longer than `HEAD_BYTES` is not read further than needed.
    """
    keys: dict[str, None] = {}
    depth = 0
    is_told = False
    for piece in _JSON_PIECE.finditer(text):
        if piece[2] == "{":
            # A line that begins with a brace begins a new object, also if the line before is cut.
            depth = 1 if text.startswith("\n{", piece.end() - 2) else depth + 1
        elif piece[2] == "}":
            depth -= 1
        elif depth == 1 and piece[2]:
            keys[piece[3]] = None
            is_told |= piece[3] in _JSON_KEYS
        if depth > MAX_DEPTH or (is_told and (depth == 0 or piece.end() > HEAD_BYTES)):
            break
    return keys


def _is_json(text: str) -> bool:
    """Whether a text, or its first line, is JSON."""
    for part in (text.partition("\n")[0], text):
        try:
            json.loads(part)
        except RecursionError:
            return True
        except ValueError:
            continue
        return True
    return False


def _has_json_suffix(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(_JSON_SUFFIXES)


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
