"""Reads and writes JSON lines, one document a line: the project's format for corpora.

    {"id": str,
     "passages": [{"kind": str, "offset": int, "text": str}, ...],
     "mentions": [{"id": str, "spans": [[start, stop], ...], "text": str, "type": str,
                   "concept_ids": [str, ...], "part_texts": [str, ...], "role": str}, ...],
     "relations": [[kind, first id, second id], ...]}

Keys and values are those of `el.corpus.types`. A document that is written and read again is equal. A shorter
form is allowed: `"text": str` in place of the passages, and `"start"` and `"stop"` in place of the spans. All
keys except the document's id may then be missing. Mentions without ids are numbered from "0". Other keys, at
any place, are kept.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from el.base.errors import InputError
from el.base.files import write_jsonl
from el.corpus.checks import Skip, checked_text, make_document, read_each
from el.corpus.fields import FreeIds, link_row
from el.corpus.opening import Line, decoded, read_lines
from el.corpus.plain import BYTE_ORDER_MARK
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage, Span

_LINKS = "links"


@dataclass(frozen=True)
class Source:
    """A document's JSON object as the file has it."""

    row: dict[str, Any]


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Writes documents without their sources, the file whole or not at all. Returns their number."""
    return write_jsonl(path, (_row(document) for document in documents))


def read_documents(path: Path, skip: Skip | None = None, *, keep_source: bool = False) -> Iterator[Document]:
    """Yields the documents of a file of JSON lines.

    Args:
        path: the file.
        skip: receives the error of each document that cannot be used, and the document is skipped. None
            raises the error.
        keep_source: whether a document keeps its JSON object, so that `JsonLinesWriter` can write all its
            keys. Documents then take twice the memory.

    Raises:
        InputError: the file is missing, a line is too large or is not a document, or a mention's text differs
            from the text at its offsets.
    """

    def read(line: Line) -> Document:
        row = _json_object(path, line)
        document = _checked_document(path, line.number, row)
        return replace(document, source=Source(row)) if keep_source else document

    lines = (line for line in read_lines(path) if line.raw.strip())
    return read_each(lines, read, skip)


class JsonLinesWriter:
    """Writes documents as JSON lines, one at a time.

    A document that was read from JSON lines keeps all its keys. A linked mention has the key `links` with
    predicted (ids), decided_by, margin and candidates (id, name, score, matched_name; best first). Mentions
    that the linker found follow the other mentions.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Prepares a writer.

        Args:
            stream: an open text stream.
            head: not used: JSON lines have no head.
        """
        del head
        self._stream = stream

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document."""
        source = linked.document.source
        row = source.row if isinstance(source, Source) else _row(linked.document)
        self._stream.write(json.dumps(_with_links(row, linked), ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Nothing follows the last document."""


def loaded(path: Path, place: str, text: str) -> Any:
    """Returns the JSON value in `text`.

    Args:
        path: the file, for messages.
        place: the place in the file, for messages.
        text: the JSON.

    Raises:
        InputError: the text is not JSON, is nested too deep, or holds half a surrogate pair, which a file in
            UTF-8 cannot hold.
    """
    try:
        value = json.loads(text)
        # Encoding takes time, so it is tried only if the text has an escape that may be half a pair.
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InputError(path, place, "nested too deep", "Give documents of the usual form") from error
    except UnicodeEncodeError as error:
        raise InputError(path, place, "holds half a surrogate pair", "Write whole characters") from error
    except ValueError as error:
        raise InputError(path, place, f"not JSON ({error})", "Check that the file is complete") from error
    return value


def _json_object(path: Path, line: Line) -> dict[str, Any]:
    place = f"line {line.number}"
    row = loaded(path, place, decoded(path, line.raw, line.offset, place).removeprefix(BYTE_ORDER_MARK))
    if not isinstance(row, dict):
        raise InputError(path, place, "not a JSON object", "Put one document on each line")
    return row


def _checked_document(path: Path, number: int, row: dict[str, Any]) -> Document:
    try:
        return _document(path, row)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"not a document ({type(error).__name__}: {error})"
        remedy = "Correct the line (docs/data.md describes the format), or convert the corpus again"
        raise InputError(path, f"line {number}", problem, remedy) from error


def _row(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "passages": [
            {"kind": passage.kind, "offset": passage.offset, "text": passage.text}
            for passage in document.passages
        ],
        "mentions": [_mention_row(mention) for mention in document.mentions],
        "relations": document.relations,
    }


def _mention_row(mention: Mention) -> dict[str, Any]:
    return {
        "id": mention.id,
        "spans": [[span.start, span.stop] for span in mention.spans],
        "text": mention.text,
        "type": mention.type,
        "concept_ids": mention.concept_ids,
        "part_texts": mention.part_texts,
        "role": mention.role,
    }


def _document(path: Path, row: dict[str, Any]) -> Document:
    passages = _passages(row)
    document_id = _name(row["id"])
    text = checked_text(path, document_id, passages)
    mentions = [_mention(mention, number, text) for number, mention in enumerate(row.get("mentions", []))]
    relations = [(kind, first, second) for kind, first, second in row.get("relations", [])]
    return make_document(path, document_id, passages, mentions, relations)


def _passages(row: dict[str, Any]) -> list[Passage]:
    if "passages" not in row:
        return [Passage("text", 0, row["text"])]
    return [
        Passage(passage.get("kind", ""), passage["offset"], passage["text"]) for passage in row["passages"]
    ]


def _mention(row: dict[str, Any], number: int, text: str) -> Mention:
    spans = row["spans"] if "spans" in row else [[row["start"], row["stop"]]]
    pieces = " ".join(text[start:stop] for start, stop in spans)
    return Mention(
        id=_mention_id(row, number),
        spans=tuple(Span(start, stop) for start, stop in spans),
        text=row.get("text", pieces),
        type=row.get("type", "").lower(),
        concept_ids=tuple(row.get("concept_ids", ())),
        part_texts=tuple(row.get("part_texts", ())),
        role=row.get("role", "single"),
    )


def _mention_id(row: dict[str, Any], number: int) -> str:
    return _name(row.get("id", number))


def _name(value: Any) -> str:
    """An id as text. JSON may have the id as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"the id {value!r} is neither a text nor a number")
    return str(value)


def _with_links(row: dict[str, Any], linked: LinkedDocument) -> dict[str, Any]:
    given = linked.given
    old = row.get("mentions", [])
    ids = [_mention_id(mention, number) for number, mention in enumerate(old)]
    mentions = [
        {**mention, _LINKS: link_row(given[mention_id])} if mention_id in given else mention
        for mention_id, mention in zip(ids, old, strict=True)
    ]
    free = FreeIds(ids)
    mentions += [_found_row(found, free.take(found.mention.id)) for found in linked.found]
    return {**row, "mentions": mentions} if mentions else row


def _found_row(found: LinkedMention, mention_id: str) -> dict[str, Any]:
    mention = found.mention
    return {
        "id": mention_id,
        "spans": [[span.start, span.stop] for span in mention.spans],
        "text": mention.text,
        "type": mention.type,
        _LINKS: link_row(found),
    }
