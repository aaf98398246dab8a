"""The forms in which the JSON objects of common tools have annotations.

An entry of a list of annotations has one of these forms. Its other keys are not read.

| tool | entry |
|---|---|
| this project | `{"spans": [[start, stop], ...], "type"}` or `{"start", "stop", "type"}` |
| doccano | `{"start_offset", "end_offset", "label"}` or `[start, stop, label]` |
| Prodigy, spaCy | `{"start", "end", "label"}`, optionally with `kb_id` |
| Hugging Face's pipelines | `{"start", "end", "entity_group"}` |
| Label Studio | `{"start", "end", "labels": [label]}` |
| spaCy's training data | `[start, stop, label]` or `[start, stop, label, concept id]` |
| BigBio | `{"offsets": [[start, stop], ...], "type", "text", "normalized": [{"db_name", "db_id"}, ...]}` |
| PubAnnotation | `{"span": {"begin", "end"}, "obj"}` |
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

from msgspec import Meta

from el.corpus.checks import MentionError
from el.corpus.fields import parse_ids
from el.corpus.schema import check_types
from el.corpus.types import Role

Row = dict[str, Any]

# More than the offsets of any document.
Offset = Annotated[int, Meta(ge=0, le=999_999_999)]
Interval = tuple[Offset, Offset]
Id = str | int
_ConceptId = Annotated[str, Meta(min_length=1)]

# The keys that may hold annotations. The first one with annotations is read.
_ANNOTATION_KEYS = ("mentions", "entities", "ents", "spans", "denotations", "annotations")
_KEYS = (*_ANNOTATION_KEYS, "label", "labels")
_TYPE_KEYS = ("type", "label", "entity_group", "obj")
# By these keys, too, an object with offsets is told from a sentence or a token, which has none of them.
_OTHER_TYPE_KEYS = ("labels", "entity", "entity_type", "category", "infons")


class _Common(TypedDict):
    id: NotRequired[Id]
    type: NotRequired[str]
    label: NotRequired[str]
    concept_ids: NotRequired[list[_ConceptId]]
    part_texts: NotRequired[list[str]]
    role: NotRequired[Role]
    original_ids: NotRequired[list[_ConceptId]]


class _Surface(_Common):
    text: NotRequired[str]


class _Long(_Surface):
    spans: Annotated[list[Interval], Meta(min_length=1)]


class _Short(_Surface):
    start: Offset
    stop: Offset


class _Doccano(_Surface):
    start_offset: Offset
    end_offset: Offset


class _End(_Surface):
    start: Offset
    end: Offset
    entity_group: NotRequired[str]
    labels: NotRequired[Annotated[list[str], Meta(min_length=1, max_length=1)]]
    kb_id: NotRequired[Id]


class _Normalized(TypedDict):
    db_name: str
    db_id: Id


class _BigBio(_Common):
    offsets: Annotated[list[Interval], Meta(min_length=1)]
    text: NotRequired[list[str]]
    normalized: NotRequired[list[_Normalized]]


class _Place(TypedDict):
    begin: Offset
    end: Offset


class _PubAnnotation(_Common):
    span: _Place
    obj: NotRequired[str]


class _Form(NamedTuple):
    """A form of entries.

    Attributes:
        schema: the types of an entry.
        spans: returns the places of an entry.
    """

    schema: Any
    spans: Callable[[Any], list[list[int]]]


_SHORT = _Form(_Short, lambda entry: [[entry["start"], entry["stop"]]])
# The key that distinguishes a form, and the form. The first key that an entry has decides.
_FORMS = {
    "spans": _Form(_Long, lambda entry: entry["spans"]),
    "stop": _SHORT,
    "start_offset": _Form(_Doccano, lambda entry: [[entry["start_offset"], entry["end_offset"]]]),
    "end": _Form(_End, lambda entry: [[entry["start"], entry["end"]]]),
    "offsets": _Form(_BigBio, lambda entry: entry["offsets"]),
    "span": _Form(_PubAnnotation, lambda entry: [[entry["span"]["begin"], entry["span"]["end"]]]),
}
# The keys of an entry that are kept as they are.
_KEPT = ("id", "text", "part_texts", "role", "original_ids")
# Names that tools give to MeSH.
_MESH_NAMES = {"MESH", "MSH"}
_TUPLES = {3: tuple[Offset, Offset, str], 4: tuple[Offset, Offset, str, Id]}


def annotations(row: Row) -> tuple[str, list[Any]]:
    """Returns the key of an object that is read as its annotations, and the annotations.

    The key is `mentions` if the object has it. If no key holds annotations, the key is `mentions` and the
    list is empty.
    """
    if "mentions" in row:
        return "mentions", row["mentions"]
    for key in _KEYS:
        entries = row.get(key)
        if isinstance(entries, list) and any(_has_form(entry) or _has_offsets(entry) for entry in entries):
            return key, entries
    return "mentions", []


def mention_row(path: Path, place: str, field: str, entry: Any) -> Row:
    """Returns an annotation in this project's form, with `spans`, `type` and `concept_ids`.

    The keys of `_KEPT` are there if the annotation has them.

    Args:
        path: the file, for messages.
        place: the line, for messages.
        field: the annotation's field, for messages: "mentions[0]".
        entry: the annotation in any of the forms.

    Raises:
        MentionError: the annotation has none of the forms, or a value of a wrong type.
    """
    check = partial(check_types, path, place, root=field, error=partial(MentionError, type=_type_of(entry)))
    if isinstance(entry, list):
        check(entry, _TUPLES.get(len(entry), _TUPLES[3]))
        start, stop, label, *concepts = entry
        ids = [concept_id for text in concepts for concept_id in parse_ids(str(text))]
        return {"spans": [[start, stop]], "type": label.lower(), "concept_ids": ids}
    form = (_form(entry) if isinstance(entry, dict) else None) or _SHORT
    check(entry, form.schema)
    row = {key: entry[key] for key in _KEPT if key in entry}
    if form.schema is _BigBio and "text" in row:
        row["text"] = " ".join(row["text"])
    spans = form.spans(entry)
    if any(after[0] < before[1] for before, after in itertools.pairwise(spans)):
        problem = f"the pieces of `{field}` overlap or are out of order"
        raise MentionError(path, place, problem, "Give the pieces in the order of the text", _type_of(entry))
    return row | {"spans": spans, "type": _type_of(entry), "concept_ids": _concept_ids(entry, form)}


def unread_annotations(row: Row, read: str) -> Iterator[tuple[str, str]]:
    """Yields the other keys of an object and its passages that look like annotations.

    A list whose places are all among the places of the annotations that are read is left out: this project
    writes `mentions` beside the annotations of other tools.

    Args:
        row: an object with a document.
        read: the key of the annotations that are read.

    Yields:
        The key, and the type of its first annotation.
    """
    for key, value in row.items():
        if key in (read, "passages", "relations"):
            continue
        first = next(_annotations_in(value, key in _ANNOTATION_KEYS), None)
        if first is not None and not _is_covered(value, row.get(read, [])):
            yield key, _type_of(first)
    for passage in row.get("passages", []):
        for key, value in passage.items():
            first = next(_annotations_in(value, key in _ANNOTATION_KEYS), None)
            if first is not None:
                yield f"passages[].{key}", _type_of(first)


def _form(entry: Row) -> _Form | None:
    return next((form for key, form in _FORMS.items() if key in entry), None)


def _has_form(entry: Any) -> bool:
    if isinstance(entry, list):
        kinds = set(map(type, entry))
        return len(entry) in _TUPLES and str in kinds and not kinds.isdisjoint((int, float))
    return isinstance(entry, dict) and _form(entry) is not None


def _has_offsets(entry: Any) -> bool:
    """Whether an entry under a key of annotations is a list of two offsets and something else."""
    return isinstance(entry, list) and len(entry) in _TUPLES and all(type(item) is int for item in entry[:2])


def _type_of(entry: Any) -> str:
    """The type of an annotation in lower case; "" if it has none, or one that is not a text."""
    if isinstance(entry, list):
        found = entry[2] if len(entry) in _TUPLES else ""
    elif isinstance(entry, dict):
        found = next((entry[key] for key in _TYPE_KEYS if key in entry), "")
        if "labels" in entry and isinstance(entry["labels"], list):
            found = found or next(iter(entry["labels"]), "")
        if isinstance(entry.get("infons"), dict):
            found = found or entry["infons"].get("type", "")
    else:
        found = ""
    return found.lower() if isinstance(found, str) else ""


def _concept_ids(entry: Row, form: _Form) -> list[str]:
    if "concept_ids" in entry:
        return list(entry["concept_ids"])
    if form.schema is _End:
        return list(parse_ids(str(entry.get("kb_id", ""))))
    if form.schema is _BigBio:
        return [found for concept in entry.get("normalized", []) for found in _qualified(concept)]
    return []


def _qualified(concept: Any) -> Iterator[str]:
    """The ids of a BigBio concept, with their vocabulary unless it is MeSH."""
    name = concept["db_name"]
    for concept_id in parse_ids(str(concept["db_id"])):
        yield concept_id if ":" in concept_id or name.upper() in _MESH_NAMES else f"{name}:{concept_id}"


def _annotations_in(value: Any, is_known: bool) -> Iterator[Any]:
    """Yields what looks like an annotation in a value of JSON, at any depth.

    Args:
        value: the value.
        is_known: whether it stands under a key of annotations. Objects without offsets then count too.
    """
    if _looks_annotated(value) or (is_known and isinstance(value, dict) and _has_type(value)):
        yield value
        return
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _annotations_in(child, is_known)


def _looks_annotated(value: Any) -> bool:
    if isinstance(value, dict):
        return "locations" in value or (_has_form(value) and _has_type(value))
    return _has_form(value)


def _has_type(entry: Row) -> bool:
    return any(key in entry for key in (*_TYPE_KEYS, *_OTHER_TYPE_KEYS))


def _is_covered(value: Any, read: Any) -> bool:
    """Whether all annotations of a value stand at places of the annotations that are read."""
    if not (isinstance(value, list) and isinstance(read, list)):
        return False
    places = {_places(entry) for entry in read} - {()}
    return all(_places(entry) in places for entry in value)


def _places(entry: Any) -> tuple[tuple[int, ...], ...]:
    """The places of an annotation; empty if it cannot be read."""
    try:
        row = mention_row(Path(), "", "", entry)
    except MentionError:
        return ()
    return tuple(map(tuple, row["spans"]))
