"""Reads and writes PubTator.

A document is a block of lines that ends with an empty line: `id|t|title`, `id|a|abstract`, then lines of
columns separated by tabs. The abstract begins one character after the title's end. Columns:

    id  start  stop  text  type  [ids]  [texts of a composite's parts]  [scores]  ...     a mention
    id  kind  first id  second id  ...                                                    a relation

Ids, part texts and scores are joined by `|`, in the same order. The scores are an extension of this project:
the linker writes them, and the reader skips them. Further columns are kept but not interpreted.

The `bioc` library also has a reader of PubTator. That reader drops the seventh column, and it prints a line
that it cannot read to standard output instead of raising an error.
"""

import codecs
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from el.base.errors import ElError, InputError
from el.corpus.checks import Skip, make_document, read_each
from el.corpus.fields import format_ids, format_scores, parse_ids, split_ids
from el.corpus.opening import MAX_DOCUMENT, decoded, read_lines, too_large
from el.corpus.plain import BYTE_ORDER_MARK
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage, Role, Span

_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_SEPARATOR = re.compile(r"[\t\r\n]")
# More digits than the offsets of any text have. Python's int() refuses numbers of thousands of digits.
_OFFSET = re.compile(r"\d{1,9}")
_KINDS = {"t": "title", "a": "abstract"}
# The columns of a mention's line, from 0, that hold ids and scores; and the number of columns with scores.
_IDS, _SCORES, _COLUMNS = 5, 7, 8

NumberedLine = tuple[int, str]


@dataclass(frozen=True)
class _Block:
    """The bytes of one document.

    Attributes:
        number: the number of the first line in the file, from 1.
        offset: the place of the first byte in the file.
        raw: the bytes.
    """

    number: int
    offset: int
    raw: bytes


@dataclass(frozen=True)
class Source:
    """A document's lines as the file has them, with line ends and the empty lines around the document."""

    lines: tuple[str, ...]


def read_pubtator(path: Path, skip: Skip | None = None) -> Iterator[Document]:
    """Yields the documents of a PubTator file.

    The ids of mentions are their numbers in the document, from "0". Types are lower-cased. A mention with
    part texts is a composite. PubTator has no discontinuous mentions.

    Args:
        path: the file.
        skip: receives the error of each document that cannot be used, and the document is skipped. None
            raises the error.

    Raises:
        InputError: the file is missing, a document is too large or not UTF-8, a line cannot be read, or a
            mention's text differs from the text at its offsets.
    """
    return read_each(_blocks(path), lambda block: _read_block(path, block), skip)


class PubTatorWriter:
    """Writes documents as PubTator, one at a time.

    A document that was read from PubTator is written byte for byte, except for its links. A linked mention
    has the predicted ids in the sixth column, in place of gold ids, and their scores in the eighth. Mentions
    that the linker found follow the other mentions.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Prepares a writer.

        Args:
            stream: an open text stream.
            head: not used: PubTator files have no head.
        """
        del head
        self._stream = stream

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document.

        Raises:
            ElError: PubTator cannot hold the document.
        """
        source = linked.document.source
        lines = list(source.lines) if isinstance(source, Source) else _lines_of(linked.document)
        for found in linked.found:
            _check_mention(linked.document, found.mention)
        self._stream.writelines(_with_links(lines, linked))

    def finish(self) -> None:
        """Nothing follows the last document."""


def _blocks(path: Path) -> Iterator[_Block]:
    """Yields each document's bytes with the empty lines after it (and those before the first document)."""
    raw = bytearray()
    number, offset = 1, 0
    is_begun = is_ended = False
    for line in read_lines(path):
        if not line.raw.removeprefix(codecs.BOM_UTF8).strip():
            is_ended = is_begun
        elif is_ended:
            yield _Block(number, offset, bytes(raw))
            raw.clear()
            number, offset, is_ended = line.number, line.offset, False
        else:
            is_begun = True
        raw += line.raw
        if len(raw) > MAX_DOCUMENT:
            raise too_large(path, f"document at line {number}")
    if is_begun:
        yield _Block(number, offset, bytes(raw))


def _read_block(path: Path, block: _Block) -> Document:
    lines = _lines(path, block)
    numbered = [(number, _content(line)) for number, line in enumerate(lines, start=block.number)]
    numbered = [(number, line) for number, line in numbered if line.strip()]
    document_id, passages, rest = _read_texts(path, numbered)
    mentions: list[Mention] = []
    relations: list[tuple[str, str, str]] = []
    for number, line in rest:
        line_id, *columns = line.split("\t")
        if line_id != document_id:
            problem = f"not a line of document {document_id}, which continues until the next empty line"
            raise _bad_line(path, number, problem)
        if _is_mention(line):
            mentions.append(_read_mention(path, number, str(len(mentions)), columns))
        elif len(columns) >= 3:
            relations.append((columns[0], columns[1], columns[2]))
        else:
            raise _bad_line(
                path, number, f"{len(columns) + 1} columns; a mention has 5, a relation 4 or more"
            )
    return make_document(path, document_id, passages, mentions, relations, Source(tuple(lines)))


def _lines(path: Path, block: _Block) -> list[str]:
    """The lines of a block with their ends. Only line feeds end a line."""
    lines = []
    offset = block.offset
    for number, raw in enumerate(io.BytesIO(block.raw), start=block.number):
        lines.append(decoded(path, raw, offset, f"line {number}"))
        offset += len(raw)
    return lines


def _content(line: str) -> str:
    """A line without its end and without a byte order mark."""
    return line.removeprefix(BYTE_ORDER_MARK).removesuffix("\n").removesuffix("\r")


def _is_mention(line: str) -> bool:
    """Whether a line is a mention. A relation has a word, not a number, in its second column."""
    columns = line.split("\t")
    return len(columns) >= 5 and columns[1].isdecimal() and _TEXT_LINE.fullmatch(line) is None


def _read_texts(path: Path, block: list[NumberedLine]) -> tuple[str, list[Passage], list[NumberedLine]]:
    """Returns the document's id, its passages, and the remaining lines."""
    document_id = ""
    passages: list[Passage] = []
    offset = 0
    for letter, (_, line) in zip("ta", block, strict=False):
        match = _TEXT_LINE.fullmatch(line)
        if match is None or match[2] != letter or (passages and match[1] != document_id):
            break
        document_id, text = match[1], match[3]
        passages.append(Passage(_KINDS[letter], offset, text))
        offset += len(text) + 1
    if not passages:
        raise _bad_line(path, block[0][0], "a document must begin with its title, 'id|t|title'")
    return document_id, passages, block[len(passages) :]


def _read_mention(path: Path, number: int, mention_id: str, columns: list[str]) -> Mention:
    start, stop, text, mention_type, ids, parts = (*columns, "", "")[:6]
    if not (_OFFSET.fullmatch(start) and _OFFSET.fullmatch(stop)):
        problem = f"offsets {start[:20]!r} and {stop[:20]!r} are not whole numbers of up to nine digits"
        raise _bad_line(path, number, problem)
    part_texts = parts.split("|") if parts else []
    part_ids = split_ids(ids)
    role: Role = "composite" if part_texts else "single"
    if part_texts and len(part_texts) != len(part_ids):
        # The linker may predict more or fewer ids than the composite has parts. A line with scores was
        # written by the linker.
        if len(columns) < _SCORES:
            raise _bad_line(path, number, f"{len(part_texts)} part texts for {len(part_ids)} ids")
        part_texts = []
    return Mention(
        id=mention_id,
        spans=(Span(int(start), int(stop)),),
        text=text,
        type=mention_type.lower(),
        concept_ids=parse_ids(ids),
        # A part without a concept has no id in `concept_ids`, so its text is dropped too.
        part_texts=tuple(part for part, concept_id in zip(part_texts, part_ids, strict=False) if concept_id),
        role=role,
    )


def _bad_line(path: Path, number: int, problem: str) -> InputError:
    return InputError(path, f"line {number}", problem, "Correct or remove the line")


def _with_links(lines: list[str], linked: LinkedDocument) -> list[str]:
    """The document's lines with links: in the lines of annotated mentions, and in new lines after them."""
    ids = _mention_ids(linked.document)
    given = linked.given
    last = 0
    for place, line in enumerate(lines):
        content = _content(line)
        if _is_mention(content):
            last = place
            mention = given.get(next(ids))
            if mention is not None:
                columns = _link_columns(content.split("\t"), mention)
                lines[place] = "\t".join(columns) + line[len(content) :]
        elif _TEXT_LINE.fullmatch(content):
            last = place
    if not linked.found:
        return lines
    line = lines[last].rstrip("\r\n")
    end = lines[last][len(line) :] or "\n"
    before = [*lines[:last], line + end]
    found = [_mention_line(linked.document.id, mention) + end for mention in linked.found]
    return [*before, *found, *lines[last + 1 :]]


def _mention_ids(document: Document) -> Iterator[str]:
    """The ids of the mentions in the order of their lines."""
    if isinstance(document.source, Source):
        return map(str, itertools.count())
    return (mention.id for mention in document.mentions)


def _link_columns(columns: list[str], linked: LinkedMention) -> list[str]:
    columns = [*columns, *[""] * (_COLUMNS - len(columns))]
    columns[_IDS] = format_ids(linked.predicted)
    columns[_SCORES] = format_scores(linked.scores)
    return columns


def _mention_line(document_id: str, linked: LinkedMention) -> str:
    return "\t".join(_link_columns(_mention_columns(document_id, linked.mention), linked))


def _lines_of(document: Document) -> list[str]:
    """The lines of a document that was read from another format."""
    _check_fits(document)
    lines = [
        f"{document.id}|{letter}|{passage.text}"
        for letter, passage in zip("ta", document.passages, strict=False)
    ]
    lines += ["\t".join(_mention_columns(document.id, mention)) for mention in document.mentions]
    lines += ["\t".join([document.id, *relation]) for relation in document.relations]
    return [f"{line}\n" for line in [*lines, ""]]


def _mention_columns(document_id: str, mention: Mention) -> list[str]:
    # BC5CDR and PubTator write types with a capital: "Disease", "Chemical".
    kind = mention.type.capitalize()
    columns = [document_id, str(mention.start), str(mention.stop), mention.text, kind]
    columns.append(format_ids(mention.concept_ids))
    # The reader refuses a line whose numbers of part texts and of ids differ.
    if mention.part_texts and len(mention.part_texts) == len(mention.concept_ids):
        columns.append("|".join(mention.part_texts))
    return columns


def _check_fits(document: Document) -> None:
    kinds = [passage.kind for passage in document.passages]
    offsets = [passage.offset for passage in document.passages]
    expected = [0, len(document.passages[0].text) + 1] if document.passages else []
    if kinds not in (["title"], ["title", "abstract"]) or offsets != expected[: len(offsets)]:
        raise _cannot_hold(document, "is not a title and an abstract")
    for mention in document.mentions:
        _check_mention(document, mention)
    if any(_SEPARATOR.search(passage.text) for passage in document.passages):
        raise _cannot_hold(document, "has tabs or line ends in its text")


def _check_mention(document: Document, mention: Mention) -> None:
    if mention.is_discontinuous or mention.role == "part":
        raise _cannot_hold(document, "has discontinuous mentions or mentions inside composites")
    if _SEPARATOR.search(mention.text):
        raise _cannot_hold(document, "has tabs or line ends in its text")


def _cannot_hold(document: Document, problem: str) -> ElError:
    return ElError(f"document {document.id} {problem}, which PubTator cannot hold. Write BioC XML instead")
