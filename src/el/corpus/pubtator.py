"""PubTator in and out.

A document is a block of lines, closed by an empty line: `id|t|title`, `id|a|abstract`, then lines of
columns separated by tabs. The abstract begins one character after the title's end. Columns:

    id  start  stop  text  type  [ids]  [texts of a composite's parts]  [scores]     a mention
    id  kind  first id  second id                                                    a relation

Ids, part texts and scores are joined by `|`, in the same order. The eighth column is this project's own:
the linker writes it, the reader passes over it.

The reader is our own, because that of the `bioc` library drops the seventh column and prints lines that
it cannot read to standard output instead of refusing them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from el.corpus.checks import make_document
from el.corpus.fields import format_ids, format_scores, parse_ids, split_ids
from el.corpus.types import Document, LinkedMention, Mention, Passage, Span
from el.errors import ElError, InputError

_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_KINDS = {"t": "title", "a": "abstract"}

NumberedLine = tuple[int, str]


def read_pubtator(path: Path) -> Iterator[Document]:
    """Yields the documents of a PubTator file.

    Mentions are numbered from "0" in file order, types are lower-cased. A mention with part texts is a
    composite. PubTator has no discontinuous mentions.

    Raises:
        InputError: the file is missing or not UTF-8, a line cannot be read, or a mention's text is not
            the text at its offsets.
    """
    block: list[NumberedLine] = []
    for number, line in _lines(path):
        if line.strip():
            block.append((number, line))
        elif block:
            yield _read_block(path, block)
            block = []
    if block:
        yield _read_block(path, block)


def write_pubtator(
    documents: Iterable[Document],
    stream: TextIO,
    links: Mapping[tuple[str, str], LinkedMention] | None = None,
) -> None:
    """Writes documents as PubTator.

    Args:
        documents: documents of a title and, one character later, an abstract.
        stream: where to write, as text.
        links: (document id, mention id) -> what the linker found. Such a mention gets the predicted ids
            in the sixth column, in place of gold ids, and their scores in the eighth.

    Raises:
        ElError: PubTator cannot hold one of the documents.
    """
    for document in documents:
        _check_fits(document)
        for letter, passage in zip("ta", document.passages, strict=False):
            stream.write(f"{document.id}|{letter}|{passage.text}\n")
        for mention in document.mentions:
            columns = _mention_columns(mention, (links or {}).get((document.id, mention.id)))
            stream.write("\t".join([document.id, *columns]) + "\n")
        for relation in document.relations:
            stream.write("\t".join([document.id, *relation]) + "\n")
        stream.write("\n")


def _lines(path: Path) -> Iterator[NumberedLine]:
    """Yields (line number from 1, line without its end).

    Lines are cut at line feeds only: a title may hold characters that Python takes for line ends.
    """
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, line.removesuffix("\n").removesuffix("\r")
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Check the path") from error
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 (byte {error.start} of the line)"
        raise InputError(path, f"line {number}", problem, "Convert the file to UTF-8") from error


def _read_block(path: Path, block: list[NumberedLine]) -> Document:
    document_id, passages, rest = _read_texts(path, block)
    mentions: list[Mention] = []
    relations: list[tuple[str, str, str]] = []
    for number, line in rest:
        owner, *columns = line.split("\t")
        if owner != document_id:
            problem = f"not a line of document {document_id}, which goes on up to the next empty line"
            raise _bad_line(path, number, problem)
        if len(columns) == 3:
            relations.append((columns[0], columns[1], columns[2]))
        else:
            mentions.append(_read_mention(path, number, str(len(mentions)), columns))
    return make_document(path, document_id, passages, mentions, relations)


def _read_texts(path: Path, block: list[NumberedLine]) -> tuple[str, list[Passage], list[NumberedLine]]:
    """Returns the document's id, its passages, and the lines that follow them."""
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
    if not 4 <= len(columns) <= 7:
        raise _bad_line(path, number, f"{len(columns) + 1} columns; a mention has 5 to 8, a relation 4")
    start, stop, text, mention_type, ids, parts, _ = (*columns, "", "", "")[:7]
    if not (start.isdecimal() and stop.isdecimal()):
        raise _bad_line(path, number, f"offsets {start!r} and {stop!r} are not whole numbers")
    part_texts = parts.split("|") if parts else []
    part_ids = split_ids(ids)
    if part_texts and len(part_texts) != len(part_ids):
        raise _bad_line(path, number, f"{len(part_texts)} part texts for {len(part_ids)} ids")
    return Mention(
        id=mention_id,
        spans=(Span(int(start), int(stop)),),
        text=text,
        type=mention_type.lower(),
        concept_ids=parse_ids(ids),
        # A part without a concept has no id in concept_ids, so its text is left out too.
        part_texts=tuple(part for part, concept_id in zip(part_texts, part_ids, strict=False) if concept_id),
        role="composite" if part_texts else "single",
    )


def _bad_line(path: Path, number: int, problem: str) -> InputError:
    return InputError(path, f"line {number}", problem, "Correct or remove the line")


def _check_fits(document: Document) -> None:
    kinds = [passage.kind for passage in document.passages]
    offsets = [passage.offset for passage in document.passages]
    expected = [0, len(document.passages[0].text) + 1] if document.passages else []
    if kinds not in (["title"], ["title", "abstract"]) or offsets != expected[: len(offsets)]:
        raise _cannot_hold(document, "is not a title and an abstract")
    if any(mention.is_discontinuous or mention.role == "part" for mention in document.mentions):
        raise _cannot_hold(document, "has discontinuous mentions or mentions inside composites")
    if any(character in passage.text for passage in document.passages for character in "\t\r\n"):
        raise _cannot_hold(document, "has tabs or line ends in its text")


def _cannot_hold(document: Document, problem: str) -> ElError:
    return ElError(f"document {document.id} {problem}, which PubTator cannot hold. Write BioC XML instead.")


def _mention_columns(mention: Mention, linked: LinkedMention | None) -> list[str]:
    ids = mention.concept_ids if linked is None else linked.predicted
    # BC5CDR and PubTator spell types with a capital: "Disease", "Chemical".
    columns = [
        str(mention.start),
        str(mention.stop),
        mention.text,
        mention.type.capitalize(),
        format_ids(ids),
    ]
    # The reader refuses part texts that are not as many as the ids.
    parts = "|".join(mention.part_texts) if len(mention.part_texts) == len(ids) else ""
    if linked is not None:
        return [*columns, parts, format_scores(linked.scores)]
    return [*columns, parts] if parts else columns
