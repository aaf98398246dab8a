"""Reads and writes PubTator.

A document is a block of lines: `id|t|title`, `id|a|abstract`, then lines of columns separated by tabs. An
empty line or the next title ends it. The abstract begins one character after the title's end. Columns:

    id  start  stop  text  type  [ids]  [texts of a composite's parts]  [scores]  ...     a mention
    id  kind  first id  second id  ...                                                    a relation

Ids, part texts and scores are joined by `|`, in the same order. The scores are an extension of this project:
the linker writes them, and the reader skips them. Further columns are kept but not interpreted, and so is a
seventh column that does not hold the texts of parts, such as `RSID:78655421`.

The `bioc` library also has a reader of PubTator. That reader drops the seventh column, and it prints a line
that it cannot read to standard output instead of raising an error.
"""

import io
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from el.base.errors import ElError, InputError
from el.corpus.checks import MentionError, Skip, checked_text, make_document, quoted, read_each, report
from el.corpus.fields import format_ids, format_scores, format_type, is_one_id, parse_ids, split_ids
from el.corpus.opening import BLANK_LINE, MAX_DOCUMENT, decoded, is_blank, read_lines, too_large
from el.corpus.plain import BYTE_ORDER_MARK
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage, Span

_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
ID = r"[^\s|()\[\]{}<>\"',;=]+"
"""A pattern for the id by which a file is recognised: a PMID, a PMC id, a DOI, a name. It holds no blanks and
no brackets."""

_WRITABLE_ID = re.compile(ID)
# Before an abstract of the same id, an id may hold round brackets, as the DOIs of some publishers do.
_WRITABLE_ID_OF_TWO = re.compile(r"[^\s|\[\]{}<>\"',;=]{1,200}")
# The title's line of the next document, which an empty line may or may not precede.
_TITLE = re.compile(rb"(?:\xef\xbb\xbf)?" + ID.encode() + rb"\|t\|")
_SEPARATOR = re.compile(r"[\t\r\n\0]")
# More digits than the offsets of any text have. Python's int() refuses numbers of thousands of digits.
_OFFSET = re.compile(r"\d{1,9}")
# What stands in the second column of a mention, right or wrong. A relation has a word there.
_NUMBER = re.compile(r"\s*[-+]?\.?\d.*", re.DOTALL)
_NO_NUMBER = {"", "-", "?", "nan", "none", "null", "na", "n/a"}
# A mention without any number is known by its type: one of these, or one that a mention with numbers has.
_TYPES = {"chemical", "disease"}
# The type of composites in the NCBI Disease corpus, which does not give the texts of their parts.
_COMPOSITE = "compositemention"
# A seventh column with other content than texts of parts: `RSID:78655421`, or a number.
_NO_PART = re.compile(r"\w+:\S*|[\W\d_]*")
# The eighth column of a mention that this project linked.
_OWN_SCORES = re.compile(r"(?:-?\d+\.\d{4})?(?:\|(?:-?\d+\.\d{4})?)*")
_KINDS = {"t": "title", "a": "abstract"}
# The columns of a mention's line, from 0, that hold the type, ids, part texts and scores.
_TYPE, _IDS, _PARTS, _SCORES = 4, 5, 6, 7
# The fewest columns of a mention and of a relation.
_MENTION_COLUMNS, _RELATION_COLUMNS = 5, 4
_WANTED = f"a mention has {_MENTION_COLUMNS}, a relation {_RELATION_COLUMNS} or more"
# The type of the error of a relation that cannot be read. Relations are not linked, so they do no harm.
_RELATION = "relation"

NumberedLine = tuple[int, str]


@dataclass(frozen=True)
class _Block:
    """The bytes of one document.

    Attributes:
        number: the number of the first line in the file, from 1.
        offset: the place of the first byte in the file.
        raw: the bytes; more than `MAX_DOCUMENT` if the document is too large to be read.
        end: the line end of the file's first line.
    """

    number: int
    offset: int
    raw: bytes
    end: str


@dataclass(frozen=True)
class Source:
    """A document's lines as the file has them, with line ends and the empty lines around the document.

    Attributes:
        lines: the lines.
        mentions: the places in `lines` of the mentions, in order. A mention's id is its place in this tuple;
            a mention that cannot be used has a place too.
        last: the place in `lines` of the last line of text or of a mention. New mentions follow it.
        end: the line end for new lines.
    """

    lines: tuple[str, ...]
    mentions: tuple[int, ...]
    last: int
    end: str


def read_pubtator(
    path: Path, skip: Skip | None = None, corrected: list[str] | None = None
) -> Iterator[Document]:
    """Yields the documents of a PubTator file.

    The ids of mentions are their numbers in the document, from "0". Types are lower-cased. A mention with
    several ids is a composite if it has as many part texts, or the type CompositeMention. PubTator has no
    discontinuous mentions.

    Args:
        path: the file.
        skip: receives the error of each document, and of each line of a mention or relation, that cannot be
            used. The document or line is skipped. None raises the error.
        corrected: receives a line for each mention whose text differs from the text at its offsets in white
            space alone. The mention gets the text at its offsets. This is for corpora with known errors; None
            makes such a text an error.

    Raises:
        InputError: the file is missing, a document is too large or not UTF-8, or a line cannot be read.
        MentionError: a mention or relation cannot be used.
    """
    return read_each(_blocks(path), lambda block: _read_block(path, block, skip, corrected), skip)


class PubTatorWriter:
    """Writes documents as PubTator, one at a time.

    A document that was read from PubTator is written byte for byte, except for its links. A linked mention
    has the predicted ids in the sixth column, in place of gold ids, and their scores in the eighth. What
    somebody else has in the eighth column moves to the ninth. Mentions that the linker found follow the other
    mentions, with the line ends of the file.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Prepares a writer.

        Args:
            stream: an open text stream.
            head: not used: PubTator files have no head.
        """
        del head
        self._stream = stream
        # What must stand between the last line of a document and the next document.
        self._gap = ""

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document.

        Raises:
            ElError: PubTator cannot hold the document.
        """
        source = linked.document.source
        if not isinstance(source, Source):
            source = _source_of(linked.document)
        lines = _with_links(source, linked)
        self._stream.writelines([self._gap, *lines])
        # The last line of a file may have no end.
        self._gap = "" if lines[-1].endswith("\n") else source.end * 2

    def finish(self) -> None:
        """Nothing follows the last document."""


def _blocks(path: Path) -> Iterator[_Block]:
    """Yields each document's bytes with the empty lines after it (and those before the first document)."""
    raw = bytearray()
    number, offset = 1, 0
    end = ""
    is_begun = is_ended = has_title = is_dropped = False
    for line in read_lines(path):
        end = end or ("\r\n" if line.raw.endswith(b"\r\n") else "\n")
        blank = is_blank(line.raw)
        is_title = not blank and _TITLE.match(line.raw) is not None
        if not blank and (is_ended or (is_title and has_title)):
            if not is_dropped:
                yield _Block(number, offset, bytes(raw), end)
            raw.clear()
            number, offset = line.number, line.offset
            is_begun = is_ended = has_title = is_dropped = False
        is_begun = is_begun or not blank
        is_ended = is_begun and blank
        has_title = has_title or is_title
        if not is_dropped:
            raw += line.raw
        if len(raw) > MAX_DOCUMENT:
            # Its error is raised at once. If it is skipped, the next document is looked for.
            yield _Block(number, offset, bytes(raw), end)
            raw.clear()
            is_dropped = True
    if is_begun and not is_dropped:
        yield _Block(number, offset, bytes(raw), end)


def _read_block(path: Path, block: _Block, skip: Skip | None, corrected: list[str] | None) -> Document:
    if len(block.raw) > MAX_DOCUMENT:
        raise too_large(path, f"document at line {block.number}")
    lines = _lines(path, block)
    contents = ((number, _content(line)) for number, line in enumerate(lines, start=block.number))
    filled = [(number, content) for number, content in contents if not BLANK_LINE.fullmatch(content)]
    document_id, passages = _read_texts(path, filled)
    rows = [(number, content.split("\t")) for number, content in filled[len(passages) :]]
    types = _TYPES | {columns[_TYPE].lower() for _, columns in rows if _has_number(columns)}
    mentions: list[Mention] = []
    relations: list[tuple[str, str, str]] = []
    # The numbers of the mentions' lines, also of those that cannot be used.
    numbers: list[int] = []
    for number, columns in rows:
        try:
            _check_columns(path, number, document_id, columns)
            if _is_mention(columns, types):
                numbers.append(number)
                mentions.append(_read_mention(path, number, str(len(numbers) - 1), columns))
            else:
                relations.append(_read_relation(path, number, columns))
        except MentionError as error:
            report(error, skip)
    if corrected is not None:
        text = checked_text(path, document_id, passages)
        mentions = [_with_text_at_offsets(document_id, text, mention, corrected) for mention in mentions]
    source = Source(
        tuple(lines),
        tuple(number - block.number for number in numbers),
        max([filled[len(passages) - 1][0], *numbers]) - block.number,
        block.end,
    )
    of_mentions = {str(place): number for place, number in enumerate(numbers)}
    return make_document(path, document_id, passages, mentions, relations, source, skip, of_mentions)


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


def _read_texts(path: Path, block: list[NumberedLine]) -> tuple[str, list[Passage]]:
    """Returns the document's id and its passages, which are the first lines."""
    document_id = ""
    passages: list[Passage] = []
    offset = 0
    for letter, (number, line) in zip("ta", block, strict=False):
        match = _TEXT_LINE.fullmatch(line)
        if match is None or match[2] != letter or (passages and match[1] != document_id):
            break
        document_id, text = match[1], match[3]
        if f"\r{document_id}|" in text or f"\r{document_id}\t" in text:
            problem = "the lines end with carriage returns alone"
            raise InputError(path, f"line {number}", problem, "Convert the line ends to line feeds")
        passages.append(Passage(_KINDS[letter], offset, text))
        offset += len(text) + 1
    if not passages:
        raise _no_title(path, block)
    return document_id, passages


def _no_title(path: Path, block: list[NumberedLine]) -> InputError:
    number, line = block[0]
    match = _TEXT_LINE.fullmatch(line)
    problem = "a document must begin with its title, 'id|t|title'"
    remedy = "Add the title, or remove the line"
    if match is not None and any(other.startswith(f"{match[1]}|t|") for _, other in block):
        problem, remedy = f"the abstract of document {match[1]} stands before the title", "Exchange the lines"
    elif match is not None:
        problem += f". The abstract of document {match[1]} has none, or an empty line stands between them"
    return InputError(path, f"line {number}", problem, remedy)


def _check_columns(path: Path, number: int, document_id: str, columns: list[str]) -> None:
    """Checks that a line is one of the document's lines of columns.

    Raises:
        InputError: the line may belong to a text, so that the text would be incomplete.
        MentionError: the line has no tabs, or belongs to another document.
    """
    place = f"line {number}"
    line = columns[0]
    match = _TEXT_LINE.fullmatch("\t".join(columns))
    if match is not None:
        title = "the title's line" if match[1] == document_id else f"the title of document {match[1]}"
        problem = f"a text of document {match[1]} within document {document_id}"
        remedy = f"Put an abstract right after {title}, and an empty line before each document"
        raise InputError(path, place, problem, remedy)
    if len(columns) == 1 and line.split(maxsplit=1)[0] != document_id:
        problem = f"no tabs, and it is neither the title nor the abstract of document {document_id}"
        remedy = "Put each text on one line, and separate columns by tabs"
        raise InputError(path, place, problem, remedy)
    if len(columns) == 1:
        problem = f"no tabs; {_WANTED} columns"
        raise MentionError(path, place, problem, "Separate the columns by tabs, not by blanks")
    if line != document_id:
        problem = f"not a line of document {document_id}, which continues until the next title or empty line"
        mention_type = columns[_TYPE].lower() if _has_number(columns) else _RELATION
        raise MentionError(path, place, problem, "Correct the id, or move the line", mention_type)


def _has_number(columns: list[str]) -> bool:
    """Whether a line has all columns of a mention, and a number as its first offset."""
    return len(columns) >= _MENTION_COLUMNS and _NUMBER.fullmatch(columns[1]) is not None


def _is_mention(columns: list[str], types: Container[str]) -> bool:
    """Whether a line is a mention, right or wrong. Otherwise it is a relation."""
    if _NUMBER.fullmatch(columns[1]):
        return True
    return len(columns) >= _MENTION_COLUMNS and (
        columns[1].strip().lower() in _NO_NUMBER or columns[_TYPE].lower() in types
    )


def _read_mention(path: Path, number: int, mention_id: str, columns: list[str]) -> Mention:
    if len(columns) < _MENTION_COLUMNS:
        problem = f"{len(columns)} columns; a mention has {_MENTION_COLUMNS} or more"
        raise MentionError(path, f"line {number}", problem, "Separate all columns by tabs")
    _, start, stop, text, mention_type, ids, parts = (*columns, "", "")[: _PARTS + 1]
    if not (_OFFSET.fullmatch(start) and _OFFSET.fullmatch(stop)):
        problem = f"offsets {start[:20]!r} and {stop[:20]!r} are not whole numbers of up to nine digits"
        remedy = "Correct or remove the line"
        raise MentionError(path, f"line {number}", problem, remedy, mention_type.lower())
    part_texts, concept_ids = _part_texts(ids, parts), parse_ids(ids)
    is_composite = bool(part_texts) or (mention_type.lower() == _COMPOSITE and len(concept_ids) > 1)
    return Mention(
        id=mention_id,
        spans=(Span(int(start), int(stop)),),
        text=text,
        type=mention_type.lower(),
        concept_ids=concept_ids,
        # A part without a concept has no id in `concept_ids`, so its text is dropped too.
        part_texts=tuple(part for part, concept_id in part_texts if concept_id),
        role="composite" if is_composite else "single",
    )


def _with_text_at_offsets(document_id: str, text: str, mention: Mention, corrected: list[str]) -> Mention:
    """Returns a mention with the text at its offsets, if its own text differs in white space alone."""
    start, stop = mention.start, mention.stop
    found = text[start:stop]
    if found == mention.text or found.split() != mention.text.split():
        return mention
    place = f"document {document_id}, annotation {mention.id}"
    corrected.append(f"{place}: replaced by the text at {start}:{stop}, which differs in white space")
    return replace(mention, text=found)


def _part_texts(ids: str, parts: str) -> list[tuple[str, str]]:
    """Returns the text and the id ("" for NIL) of each part of a composite; [] for any other mention.

    The linker may predict more or fewer ids than the composite has parts. The texts are then not those of the
    ids.
    """
    part_texts, part_ids = parts.split("|"), split_ids(ids)
    if len(part_ids) < 2 or len(part_ids) != len(part_texts) or any(map(_NO_PART.fullmatch, part_texts)):
        return []
    return list(zip(part_texts, part_ids, strict=True))


def _read_relation(path: Path, number: int, columns: list[str]) -> tuple[str, str, str]:
    if len(columns) < _RELATION_COLUMNS:
        problem = f"{len(columns)} columns; {_WANTED}"
        raise MentionError(path, f"line {number}", problem, "Correct or remove the line", _RELATION)
    _, kind, first, second = columns[:_RELATION_COLUMNS]
    return kind, first, second


def _with_links(source: Source, linked: LinkedDocument) -> list[str]:
    """The document's lines with links: in the lines of annotated mentions, and in new lines after them."""
    document = linked.document
    ids = (
        map(str, range(len(source.mentions)))
        if source is document.source
        else (mention.id for mention in document.mentions)
    )
    lines = list(source.lines)
    given = linked.given
    for mention_id, place in zip(ids, source.mentions, strict=True):
        link = given.get(mention_id)
        if link is not None:
            content = _content(lines[place])
            before, _, after = lines[place].partition(content)
            lines[place] = before + _link_line(document, content.split("\t"), link) + after
    found = [_found_line(document, mention) + source.end for mention in linked.found]
    if found and not lines[source.last].endswith("\n"):
        lines[source.last] += source.end
    return [*lines[: source.last + 1], *found, *lines[source.last + 1 :]]


def _link_line(document: Document, columns: list[str], linked: LinkedMention) -> str:
    _check_ids(document, linked.mention, linked.predicted)
    columns = [*columns, *[""] * (_SCORES - len(columns))]
    columns[_IDS] = format_ids(linked.predicted)
    rest = columns[_SCORES:]
    if rest and _OWN_SCORES.fullmatch(rest[0]):
        del rest[0]
    return "\t".join([*columns[:_SCORES], format_scores(linked.scores), *rest])


def _found_line(document: Document, linked: LinkedMention) -> str:
    return _link_line(document, _mention_columns(document, linked.mention), linked)


def _source_of(document: Document) -> Source:
    """The lines of a document that was read from another format."""
    _check_fits(document)
    texts = [
        f"{document.id}|{letter}|{passage.text}"
        for letter, passage in zip("ta", document.passages, strict=False)
    ]
    mentions = ["\t".join(_mention_columns(document, mention)) for mention in document.mentions]
    relations = ["\t".join(_relation_columns(document, relation)) for relation in document.relations]
    lines = tuple(f"{line}\n" for line in [*texts, *mentions, *relations, ""])
    count = len(texts) + len(mentions)
    return Source(lines, tuple(range(len(texts), count)), count - 1, "\n")


def _mention_columns(document: Document, mention: Mention) -> list[str]:
    if mention.is_discontinuous or mention.role == "part":
        raise _cannot_hold(document, "has discontinuous mentions or mentions inside composites")
    _check_ids(document, mention, mention.concept_ids)
    columns = [document.id, str(mention.start), str(mention.stop), mention.text, format_type(mention.type)]
    columns.append(format_ids(mention.concept_ids))
    parts = "|".join(mention.part_texts)
    # The texts of a composite's parts belong to its ids, one to each.
    if mention.role == "composite" and len(mention.part_texts) == len(mention.concept_ids) > 1:
        if [part for part, _ in _part_texts(columns[_IDS], parts)] != list(mention.part_texts):
            raise _cannot_hold(document, f"has the texts {quoted(parts)} of a composite's parts")
        columns.append(parts)
    _check_separators(document, columns)
    return columns


def _relation_columns(document: Document, relation: tuple[str, str, str]) -> list[str]:
    columns = [document.id, *relation]
    _check_separators(document, columns)
    if _is_mention(columns, ()):
        raise _cannot_hold(document, f"has a relation of the kind {quoted(relation[0])}")
    return columns


def _check_fits(document: Document) -> None:
    writable = _WRITABLE_ID_OF_TWO if len(document.passages) > 1 else _WRITABLE_ID
    if not document.id.isprintable() or not writable.fullmatch(document.id):
        raise _cannot_hold(document, "has an id with blanks, brackets, quotes or other marks")
    kinds = [passage.kind for passage in document.passages]
    offsets = [passage.offset for passage in document.passages]
    expected = [0, len(document.passages[0].text) + 1] if document.passages else []
    if kinds not in (["title"], ["title", "abstract"]) or offsets != expected[: len(offsets)]:
        raise _cannot_hold(document, "is not a title and an abstract")
    _check_separators(document, [passage.text for passage in document.passages])


def _check_separators(document: Document, fields: Iterable[str]) -> None:
    field = next(filter(_SEPARATOR.search, fields), None)
    if field is not None:
        raise _cannot_hold(document, f"has tabs or line ends, or NUL characters, in {quoted(field)}")


def _check_ids(document: Document, mention: Mention, ids: Iterable[str]) -> None:
    for concept_id in ids:
        if not is_one_id(concept_id) or _SEPARATOR.search(concept_id):
            raise _cannot_hold(document, f"has the id {quoted(concept_id)} in annotation {mention.id}")


def _cannot_hold(document: Document, problem: str) -> ElError:
    return ElError(
        f"document {quoted(document.id)} {problem}, which PubTator cannot hold. Write BioC XML instead"
    )
