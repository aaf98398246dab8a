"""Reads and writes JSON lines, one document a line: the project's format for corpora.

    {"id": str,
     "passages": [{"kind": str, "offset": int, "text": str}, ...],
     "mentions": [{"id": str, "spans": [[start, stop], ...], "text": str, "type": str,
                   "concept_ids": [str, ...], "part_texts": [str, ...], "role": str,
                   "original_ids": [str, ...]}, ...],
     "relations": [[kind, first id, second id], ...]}

Keys and values are those of `el.corpus.types`. A document that is written and read again is equal. The key
`original_ids` is written only if there are such ids. A shorter form is allowed: `"text": str` in place of the
passages, and `"start"` and `"stop"` in place of the spans. All other keys may then be missing. A document
without an id is named by its line, "line-3". Mentions without ids are numbered from "0". Other keys, at any
place, are kept.

Annotations and relations of common tools are read too: `el.corpus.json_forms` lists the forms. A line may be
`[text, {"entities": ...}]`, as in spaCy's training data.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TextIO, TypedDict

from el.base.errors import InputError
from el.base.files import write_jsonl
from el.base.text import with_spaces
from el.corpus.checks import MentionError, Skip, checked_text, make_document, read_each, report
from el.corpus.fields import FreeIds, link_row
from el.corpus.json_forms import Id, Interval, Offset, annotations, mention_row, unread_annotations
from el.corpus.opening import MAX_DEPTH, Line, decoded, is_blank, read_lines
from el.corpus.plain import BYTE_ORDER_MARK
from el.corpus.schema import check_types
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage, Span

_LINKS = "links"


@dataclass(frozen=True)
class Source:
    """A document's JSON object as the file has it.

    Attributes:
        row: the object.
        ids: for each entry of `mentions`, the id of the mention; None for an entry that cannot be used.
    """

    row: dict[str, Any]
    ids: tuple[str | None, ...]


class _Passage(TypedDict):
    kind: NotRequired[str]
    offset: Offset
    text: str


class _BigBioPassage(TypedDict):
    type: NotRequired[str]
    offsets: list[Interval]
    text: list[str]


class _Row(TypedDict):
    id: NotRequired[Id]
    text: NotRequired[str]
    passages: NotRequired[list[dict[str, Any]]]
    mentions: NotRequired[list[Any]]
    relations: NotRequired[list[tuple[str, str, str] | dict[str, Any]]]


# The keys of a relation as an object: of its kind and of the ids of its ends.
_RELATION_KEYS = (
    ("type", "from_id", "to_id"),
    ("type", "arg1_id", "arg2_id"),
    ("pred", "subj", "obj"),
)


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Writes documents without their sources, the file whole or not at all. Returns their number."""
    return write_jsonl(path, (_row(document) for document in documents))


def read_documents(path: Path, skip: Skip | None = None, *, keep_source: bool = False) -> Iterator[Document]:
    """Yields the documents of a file of JSON lines.

    Args:
        path: the file.
        skip: receives the error of each document that cannot be used, and the document is skipped. It also
            receives the error of each mention that cannot be used, and of the first line with a key that
            looks like annotations but is not read; the document is then made without them. None raises the
            error.
        keep_source: whether a document keeps its JSON object, so that `JsonLinesWriter` can write all its
            keys. Documents then take twice the memory.

    Raises:
        InputError: the file is missing, a line is too large or is not a document.
        MentionError: a mention has a wrong form, or its text differs from the text at its offsets.
    """
    reported: set[str] = set()

    def read(line: Line) -> Document:
        place = f"line {line.number}"
        row = _json_object(path, line)
        _check_row(path, place, row)
        key, entries = annotations(row)
        for name, type in unread_annotations(row, key):
            if name not in reported:
                reported.add(name)
                report(_unread(path, place, name, type), skip)
        document, ids = _document(path, line.number, row, key, entries, skip)
        source = Source(row, ids if key == "mentions" else ())
        return replace(document, source=source) if keep_source else document

    lines = (line for line in read_lines(path) if not is_blank(line.raw))
    return read_each(lines, read, skip)


class JsonLinesWriter:
    """Writes documents as JSON lines, one at a time.

    A document that was read from JSON lines keeps all its keys. A linked mention has the key `links` with
    predicted (ids), decided_by, margin and candidates (id, name, score, matched_name; best first). Mentions
    that the linker found follow the other mentions. Annotations that were read from another key than
    `mentions` stay there, and `mentions` has them again, with their links.
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
        row, ids = _row_to_write(linked.document)
        self._stream.write(json.dumps(_with_links(row, ids, linked), ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Nothing follows the last document."""


def loaded(path: Path, place: str, text: str) -> Any:
    """Returns the JSON value in `text`.

    Args:
        path: the file, for messages.
        place: the place in the file, for messages.
        text: the JSON.

    Raises:
        InputError: the text is not JSON, is nested deeper than `MAX_DEPTH`, has a key twice in one object,
            has a number that JSON cannot hold (NaN or an infinity), or holds half a surrogate pair, which a
            file in UTF-8 cannot hold.
    """

    def error(problem: str, remedy: str) -> InputError:
        return InputError(path, place, problem, remedy)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            name = next(key for key, count in counts.items() if count > 1)
            raise error(f"the key {name!r} stands twice in one object", "Remove one of the two")
        return row

    def finite(digits: str) -> float:
        number = float(digits)
        if not math.isfinite(number):
            raise error(f"{digits[:20]} is no number of JSON", "Write null, or a number of usual size")
        return number

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
        # Encoding takes time, so it is tried only if the text has an escape that may be half a pair.
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
        is_deep = text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value)
    except RecursionError:
        is_deep = True
    except UnicodeEncodeError as half:
        problem = f"holds half a surrogate pair (\\u{ord(half.object[half.start]):04x})"
        raise error(problem, "Write whole characters") from half
    except ValueError as invalid:
        raise error(f"not JSON ({invalid})", "Check that the file is complete") from invalid
    if is_deep:
        raise error("nested too deep", "Give documents of the usual form")
    return value


def _is_deep(value: Any) -> bool:
    """Whether a value has more than `MAX_DEPTH` arrays and objects inside each other."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        children = (inner.values() if isinstance(inner, dict) else inner for inner in level)
        level = [child for some in children for child in some if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _json_object(path: Path, line: Line) -> dict[str, Any]:
    place = f"line {line.number}"
    row = loaded(path, place, decoded(path, line.raw, line.offset, place).removeprefix(BYTE_ORDER_MARK))
    # spaCy's training data.
    if isinstance(row, list) and [type(item) for item in row] == [str, dict]:
        return {"text": row[0], **row[1]}
    if not isinstance(row, dict):
        remedy = "Put one document on each line, without a list around them (`jq -c '.[]'` does this)"
        raise InputError(path, place, "not a JSON object", remedy)
    return row


def _check_row(path: Path, place: str, row: dict[str, Any]) -> None:
    """Checks an object's types, except for its annotations."""
    if {"document", "mention", "predicted"} <= row.keys():
        raise InputError(
            path, place, "a line of links, not a document", "Give the documents that were linked"
        )
    if "text" not in row and "passages" not in row:
        keys = ", ".join(list(row)[:10]) or "none"
        problem = f"has neither `text` nor `passages` (its keys: {keys[:200]})"
        raise InputError(path, place, problem, "Give the document's text the key `text`")
    check_types(path, place, row, _Row, "document")
    for number, passage in enumerate(row.get("passages", [])):
        schema = _BigBioPassage if "offsets" in passage else _Passage
        check_types(path, place, passage, schema, f"passages[{number}]")
        if "offsets" in passage and len(passage["offsets"]) != len(passage["text"]):
            problem = (
                f"passages[{number}] has {len(passage['text'])} texts at {len(passage['offsets'])} offsets"
            )
            raise InputError(path, place, problem, "Give each text its offsets")


def _unread(path: Path, place: str, key: str, type: str) -> MentionError:
    problem = f"the key {key!r} looks like annotations, which are not read (further lines are not reported)"
    remedy = "Give them the key `mentions` and a form that docs/data.md describes, or remove them"
    return MentionError(path, place, problem, remedy, type)


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
    row: dict[str, Any] = {
        "id": mention.id,
        "spans": [[span.start, span.stop] for span in mention.spans],
        "text": mention.text,
        "type": mention.type,
        "concept_ids": mention.concept_ids,
        "part_texts": mention.part_texts,
        "role": mention.role,
    }
    return row | {"original_ids": mention.original_ids} if mention.original_ids else row


def _document(
    path: Path, number: int, row: dict[str, Any], key: str, entries: list[Any], skip: Skip | None
) -> tuple[Document, tuple[str | None, ...]]:
    """Returns an object's document, and for each annotation its id, or None if it cannot be used."""
    passages = _passages(row)
    document_id = str(row.get("id", f"line-{number}"))
    text = checked_text(path, document_id, passages)
    if "passages" in row and row.get("text") and not _is_alike(row["text"], text):
        problem = "`text` and `passages` hold different texts, so it is unknown which one is meant"
        raise InputError(path, f"line {number}", problem, "Remove one of the two")
    ids = _mention_ids(entries)
    mentions: list[Mention | None] = []
    for place, (mention_id, entry) in enumerate(zip(ids, entries, strict=True)):
        try:
            entry = mention_row(path, f"line {number}", f"{key}[{place}]", entry)
        except MentionError as error:
            report(error, skip)
            mentions.append(None)
        else:
            mentions.append(_mention(mention_id, entry, text))
    usable = [mention for mention in mentions if mention is not None]
    document = make_document(path, document_id, passages, usable, _relations(row), skip=skip)
    # By identity: of two mentions with one id, `make_document` keeps the first.
    kept = set(map(id, document.mentions))
    return document, tuple(mention.id if mention and id(mention) in kept else None for mention in mentions)


def _is_alike(one: str, other: str) -> bool:
    """Whether two texts differ at most in the kind of their blanks, and at their ends."""
    return with_spaces(one).strip() == with_spaces(other).strip()


def _passages(row: dict[str, Any]) -> list[Passage]:
    if "passages" not in row:
        return [Passage("text", 0, row["text"])]
    passages = []
    for passage in row["passages"]:
        if "offsets" in passage:
            pieces = zip(passage["offsets"], passage["text"], strict=True)
            passages += [Passage(passage.get("type", ""), start, text) for (start, _), text in pieces]
        else:
            passages.append(Passage(passage.get("kind", ""), passage["offset"], passage["text"]))
    return passages


def _mention_ids(entries: list[Any]) -> list[str]:
    """The ids of annotations. Those without an id have their number, unless it is taken."""
    given = [str(entry["id"]) if isinstance(entry, dict) and "id" in entry else None for entry in entries]
    free = FreeIds(mention_id for mention_id in given if mention_id is not None)
    return [free.take(str(number)) if name is None else name for number, name in enumerate(given)]


def _mention(mention_id: str, row: dict[str, Any], text: str) -> Mention:
    spans = tuple(Span(start, stop) for start, stop in row["spans"])
    return Mention(
        id=mention_id,
        spans=spans,
        text=row.get("text", " ".join(text[span.start : span.stop] for span in spans)),
        type=row["type"],
        concept_ids=tuple(row["concept_ids"]),
        part_texts=tuple(row.get("part_texts", ())),
        role=row.get("role", "single"),
        original_ids=tuple(row.get("original_ids", ())),
    )


def _relations(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The relations of an object. Objects of other forms than those of `_RELATION_KEYS` are not read."""
    for relation in row.get("relations", []):
        if isinstance(relation, list):
            kind, first, second = relation
            yield kind, first, second
            continue
        keys = next((keys for keys in _RELATION_KEYS if relation.keys() >= set(keys)), ())
        values = [relation[key] for key in keys]
        if values and all(type(value) in (str, int) for value in values):
            kind, first, second = map(str, values)
            yield kind, first, second


def _row_to_write(document: Document) -> tuple[dict[str, Any], tuple[str | None, ...]]:
    """Returns a document's JSON object, and the id of each entry of its `mentions`; see `Source`."""
    source = document.source
    ids = tuple(mention.id for mention in document.mentions)
    if not isinstance(source, Source):
        return _row(document), ids
    row = source.row if "id" in source.row else {"id": document.id, **source.row}
    if "mentions" in row or not document.mentions:
        return row, source.ids
    return row | {"mentions": list(map(_mention_row, document.mentions))}, ids


def _with_links(row: dict[str, Any], ids: Sequence[str | None], linked: LinkedDocument) -> dict[str, Any]:
    given = linked.given
    old = row.get("mentions", [])
    mentions = []
    for mention_id, entry in zip(ids, old, strict=True):
        found = None if mention_id is None else given.get(mention_id)
        if found is not None:
            entry = entry if isinstance(entry, dict) else _mention_row(found.mention)
            entry = {**entry, _LINKS: link_row(found)}
        mentions.append(entry)
    free = FreeIds(_mention_ids(old))
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
