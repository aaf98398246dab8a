"""The common part of BioC XML and BioC JSON: reading and making documents, and infons for links.

Both forms are handled as the JSON object that BioC JSON has for a document. `el.corpus.bioc_tree` reads XML
as this object, and the `bioc` library makes XML of it. An infon is a key with a value, which BioC allows at
every level of a document.

Offsets and lengths are read as Unicode code points; the BioC format does not define their unit. In BC5CDR,
which is ASCII, there is no difference. In a file that counts bytes, the texts of mentions do not match.
"""

import bisect
import contextlib
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any, Generic, NotRequired, TypedDict, TypeVar

import msgspec
from bioc import BioCDocument, biocjson

from el.base.errors import ElError, InputError
from el.corpus.bioc_tree import CLOSING, Row, document_row, head_row_of, parsed
from el.corpus.checks import MentionError, Skip, checked_text, make_document, report
from el.corpus.fields import (
    MESH_ID,
    FreeIds,
    candidate_rows,
    format_ids,
    format_scores,
    format_type,
    parse_ids,
)
from el.corpus.schema import check_types
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage, Role, Span

_Level = TypeVar("_Level")

_GOLD_KEY = "MESH"
_PREDICTED_KEY = "identifier"
_DECIDED_KEY = "decided_by"
LINK_KEYS = (_PREDICTED_KEY, "score", "candidates", _DECIDED_KEY)
# An infon of the input that has one of these keys is kept: its key gets this prefix.
_GIVEN = "given_"
_ID_KEYS = (_GOLD_KEY, f"{_GIVEN}{_PREDICTED_KEY}", _PREDICTED_KEY, "Identifier")
# The infons that hold the ends of a relation: of PubTator 3; of this project, BC5CDR and BioRED.
_ROLE_KEYS = ("role1", "role2")
_END_KEYS = (("first", "second"), ("Chemical", "Disease"), ("entity1", "entity2"))
_ROLE_KEY = "CompositeRole"
_ROLES: dict[str, Role] = {"CompositeMention": "composite", "IndividualMention": "part"}
_ROLE_NAMES = {role: name for name, role in _ROLES.items()}


_Ids = str | int | list[str | int] | None


class _PassageInfons(TypedDict):
    type: NotRequired[str | None]


class _AnnotationInfons(TypedDict):
    type: NotRequired[str | None]
    CompositeRole: NotRequired[str | None]
    MESH: NotRequired[_Ids]
    given_identifier: NotRequired[_Ids]
    identifier: NotRequired[_Ids]
    Identifier: NotRequired[_Ids]


class _Location(TypedDict):
    offset: int
    length: int


class _Annotation(TypedDict):
    id: NotRequired[str | int | None]
    infons: NotRequired[_AnnotationInfons | None]
    text: NotRequired[str | None]
    locations: NotRequired[list[_Location] | None]


class _Node(TypedDict):
    refid: NotRequired[str | int | None]
    role: NotRequired[str | int | None]


class _Relation(TypedDict):
    id: NotRequired[str | int | None]
    infons: NotRequired[dict[str, Any] | None]
    nodes: NotRequired[list[_Node] | None]


# The annotations and relations in it are checked one by one, so that a bad one costs nothing else.
class _LevelRow(TypedDict):
    infons: NotRequired[dict[str, Any] | None]
    annotations: NotRequired[list[Any] | None]
    relations: NotRequired[list[Any] | None]


class _Sentence(_LevelRow):
    offset: Annotated[int, msgspec.Meta(ge=0)]
    text: NotRequired[str | None]


class _Passage(TypedDict):
    infons: NotRequired[_PassageInfons | None]
    annotations: NotRequired[list[Any] | None]
    relations: NotRequired[list[Any] | None]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    text: NotRequired[str | None]
    sentences: NotRequired[list[_Sentence] | None]


class _Document(_LevelRow):
    id: NotRequired[str | int | None]
    passages: list[_Passage]


@dataclass(frozen=True)
class XmlSource:
    """A document as its file in XML has it.

    Attributes:
        root: the start tag of the collection. It may declare namespaces.
        xml: the document's element.
        after: what follows the element, up to the next document or the end of the collection.
    """

    root: str
    xml: str
    after: str

    @property
    def row(self) -> Row:
        """The document as a BioC JSON object.

        Raises:
            etree.XMLSyntaxError, ValueError: the element is not BioC.
        """
        return document_row(parsed(self.root + self.xml + CLOSING)[0])


@dataclass(frozen=True)
class JsonSource:
    """A document's JSON object as the file has it."""

    row: Row


@dataclass(frozen=True)
class XmlHead:
    """The part of a file in XML above its documents, as the file has it.

    Attributes:
        prolog: what stands before the collection: the declarations of XML and of the document type.
        xml: the start tag of the collection, and all that follows up to the first document.
    """

    prolog: str = '<?xml version="1.0" encoding="UTF-8"?>\n'
    xml: str = "<collection><source></source><date></date><key></key>\n"


@dataclass(frozen=True)
class JsonHead:
    """The part of a collection in JSON beside its documents.

    Attributes:
        row: the collection's object without its documents.
        key: the key of the documents.
        is_listed: whether the collection is the only item of a list.
        line_end: what ends the lines of the file.
    """

    row: Row
    key: str = "documents"
    is_listed: bool = False
    line_end: str = "\n"


def line_end(head: object) -> str:
    """Returns what ends the lines of the file that a head is from."""
    if isinstance(head, JsonHead):
        return head.line_end
    return "\r\n" if isinstance(head, XmlHead) and "\r\n" in head.prolog + head.xml else "\n"


def read_row(
    path: Path,
    row: Row,
    source: object,
    tolerance: int = 0,
    moved: list[str] | None = None,
    skip: Skip | None = None,
) -> Document:
    """Makes a document of a BioC JSON object.

    Args:
        path: the file, for messages.
        row: the object. See `annotation_ids` for the ids of annotations.
        source: see `Document.source`.
        tolerance: the most characters that a location may be off. Such a location is moved to its text.
        moved: receives a line for each moved annotation.
        skip: receives the error of each annotation or relation that cannot be used, and the document is made
            without it. A relation's error has the type "relation". None raises the error.

    Raises:
        InputError: the object is not a BioC document.
        MentionError: a value of an annotation or relation has a wrong type, or a mention's text differs from
            the text at its offsets by more than the tolerance allows.
    """
    check_types(path, f"document {row.get('id')}", row, _Document)
    document_id = _id(row)
    passages = [_read_passage(path, document_id, passage) for passage in row["passages"]]
    text = checked_text(path, document_id, passages)
    mentions = []
    for mention in _read_mentions(path, document_id, row, skip):
        if (spans := _moved_spans(text, mention, tolerance)) != mention.spans and moved is not None:
            place = f"document {document_id}, annotation {mention.id}"
            moved.append(f"{place}: moved from {_format(mention.spans)} to {_format(spans)}")
        mentions.append(replace(mention, spans=spans))
    relations = list(_read_relations(path, document_id, row, skip))
    return make_document(path, document_id, passages, _with_part_texts(mentions), relations, source, skip)


def row_of(document: Document) -> Row:
    """Returns a document as a BioC JSON object. A document that was read from BioC is unchanged.

    For other documents, gold ids become the infon `MESH`, as in BC5CDR, if all of them are ids of MeSH, and
    else `identifier`. The texts of a composite's parts are dropped: BioC annotates the parts themselves.

    Raises:
        ElError: a document that is not from BioC would be read back as another.
    """
    if isinstance(document.source, JsonSource | XmlSource):
        return document.source.row
    row = _level(id=document.id, passages=[])
    row["passages"] = [
        _level(infons={"type": passage.kind}, offset=passage.offset, text=passage.text, sentences=[])
        for passage in document.passages
    ]
    holders = _row_holders(row)
    for mention in document.mentions:
        infons = {**_type_infons(mention), **_gold_infons(mention.concept_ids)}
        holders.at(mention.start)["annotations"].append(annotation_row(mention, mention.id, infons))
    row["relations"] = [_relation_row(*numbered) for numbered in enumerate(document.relations)]
    _check_read_back(document, row)
    return row


def head_row(head: object) -> Row:
    """Returns the head of a collection as a BioC JSON object; an empty head for other formats."""
    if isinstance(head, JsonHead):
        return head.row
    if isinstance(head, XmlHead):
        return head_row_of(parsed(head.xml + CLOSING))
    # Without these values, bioc fills in the date of today, and the same documents give different files.
    return {"source": "", "date": "", "key": "", "infons": {}}


def full_document(row: Row) -> BioCDocument:
    """Returns a BioC JSON object as the `bioc` library's document.

    Optional values may be missing. Infons become texts, as in XML. Dropped are keys unknown to BioC, and the
    annotations and relations whose values have wrong types.
    """
    passages = [
        _full_level(
            passage,
            offset=passage["offset"],
            text=passage.get("text"),
            sentences=[
                _full_level(sentence, offset=sentence["offset"], text=sentence.get("text"))
                for sentence in passage.get("sentences") or ()
            ],
        )
        for passage in row["passages"]
    ]
    return biocjson.fromJSON(_full_level(row, id=_id(row), passages=passages), "BioCDocument")


def text_infons(row: Row) -> dict[str, str]:
    """Returns infons as XML has them: "" for null, and JSON for values that are not texts."""
    return {key: _text(key, value) for key, value in (row.get("infons") or {}).items()}


def all_annotations(row: Row) -> Iterator[Any]:
    """Yields the annotations of all levels: of the document, then of each passage and its sentences."""
    for level in _levels(row):
        yield from level.get("annotations") or ()


def annotation_ids(row: Row) -> list[str]:
    """Returns the id of the mention that each annotation becomes, in the order of `all_annotations`.

    The id is the annotation's own. An annotation gets a free id if it has none, or if an annotation before it
    has the same.
    """
    given = [_id(annotation) for annotation in all_annotations(row)]
    free = free_ids(row, given)
    seen = {""}
    ids = []
    for own in given:
        ids.append(free.take() if own in seen else own)
        seen.add(own)
    return ids


def free_ids(row: Row, ids: Iterable[str]) -> FreeIds:
    """Returns the ids that neither a relation nor one of the given annotations has."""
    return FreeIds(itertools.chain(ids, map(_id, _all_relations(row))))


class Holders(Generic[_Level]):
    """Finds the passage or sentence of a document that holds the annotations at an offset.

    Args:
        level: the document, or a part of it.
        parts: returns the parts of a level, each with its offset.
    """

    def __init__(self, level: _Level, parts: Callable[[_Level], Iterable[tuple[int, _Level]]]) -> None:
        self._level = level
        in_order = sorted(parts(level), key=itemgetter(0))
        self._offsets = [offset for offset, _ in in_order]
        self._parts = [Holders(part, parts) for _, part in in_order]

    def at(self, start: int) -> _Level:
        """Returns the deepest part that holds offset `start`.

        That is the last part that begins at or before `start`, or else the first part. A level without parts
        holds every offset.
        """
        if not self._parts:
            return self._level
        return self._parts[max(bisect.bisect_right(self._offsets, start) - 1, 0)].at(start)


def annotation_row(mention: Mention, annotation_id: str, infons: Mapping[str, str]) -> Row:
    """Returns a mention as an annotation."""
    locations = [{"offset": span.start, "length": span.stop - span.start} for span in mention.spans]
    return {"id": annotation_id, "infons": dict(infons), "text": mention.text, "locations": locations}


def found_infons(linked: LinkedMention) -> dict[str, str]:
    """Returns the infons of a mention that the linker found."""
    return {**_type_infons(linked.mention), **link_infons(linked)}


def link_infons(linked: LinkedMention) -> dict[str, str]:
    """Returns a mention's links as infons.

    The keys: `identifier` (the predicted ids, separated by `|`; `-1` for NIL), `score` (one for each
    predicted id), `candidates` (a JSON list of id, name, score and matched_name, best first), `decided_by`.
    """
    candidates = json.dumps(candidate_rows(linked.links), ensure_ascii=False)
    values = (format_ids(linked.predicted), format_scores(linked.scores), candidates, linked.decided_by)
    return dict(zip(LINK_KEYS, values, strict=True))


def given_key(key: str, infons: Iterable[str]) -> str:
    """Returns the key under which an infon is kept when a link's infons are added.

    An infon whose key collides with one of `LINK_KEYS` gets the prefix `given_`, unless an earlier link wrote
    the infon.

    Args:
        key: the infon's key.
        infons: all keys of the same annotation.
    """
    has_link = _DECIDED_KEY in infons
    return key if has_link or key not in LINK_KEYS else f"{_GIVEN}{key}"


def with_links(row: Row, linked: LinkedDocument) -> Row:
    """Returns a copy of a BioC JSON object with the links of its document. The given object is not changed.

    A mention that the linker found becomes an annotation of the passage, or sentence, in which it begins.
    """
    if not linked.mentions:
        return row
    row = json.loads(json.dumps(row))
    ids = annotation_ids(row)
    given = linked.given
    for annotation_id, annotation in zip(ids, all_annotations(row), strict=True):
        if link := given.get(annotation_id):
            annotation["id"] = annotation_id if annotation.get("id") in (None, "") else annotation["id"]
            annotation["infons"] = _with_link_infons(annotation.get("infons") or {}, link)
    free = free_ids(row, ids)
    holders = _row_holders(row)
    for found in linked.found:
        level = holders.at(found.mention.start)
        annotation = annotation_row(found.mention, free.take(found.mention.id), found_infons(found))
        level["annotations"] = level.get("annotations") or []
        level["annotations"].append(annotation)
    return row


def _with_link_infons(infons: MutableMapping[str, Any], linked: LinkedMention) -> dict[str, Any]:
    """Returns infons with a link's infons added. The infons of an earlier link are replaced."""
    kept = {given_key(key, infons): value for key, value in infons.items()}
    return {**kept, **link_infons(linked)}


def _row_holders(row: Row) -> Holders[Row]:
    """Returns the holders of annotations in a BioC JSON object."""
    return Holders(
        row,
        lambda level: [
            (part["offset"], part) for part in level.get("passages") or level.get("sentences") or ()
        ],
    )


def _id(row: Any) -> str:
    """The id of an object as text; "" without one, and for a value that is no id."""
    found = row.get("id") if isinstance(row, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _levels(row: Row) -> Iterator[Row]:
    """Yields the document, its passages and their sentences. Each may hold annotations and relations."""
    yield row
    for passage in row["passages"]:
        yield passage
        yield from passage.get("sentences") or ()


def _all_relations(row: Row) -> Iterator[Any]:
    for level in _levels(row):
        yield from level.get("relations") or ()


def _problem(value: Any, schema: Any) -> str:
    """What is wrong with the types of a value; "" for nothing."""
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _read_mentions(path: Path, document_id: str, row: Row, skip: Skip | None) -> Iterator[Mention]:
    for mention_id, annotation in zip(annotation_ids(row), all_annotations(row), strict=True):
        problem = _problem(annotation, _Annotation)
        if not problem and annotation.get("locations"):
            yield _read_mention(annotation, mention_id)
            continue
        infons = annotation.get("infons") if isinstance(annotation, dict) else None
        kind = infons.get("type") if isinstance(infons, dict) else None
        error = MentionError(
            path,
            f"document {document_id}, annotation {mention_id}",
            problem or "has no location",
            "Correct or remove the annotation",
            kind.lower() if isinstance(kind, str) else "",
        )
        report(error, skip)


def _read_relations(
    path: Path, document_id: str, row: Row, skip: Skip | None
) -> Iterator[tuple[str, str, str]]:
    for relation in _all_relations(row):
        if problem := _problem(relation, _Relation):
            place = f"document {document_id}, relation {_id(relation)}"
            error = MentionError(path, place, problem, "Correct or remove the relation", "relation")
            report(error, skip)
        elif ends := _relation_ends(relation):
            yield _infon(relation, "relation") or _infon(relation, "type"), *ends


def _relation_ends(row: Row) -> tuple[str, str] | None:
    """The two ends of a relation: its infons for them, or else its nodes; None if not both are known.

    Other infons, such as a score, are no ends.
    """
    infons = row.get("infons") or {}
    for first, second in _END_KEYS:
        if first in infons and second in infons:
            return _end(infons[first]), _end(infons[second])
    ends = [_role_id(infons[key]) for key in _ROLE_KEYS if key in infons]
    ends = ends or [_end(node.get("refid")) for node in row.get("nodes") or ()]
    return (ends[0], ends[1]) if len(ends) == 2 and all(ends) else None


def _role_id(value: Any) -> str:
    """The ids of an end in PubTator 3: an object with the key `identifier` in JSON, `type|ids` in XML."""
    if isinstance(value, str) and value.startswith("{"):
        # As this project writes the object in XML.
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    found = value.get("identifier") if isinstance(value, dict) else _end(value).rpartition("|")[2]
    return "|".join(parse_ids(_end(found)))


def _end(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _read_passage(path: Path, document_id: str, row: Row) -> Passage:
    offset, text = row["offset"], row.get("text") or ""
    if not text and row.get("sentences"):
        text = _sentences_text(path, document_id, row)
    return Passage(_infon(row, "type"), offset, text)


def _sentences_text(path: Path, document_id: str, row: Row) -> str:
    start = row["offset"]
    sentences = [
        Passage("", sentence["offset"] - start, sentence.get("text") or "") for sentence in row["sentences"]
    ]
    if sentences[0].offset < 0:
        place = f"document {document_id}, sentence at {start + sentences[0].offset}"
        problem = f"starts before {start}, where its passage starts"
        if start + sentences[0].offset == 0:
            problem += "; this looks like an offset relative to the passage"
        raise InputError(path, place, problem, "Count offsets from the start of the document")
    return checked_text(path, document_id, sentences)


def _infon(row: Row, key: str) -> str:
    value = (row.get("infons") or {}).get(key)
    return value if isinstance(value, str) else ""


def _read_mention(row: Row, mention_id: str) -> Mention:
    infons = row.get("infons") or {}
    ids = next((infons[key] for key in _ID_KEYS if key in infons), None)
    spans = sorted(
        Span(location["offset"], location["offset"] + location["length"]) for location in row["locations"]
    )
    return Mention(
        id=mention_id,
        spans=tuple(spans),
        text=row.get("text") or "",
        type=_infon(row, "type").lower(),
        concept_ids=parse_ids(_id_text(ids)),
        role=_ROLES.get(_infon(row, _ROLE_KEY), "single"),
    )


def _id_text(ids: str | int | list[str | int] | None) -> str:
    """Concept ids as one text. PubTator 3 has null, and some files have numbers or lists."""
    return "|".join(map(str, ids)) if isinstance(ids, list) else "" if ids is None else str(ids)


def _moved_spans(text: str, mention: Mention, tolerance: int) -> tuple[Span, ...]:
    """Returns the mention's spans, each moved by at most `tolerance` characters to the place of its text.

    The annotated text is split into pieces with the lengths of the spans. If a piece is not found within the
    tolerance, all spans are returned unchanged.
    """
    # Small shifts first, so that the nearest place is taken.
    shifts = sorted(range(tolerance, -tolerance - 1, -1), key=abs)
    spans = []
    start = 0
    for span in mention.spans:
        length = span.stop - span.start
        piece = mention.text[start : start + length]
        start += length + 1
        starts = [span.start + shift for shift in shifts]
        fitting = [first for first in starts if text[first : first + length] == piece]
        if not fitting:
            return mention.spans
        spans.append(Span(fitting[0], fitting[0] + length))
    return tuple(spans)


def _format(spans: tuple[Span, ...]) -> str:
    return ", ".join(f"{span.start}:{span.stop}" for span in spans)


def _with_part_texts(mentions: list[Mention]) -> list[Mention]:
    """Gives each composite the texts of its parts, in the order of its ids; () if a part is missing."""
    parts: defaultdict[tuple[str, ...], list[Mention]] = defaultdict(list)
    for mention in sorted(mentions, key=attrgetter("spans")):
        if mention.role == "part":
            parts[mention.concept_ids].append(mention)
    return [
        replace(mention, part_texts=_part_texts(mention, parts)) if mention.role == "composite" else mention
        for mention in mentions
    ]


def _part_texts(composite: Mention, parts: Mapping[tuple[str, ...], list[Mention]]) -> tuple[str, ...]:
    # The places after the parts that were taken, for each id.
    taken: dict[str, int] = {}
    texts = []
    for concept_id in composite.concept_ids:
        same = parts.get((concept_id,), [])
        place = taken.get(concept_id)
        if place is None:
            place = bisect.bisect_left(same, composite.start, key=attrgetter("start"))
        if place == len(same) or same[place].stop > composite.stop:
            return ()
        texts.append(same[place].text)
        taken[concept_id] = place + 1
    return tuple(texts)


def _check_read_back(document: Document, row: Row) -> None:
    """Checks that a new object holds its document.

    BioC cannot hold, for example, a separator inside a concept id, or two mentions of one id.
    """
    what = f"document {document.id!r}"
    try:
        again = read_row(Path("BioC"), row, None)
    except InputError as error:
        raise ElError(f"BioC cannot hold {what} ({error}). Correct the document") from error
    pairs = [
        (document.id, again.id),
        *itertools.zip_longest(document.passages, again.passages),
        *itertools.zip_longest(map(_bare, _in_order(document.mentions)), map(_bare, again.mentions)),
        *itertools.zip_longest(document.relations, again.relations),
    ]
    for old, new in pairs:
        if old != new:
            raise ElError(
                f"BioC cannot hold {what}: {old!r} would be read as {new!r}. Write JSON lines instead"
            )


def _in_order(mentions: Iterable[Mention]) -> list[Mention]:
    return sorted(mentions, key=lambda mention: (mention.start, mention.stop))


def _bare(mention: Mention) -> Mention:
    return replace(mention, part_texts=())


def _level(**more: Any) -> Row:
    return {"infons": {}, "annotations": [], "relations": [], **more}


def _type_infons(mention: Mention) -> dict[str, str]:
    infons = {"type": format_type(mention.type)}
    if mention.role != "single":
        infons[_ROLE_KEY] = _ROLE_NAMES[mention.role]
    return infons


def _gold_infons(ids: tuple[str, ...]) -> dict[str, str]:
    """Gold ids as an infon. Without ids there is none: the mention may be one that is not linked yet."""
    if not ids:
        return {}
    is_mesh = all(re.fullmatch(MESH_ID, concept_id, re.ASCII) for concept_id in ids)
    return {_GOLD_KEY if is_mesh else _PREDICTED_KEY: format_ids(ids)}


def _relation_row(number: int, relation: tuple[str, str, str]) -> Row:
    kind, first, second = relation
    # CID (a chemical induces a disease) is the only relation of BC5CDR.
    first_key, second_key = ("Chemical", "Disease") if kind == "CID" else ("first", "second")
    infons = {"relation": kind, first_key: first, second_key: second}
    return {"id": f"R{number}", "infons": infons, "nodes": []}


def _full_level(row: Row, **more: Any) -> Row:
    annotations = [
        {
            "id": _id(annotation),
            "infons": text_infons(annotation),
            "text": annotation.get("text"),
            "locations": annotation.get("locations") or [],
        }
        for annotation in row.get("annotations") or ()
        if not _problem(annotation, _Annotation)
    ]
    relations = [
        {
            "id": _id(relation),
            "infons": text_infons(relation),
            "nodes": [
                {name: _end(node.get(name)) for name in ("refid", "role")}
                for node in relation.get("nodes") or ()
            ],
        }
        for relation in row.get("relations") or ()
        if not _problem(relation, _Relation)
    ]
    return {"infons": text_infons(row), "annotations": annotations, "relations": relations, **more}


def _text(key: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if key in _ID_KEYS and isinstance(value, list):
        return _id_text(value)
    return json.dumps(value, ensure_ascii=False)
