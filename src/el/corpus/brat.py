"""Reads and writes brat. A document is two files: a text (`name.txt`) and its annotations (`name.ann`).

Three kinds of annotation lines are read. All others (events, attributes, notes) are kept but not interpreted.

    T1  Disease 0 5;9 14  renal failure         a mention; the pieces are separated by `;`, in any order
    N1  Reference T1 MESH:D051437  the name     a mention's id; several lines for several ids
    R1  Causes Arg1:T1 Arg2:T2                  a relation

brat requires the name of a resource before each id. An id of MeSH gets `MESH:`. An id without a resource gets
`OWN:`. Both prefixes are dropped when a file is read.
"""

import contextlib
import itertools
import json
import os
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TextIO

from el.base.errors import ElError, InputError
from el.base.files import atomic_folder
from el.base.text import with_spaces
from el.corpus.checks import MentionError, Skip, make_document, quoted, read_each, report
from el.corpus.fields import MESH_ID, FreeIds, format_type, is_one_id, link_row, parse_ids
from el.corpus.opening import decoded, document_name, read_whole, written_text
from el.corpus.plain import BYTE_ORDER_MARK, paragraphs
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Span

TEXT, ANNOTATIONS = ".txt", ".ann"

_GZIP = ".gz"
# At most nine digits: no text has larger offsets, and Python's int() refuses numbers of thousands of digits.
_MENTION = re.compile(r"(T[^\t]*)\t(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)\t(.*)")
_NORMALISATION = re.compile(r"N[^\t]*\tReference (\S+) (\S+)(?:\t.*)?")
_RELATION = re.compile(r"R[^\t]*\t(\S+) [^\s:]+:(\S+) [^\s:]+:(\S+)\s*")
# The form of each kind of line, for messages.
_FORMS = {
    "T": "a mention is T1, a tab, Disease 0 5, a tab, the text",
    "N": "an id is N1, a tab, Reference T1 MESH:D000082, a tab, the name; the id has no blanks",
    "R": "a relation is R1, a tab, Causes Arg1:T1 Arg2:T2",
}
_LINE_AFTER_RETURN = re.compile(r"\r[TNREAM#*]\d*\t")
# An id that begins with a resource, such as "OMIM:104300".
_RESOURCE = re.compile(r"[^:]+:.+")
_NO_RESOURCE = "OWN:"
# What a type, an id or a name may not hold.
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_LINE = re.compile(r"[^\r\n]+")
# The type of the error of a relation that cannot be read. Relations are not linked, so they do no harm.
_RELATION_TYPE = "relation"

# File systems take names of up to 255 bytes. The rest is for a suffix, and for the name of a temporary file.
_LONGEST_NAME = 230
_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
# Names that Windows keeps for devices, with any suffix.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)\s*(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """The contents of a document's two files."""

    text: str
    annotations: str


def counterpart(path: Path) -> Path | None:
    """Returns the other of a brat document's two files, gzipped or not; None if it does not exist."""
    name = path.name.removesuffix(_GZIP)
    for suffix, other in ((TEXT, ANNOTATIONS), (ANNOTATIONS, TEXT)):
        if name.endswith(suffix):
            plain = path.with_name(name.removesuffix(suffix) + other)
            both = (plain, plain.with_name(plain.name + _GZIP))
            return next((found for found in both if found.is_file()), None)
    return None


def is_annotations(path: Path) -> bool:
    """Whether a file's name is that of brat annotations."""
    return path.name.removesuffix(_GZIP).endswith(ANNOTATIONS)


def read_brat(path: Path, skip: Skip | None = None) -> Iterator[Document]:
    """Yields the document of a brat text and its annotations.

    The document's id is the file's name without its suffix. The passages are the text's paragraphs. Types are
    lower-cased.

    Args:
        path: either of the two files.
        skip: receives the error of the document, and of each line of a mention, id or relation, that cannot
            be used. The document or line is skipped. None raises the error.

    Raises:
        InputError: one of the files is missing or not UTF-8.
        MentionError: a mention, id or relation cannot be read, or a mention's text differs from the text at
            its offsets.
    """
    other = counterpart(path)
    if other is None:
        wanted = TEXT if is_annotations(path) else ANNOTATIONS
        problem = f"no {document_name(path)}{wanted} beside it"
        raise InputError(path, "", problem, "Put the .txt file and its .ann file into one folder")
    text, annotations = (other, path) if is_annotations(path) else (path, other)
    return read_each([annotations], lambda annotations: _read_document(text, annotations, skip), skip)


def brat_files(target: Path) -> tuple[Path, ...]:
    """Returns the two files that `open_brat` writes for a target, or the folder."""
    name = target.name.removesuffix(_GZIP)
    if not name.endswith((TEXT, ANNOTATIONS)):
        return (target,)
    packed = target.name.removeprefix(name)
    base = name.removesuffix(TEXT).removesuffix(ANNOTATIONS)
    return tuple(target.with_name(base + suffix + packed) for suffix in (TEXT, ANNOTATIONS))


@contextlib.contextmanager
def open_brat(target: Path) -> Iterator["BratWriter"]:
    """Yields a writer of brat documents. The files appear only if the block ends without an error.

    A document that was read from brat keeps all its lines. New lines follow, with the line ends of most
    lines. Each linked mention gets a line
    `N1 Reference T1 MESH:D000082 name` (or `OWN:HOSP-05`) for each predicted id that it does not have yet,
    and a note, `#1 AnnotatorNotes T1 {...}`, with predicted, decided_by, margin and candidates as JSON.
    Mentions that the linker found get new `T` lines.

    Args:
        target: for one document, a name that ends in .txt or .ann, optionally followed by .gz; the other file
            is written beside it. Any other name is a folder, new or empty, which gets two files for each
            document, named by the document's id.

    Raises:
        ElError: two documents are written to one name, a document's id cannot be the name of a file, or the
            folder is not empty.
    """
    paths = brat_files(target)
    if len(paths) == 1:
        if target.is_dir() and any(target.iterdir()):
            raise ElError(f"{target} holds files; give a new or empty folder for brat documents")
        with atomic_folder(target) as folder:
            yield BratWriter(folder)
        return
    with written_text(paths[0]) as text, written_text(paths[1]) as annotations:
        yield BratWriter((text, annotations))


class BratWriter:
    """Writes documents as brat, one at a time; see `open_brat`."""

    def __init__(self, target: Path | tuple[TextIO, TextIO]) -> None:
        """Prepares a writer.

        Args:
            target: a folder for any number of documents, or two open text streams for the text and the
                annotations of one document.
        """
        self._target = target
        self._is_full = False

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document.

        Raises:
            ElError: the document cannot be written; see `open_brat`.
        """
        document = linked.document
        names = _names(document)
        source = document.source if isinstance(document.source, Source) else _source_of(document, names)
        lines = [source.annotations, *_added_lines(source, names, linked)]
        if isinstance(self._target, Path):
            paths = [self._target / f"{_file_name(document)}{suffix}" for suffix in (TEXT, ANNOTATIONS)]
            if paths[0].exists():
                raise ElError(
                    f"two documents have the id {document.id!r}, which brat needs as the name of a file. "
                    "Give each document a unique id"
                )
            with written_text(paths[0]) as text, written_text(paths[1]) as annotations:
                text.write(source.text)
                annotations.writelines(lines)
            return
        if self._is_full:
            raise ElError("one brat text holds one document; give a folder, or write BioC XML or JSON lines")
        self._is_full = True
        self._target[0].write(source.text)
        self._target[1].writelines(lines)


@dataclass(frozen=True)
class _Text:
    """A document's text, against which the texts of mentions are checked."""

    text: str

    @cached_property
    def with_other_ends(self) -> str:
        """The text as it is with the other kind of line ends."""
        if "\r\n" in self.text:
            return self.text.replace("\r\n", "\n")
        return self.text.replace("\n", "\r\n")

    def holds(self, spans: tuple[Span, ...], surface: str) -> bool:
        """Whether a surface form stands at these places. Each white space equals each other."""
        return _holds(self.text, spans, surface)

    def counts_other_ends(self, spans: tuple[Span, ...], surface: str) -> bool:
        """Whether a surface form would stand there if the text had the other kind of line ends."""
        return _holds(self.with_other_ends, spans, surface)


def _holds(text: str, spans: tuple[Span, ...], surface: str) -> bool:
    # The lengths are compared first: many short mentions may have offsets that span the whole document.
    if sum(span.stop - span.start for span in spans) + len(spans) - 1 != len(surface):
        return False
    found = " ".join(text[span.start : span.stop] for span in spans)
    # Where a mention runs over a line end, brat writes a space in the mention's text.
    return with_spaces(found) == with_spaces(surface)


def _read_document(text_path: Path, path: Path, skip: Skip | None) -> Document:
    source = Source(decoded(text_path, read_whole(text_path)), decoded(path, read_whole(path)))
    text = source.text.removeprefix(BYTE_ORDER_MARK)
    bare = Document(document_name(text_path), paragraphs(text_path, text))
    lines = [(number, line) for number, line in enumerate(_lines(source), start=1) if line.strip()]
    # Surface forms come from the document, which has spaces in place of the line ends between paragraphs.
    mentions, numbers = _read_mentions(path, lines, _Text(text), bare.text, skip)
    types = {mention.id: mention.type for mention in mentions}
    known = {line.lstrip().partition("\t")[0] for _, line in lines}
    ids: dict[str, list[str]] = {}
    relations: list[tuple[str, str, str]] = []
    for number, line in lines:
        try:
            if line.lstrip().startswith("N"):
                match = _matched(_NORMALISATION, path, number, line, types)
                if match[1] not in known:
                    problem = f"the id is one of {quoted(match[1])}, which stands in no line"
                    remedy = "Correct or remove the line"
                    raise MentionError(path, f"line {number}", problem, remedy, _RELATION_TYPE)
                ids.setdefault(match[1], []).extend(_concept_ids(match[2]))
            elif line.lstrip().startswith("R"):
                match = _matched(_RELATION, path, number, line)
                relations.append((match[1], match[2], match[3]))
        except MentionError as error:
            report(error, skip)
    with_ids = [replace(mention, concept_ids=tuple(ids.get(mention.id, ()))) for mention in mentions]
    return make_document(path, bare.id, bare.passages, with_ids, relations, source, skip, numbers)


def _lines(source: Source) -> list[str]:
    lines = source.annotations.removeprefix(BYTE_ORDER_MARK).split("\n")
    return [line.removesuffix("\r") for line in lines]


def _read_mentions(
    path: Path, lines: list[tuple[int, str]], text: _Text, document_text: str, skip: Skip | None
) -> tuple[list[Mention], dict[str, int]]:
    """Returns the mentions without their ids of concepts, and the number of each mention's line.

    A line that is repeated as it is stands for one mention.
    """
    mentions: list[Mention] = []
    numbers: dict[str, int] = {}
    known: set[str] = set()
    for number, line in lines:
        if not line.lstrip().startswith("T") or line in known:
            continue
        known.add(line)
        try:
            mention = _read_mention(path, number, line, text, document_text)
            if mention.id in numbers:
                problem = f"line {numbers[mention.id]} has the id {quoted(mention.id)} too"
                remedy = "Make the ids unique in the document"
                raise MentionError(path, f"line {number}", problem, remedy, mention.type)
        except MentionError as error:
            report(error, skip)
        else:
            mentions.append(mention)
            numbers[mention.id] = number
    return mentions, numbers


def _read_mention(path: Path, number: int, line: str, text: _Text, document_text: str) -> Mention:
    match = _matched(_MENTION, path, number, line)
    surface, mention_type = match[4], match[2].lower()
    pieces = (piece.split(" ") for piece in match[3].split(";"))
    given = tuple(Span(int(start), int(stop)) for start, stop in pieces)
    spans = tuple(sorted(given))
    # The text of a mention has the order of its pieces, which may be out of order.
    if text.holds(given, surface) or text.holds(spans, surface):
        surface = " ".join(document_text[span.start : span.stop] for span in spans)
    elif text.counts_other_ends(given, surface):
        count = "one character" if "\r\n" in text.text else "two characters"
        problem = f"the text {quoted(surface)} does not stand at {match[3]}; the offsets count a line end as "
        remedy = "Give the text with the line ends that it was annotated with"
        raise MentionError(path, f"line {number}", f"{problem}{count}", remedy, mention_type)
    return Mention(match[1], spans, surface, mention_type)


def _matched(
    pattern: re.Pattern[str], path: Path, number: int, line: str, types: Mapping[str, str] | None = None
) -> re.Match[str]:
    """Returns the match of a line.

    Args:
        pattern: the pattern of the line's kind.
        path: the file of annotations.
        number: the line's number.
        line: the line.
        types: for the line of an id: mention id -> type.

    Raises:
        MentionError: the line does not match. Its type is that of the mention.
    """
    match = pattern.fullmatch(line)
    has_returns = _LINE_AFTER_RETURN.search(line) is not None
    if match is not None and not has_returns:
        return match
    kind = line.lstrip()[0]
    cause = _FORMS[kind]
    if has_returns:
        cause = "lines end with carriage returns alone"
    elif "\t" not in line:
        cause = f"it has no tabs; {cause}"
    words = line.partition("\t")[2].split(maxsplit=2)
    mention_type = _RELATION_TYPE
    if kind == "T":
        mention_type = words[0].lower() if words else ""
    elif kind == "N":
        mention_type = (types or {}).get(words[1], "") if len(words) > 1 else ""
    problem = f"not a line of brat ({cause})"
    raise MentionError(path, f"line {number}", problem, "Correct or remove the line", mention_type)


def _names(document: Document) -> dict[str, str]:
    """Mention id -> id in brat. Mentions of a document that was not read from brat get new ids."""
    if isinstance(document.source, Source):
        return {mention.id: mention.id for mention in document.mentions}
    return {mention.id: f"T{number}" for number, mention in enumerate(document.mentions, start=1)}


def _source_of(document: Document, names: dict[str, str]) -> Source:
    """The two files of a document that was read from another format.

    A relation is dropped if one of its ends is not a mention.
    """
    text = document.text
    _check_text(document, text)
    lines = [_mention_line(document, names[mention.id], mention, text) for mention in document.mentions]
    gold = [(names[mention.id], concept) for mention in document.mentions for concept in mention.concept_ids]
    lines += [_normalisation(document, f"N{number}", *pair, "") for number, pair in enumerate(gold, start=1)]
    numbers = itertools.count(1)
    lines += [
        f"R{next(numbers)}\t{_type(kind, 'Relation')} Arg1:{names[first]} Arg2:{names[second]}"
        for kind, first, second in document.relations
        if first in names and second in names
    ]
    return Source(text, "".join(f"{line}\n" for line in lines))


def _check_text(document: Document, text: str) -> None:
    """Refuses a text that is not read as it is written, and mentions that stand outside what is read."""
    if "\0" in text or text.startswith(BYTE_ORDER_MARK):
        raise _cannot_hold(document, "has a NUL character, or begins with a byte order mark")
    if not text.strip():
        raise _cannot_hold(document, "holds no text")
    last = paragraphs(Path(document.id), text)[-1]
    end = last.offset + len(last.text)
    for mention in document.mentions:
        if mention.stop > end:
            problem = f"has annotation {quoted(mention.id)} in the white space after its text"
            raise _cannot_hold(document, problem)


def _mention_line(document: Document, mention_id: str, mention: Mention, text: str) -> str:
    # brat needs a separate piece for each line that a mention runs over.
    pieces = [piece.span() for span in mention.spans for piece in _LINE.finditer(text, span.start, span.stop)]
    if not pieces:
        raise _cannot_hold(document, f"has annotation {quoted(mention.id)}, which is nothing but a line end")
    places = ";".join(f"{start} {stop}" for start, stop in pieces)
    surface = with_spaces(" ".join(text[start:stop] for start, stop in pieces))
    return f"{mention_id}\t{_type(format_type(mention.type), 'Mention')} {places}\t{surface}"


def _type(name: str, default: str) -> str:
    """A type in a form that brat can hold: without blanks, and not empty."""
    return _CONTROL.sub("_", name) or default


def _normalisation(document: Document, line_id: str, mention_id: str, concept_id: str, name: str) -> str:
    reference = _reference(concept_id)
    is_read = is_one_id(concept_id) and _concept_ids(reference) == parse_ids(concept_id)
    if not is_read or _CONTROL.search(concept_id):
        raise _cannot_hold(document, f"has the id {quoted(concept_id)}")
    return f"{line_id}\tReference {mention_id} {reference}\t{_CONTROL.sub(' ', name)}"


def _reference(concept_id: str) -> str:
    """The id with its resource before it. `_concept_ids` is the inverse."""
    if re.fullmatch(MESH_ID, concept_id, re.ASCII):
        return f"MESH:{concept_id}"
    has_resource = _RESOURCE.fullmatch(concept_id) and not concept_id.startswith(_NO_RESOURCE)
    return concept_id if has_resource else f"{_NO_RESOURCE}{concept_id}"


def _concept_ids(reference: str) -> tuple[str, ...]:
    return parse_ids(reference.removeprefix(_NO_RESOURCE))


def _added_lines(source: Source, names: dict[str, str], linked: LinkedDocument) -> Iterator[str]:
    """Yields the lines that links add after a document's lines, with their ends.

    Args:
        source: the document's two files.
        names: mention id -> id in brat.
        linked: the links.
    """
    end = _line_end(source)
    if linked.mentions and _lines(source)[-1]:
        yield end
    for line in _link_lines(source, names, linked):
        yield line + end


def _line_end(source: Source) -> str:
    """The line end of most annotations; without annotations, that of most lines of the text."""
    text = source.annotations if "\n" in source.annotations else source.text
    return "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"


def _link_lines(source: Source, names: dict[str, str], linked: LinkedDocument) -> Iterator[str]:
    lines = _lines(source)
    free = FreeIds(line.partition("\t")[0] for line in lines)
    matches = [match for line in lines if (match := _NORMALISATION.fullmatch(line))]
    known = {(match[1], concept_id) for match in matches for concept_id in _concept_ids(match[2])}
    for mention_id, mention in linked.given.items():
        yield from _lines_of_link(linked.document, names[mention_id], mention, known, free)
    text = source.text.removeprefix(BYTE_ORDER_MARK)
    for found in linked.found:
        name = free.take(prefix="T")
        yield _mention_line(linked.document, name, found.mention, text)
        yield from _lines_of_link(linked.document, name, found, known, free)


def _lines_of_link(
    document: Document, name: str, linked: LinkedMention, known: Container[tuple[str, str]], free: FreeIds
) -> Iterator[str]:
    preferred = {link.concept_id: link.name for link in linked.links}
    for concept_id in linked.predicted:
        if (name, concept_id) not in known:
            line_id = free.take(prefix="N")
            yield _normalisation(document, line_id, name, concept_id, preferred.get(concept_id, ""))
    note = json.dumps(link_row(linked), ensure_ascii=False)
    yield f"{free.take(prefix='#')}\tAnnotatorNotes {name}\t{note}"


def _file_name(document: Document) -> str:
    name = document.id
    is_safe = name.isprintable() and not name.startswith(".") and not _NOT_IN_NAMES.intersection(name)
    if not name or not is_safe or _DEVICES.fullmatch(name) or len(os.fsencode(name)) > _LONGEST_NAME:
        raise ElError(
            f"brat needs the document's id {quoted(name)} as the name of a file, and the id cannot be one. "
            "Write BioC XML instead"
        )
    return name


def _cannot_hold(document: Document, problem: str) -> ElError:
    return ElError(
        f"document {quoted(document.id)} {problem}, which brat cannot hold. Write BioC XML instead"
    )
