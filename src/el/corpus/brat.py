"""Reads and writes brat. A document is two files: a text (`name.txt`) and its annotations (`name.ann`).

Three kinds of annotation lines are read. All others (events, attributes, notes) are kept but not interpreted.

    T1  Disease 0 5;9 14  renal failure         a mention; the pieces are separated by `;`
    N1  Reference T1 MESH:D051437  the name     a mention's id; several lines for several ids
    R1  Causes Arg1:T1 Arg2:T2                  a relation

brat requires the name of a resource before each id. An id of MeSH gets `MESH:`. An id without a resource gets
`OWN:`. Both prefixes are dropped when a file is read.
"""

import contextlib
import itertools
import json
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from el.base.errors import ElError, InputError
from el.base.files import atomic_folder
from el.corpus.checks import Skip, make_document, read_each
from el.corpus.fields import MESH_ID, FreeIds, link_row, parse_ids
from el.corpus.opening import decoded, document_name, read_whole, written_text
from el.corpus.plain import BYTE_ORDER_MARK, paragraphs
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Span

TEXT, ANNOTATIONS = ".txt", ".ann"

_GZIP = ".gz"
# At most nine digits: no text has larger offsets, and Python's int() refuses numbers of thousands of digits.
_MENTION = re.compile(r"(T[^\t]*)\t(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)\t(.*)")
_NORMALISATION = re.compile(r"N[^\t]*\tReference (\S+) (\S+)(?:\t.*)?")
_RELATION = re.compile(r"R[^\t]*\t(\S+) [^\s:]+:(\S+) [^\s:]+:(\S+)\s*")
# An id that begins with a resource, such as "OMIM:104300".
_RESOURCE = re.compile(r"[^:]+:.+")
_NO_RESOURCE = "OWN:"
# Any white space: where a mention runs over a line end, brat writes a space in the mention's text.
_BLANK = re.compile(r"\s")
_LINE = re.compile(r"[^\r\n]+")

NumberedMatch = tuple[int, re.Match[str]]


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
        skip: receives the error if the document cannot be used, and the document is skipped. None raises the
            error.

    Raises:
        InputError: one of the files is missing or not UTF-8, a mention or relation cannot be read, or a
            mention's text differs from the text at its offsets.
    """
    other = counterpart(path)
    if other is None:
        wanted = TEXT if is_annotations(path) else ANNOTATIONS
        problem = f"no {document_name(path)}{wanted} beside it"
        raise InputError(path, "", problem, "Put the .txt file and its .ann file into one folder")
    text, annotations = (other, path) if is_annotations(path) else (path, other)
    return read_each([annotations], lambda annotations: _read_document(text, annotations), skip)


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

    A document that was read from brat keeps all its lines. New lines follow. Each linked mention gets a line
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


def _read_document(text_path: Path, path: Path) -> Document:
    source = Source(decoded(text_path, read_whole(text_path)), decoded(path, read_whole(path)))
    text = source.text.removeprefix(BYTE_ORDER_MARK)
    rows: list[NumberedMatch] = []
    ids: dict[str, list[str]] = {}
    relations: list[tuple[str, str, str]] = []
    for number, line in enumerate(_lines(source), start=1):
        if line.startswith("T"):
            rows.append((number, _matched(_MENTION, path, number, line)))
        elif line.startswith("N"):
            match = _matched(_NORMALISATION, path, number, line)
            ids.setdefault(match[1], []).extend(_concept_ids(match[2]))
        elif line.startswith("R"):
            match = _matched(_RELATION, path, number, line)
            relations.append((match[1], match[2], match[3]))
    bare = Document(document_name(text_path), paragraphs(text_path, text))
    _check_texts(path, rows, text)
    # Surface forms come from the document, which has spaces in place of the line ends between paragraphs.
    document_text = bare.text
    mentions = [_mention(match, document_text, ids) for _, match in rows]
    return make_document(path, bare.id, bare.passages, mentions, relations, source)


def _lines(source: Source) -> list[str]:
    lines = source.annotations.removeprefix(BYTE_ORDER_MARK).split("\n")
    return [line.removesuffix("\r") for line in lines]


def _matched(pattern: re.Pattern[str], path: Path, number: int, line: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        problem = "not a line of brat, or its columns are not separated by tabs"
        raise InputError(path, f"line {number}", problem, "Correct or remove the line")
    return match


def _check_texts(path: Path, rows: Iterable[NumberedMatch], text: str) -> None:
    for number, match in rows:
        found = " ".join(text[span.start : span.stop] for span in _spans(match))
        if _BLANK.sub(" ", found) != _BLANK.sub(" ", match[4]):
            beyond = f" (the text ends at {len(text)})" if _spans(match)[-1].stop > len(text) else ""
            problem = f"expected {match[4]!r} at {match[3]}, found {found!r}{beyond}"
            remedy = "Count offsets in Unicode code points from the start of the text, or correct the line"
            raise InputError(path, f"line {number}", problem, remedy)


def _mention(match: re.Match[str], text: str, ids: dict[str, list[str]]) -> Mention:
    spans = _spans(match)
    surface = " ".join(text[span.start : span.stop] for span in spans)
    return Mention(match[1], spans, surface, match[2].lower(), tuple(ids.get(match[1], ())))


def _spans(match: re.Match[str]) -> tuple[Span, ...]:
    pieces = (piece.split(" ") for piece in match[3].split(";"))
    return tuple(sorted(Span(int(start), int(stop)) for start, stop in pieces))


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
    lines = [_mention_line(names[mention.id], mention, text) for mention in document.mentions]
    gold = [(names[mention.id], concept) for mention in document.mentions for concept in mention.concept_ids]
    lines += [_normalisation(f"N{number}", *pair, "") for number, pair in enumerate(gold, start=1)]
    numbers = itertools.count(1)
    lines += [
        f"R{next(numbers)}\t{_type(kind)} Arg1:{names[first]} Arg2:{names[second]}\n"
        for kind, first, second in document.relations
        if first in names and second in names
    ]
    return Source(text, "".join(lines))


def _mention_line(mention_id: str, mention: Mention, text: str) -> str:
    # brat needs a separate piece for each line that a mention runs over.
    pieces = [piece.span() for span in mention.spans for piece in _LINE.finditer(text, span.start, span.stop)]
    places = ";".join(f"{start} {stop}" for start, stop in pieces)
    surface = _BLANK.sub(" ", " ".join(text[start:stop] for start, stop in pieces))
    return f"{mention_id}\t{_type(mention.type.capitalize())} {places}\t{surface}\n"


def _type(name: str) -> str:
    """A type in a form that brat can hold: without blanks, and not empty."""
    return _BLANK.sub("_", name) or "Mention"


def _normalisation(line_id: str, mention_id: str, concept_id: str, name: str) -> str:
    return f"{line_id}\tReference {mention_id} {_reference(concept_id)}\t{_BLANK.sub(' ', name)}\n"


def _reference(concept_id: str) -> str:
    """The id with its resource before it. `_concept_ids` is the inverse."""
    if re.fullmatch(MESH_ID, concept_id, re.ASCII):
        return f"MESH:{concept_id}"
    has_resource = _RESOURCE.fullmatch(concept_id) and not concept_id.startswith(_NO_RESOURCE)
    return concept_id if has_resource else f"{_NO_RESOURCE}{concept_id}"


def _concept_ids(reference: str) -> tuple[str, ...]:
    return parse_ids(reference.removeprefix(_NO_RESOURCE))


def _added_lines(source: Source, names: dict[str, str], linked: LinkedDocument) -> Iterator[str]:
    """Yields the lines that links add after a document's lines.

    Args:
        source: the document's two files.
        names: mention id -> id in brat.
        linked: the links.
    """
    lines = _lines(source)
    free = FreeIds(line.partition("\t")[0] for line in lines)
    matches = [match for line in lines if (match := _NORMALISATION.fullmatch(line))]
    known = {(match[1], concept_id) for match in matches for concept_id in _concept_ids(match[2])}
    if linked.mentions and lines[-1]:
        yield "\n"
    for mention_id, mention in linked.given.items():
        yield from _link_lines(names[mention_id], mention, known, free)
    text = source.text.removeprefix(BYTE_ORDER_MARK)
    for found in linked.found:
        name = free.take(prefix="T")
        yield _mention_line(name, found.mention, text)
        yield from _link_lines(name, found, known, free)


def _link_lines(
    name: str, linked: LinkedMention, known: Container[tuple[str, str]], free: FreeIds
) -> Iterator[str]:
    preferred = {link.concept_id: link.name for link in linked.links}
    for concept_id in linked.predicted:
        if (name, concept_id) not in known:
            yield _normalisation(free.take(prefix="N"), name, concept_id, preferred.get(concept_id, ""))
    note = json.dumps(link_row(linked), ensure_ascii=False)
    yield f"{free.take(prefix='#')}\tAnnotatorNotes {name}\t{note}\n"


def _file_name(document: Document) -> str:
    name = document.id
    if not name or name.startswith(".") or any(not c.isprintable() or c in "/\\:" for c in name):
        raise ElError(
            f"brat needs the document's id {name!r} as the name of a file, and the id cannot be one. "
            "Write BioC XML instead"
        )
    return name
