"""The common part of BioC XML and BioC JSON: reading and making documents, and infons for links.

Both forms are handled as the JSON object that BioC JSON has for a document. The `bioc` library converts XML
to this object and back. An infon is a key with a value, which BioC allows at every level of a document.

Offsets and lengths are read as Unicode code points; the BioC format does not define their unit. In BC5CDR,
which is ASCII, there is no difference. In a file that counts bytes, the texts of mentions do not match.
"""

import bisect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

from bioc import BioCDocument, biocjson, biocxml

from el.base.errors import InputError
from el.corpus.checks import checked_text, make_document
from el.corpus.fields import FreeIds, candidate_rows, format_ids, format_scores, parse_ids
from el.corpus.types import Document, LinkedMention, Mention, Passage, Role, Span

Row = dict[str, Any]

_Level = TypeVar("_Level")

EMPTY_HEAD = "<collection><source></source><date></date><key></key></collection>"
CLOSING = "</collection>"

_GOLD_KEY = "MESH"
_PREDICTED_KEY = "identifier"
_DECIDED_KEY = "decided_by"
LINK_KEYS = (_PREDICTED_KEY, "score", "candidates", _DECIDED_KEY)
# An infon of the input that has one of these keys is kept: its key gets this prefix.
_GIVEN = "given_"
_ID_KEYS = (_GOLD_KEY, f"{_GIVEN}{_PREDICTED_KEY}", _PREDICTED_KEY, "Identifier")
_ROLE_KEY = "CompositeRole"
_ROLES: dict[str, Role] = {"CompositeMention": "composite", "IndividualMention": "part"}
_ROLE_NAMES = {role: name for name, role in _ROLES.items()}


@dataclass(frozen=True)
class XmlSource:
    """A document's element as the file has it, as XML."""

    xml: str

    @property
    def row(self) -> Row:
        """The document as a BioC JSON object.

        Raises:
            etree.XMLSyntaxError, KeyError, TypeError, ValueError: the element is not BioC.
        """
        (document,) = biocxml.loads(f"<collection>{self.xml}{CLOSING}").documents
        row: Row = biocjson.toJSON(document)
        return row


@dataclass(frozen=True)
class JsonSource:
    """A document's JSON object as the file has it."""

    row: Row


@dataclass(frozen=True)
class XmlHead:
    """The part of a collection in XML above its documents.

    Attributes:
        xml: the collection's element without its documents.
        doctype: the declared document type, without internal declarations; "" for none.
        standalone: the value in the XML declaration: 1 for yes, 0 for no, -1 for none.
    """

    xml: str = EMPTY_HEAD
    doctype: str = ""
    standalone: int = -1


@dataclass(frozen=True)
class JsonHead:
    """The part of a collection in JSON beside its documents.

    Attributes:
        row: the collection's object without its documents.
        key: the key of the documents.
        is_listed: whether the collection is the only item of a list.
    """

    row: Row
    key: str = "documents"
    is_listed: bool = False


def read_row(path: Path, row: Row, source: object, tolerance: int, moved: list[str]) -> Document:
    """Makes a document of a BioC JSON object.

    Args:
        path: the file, for messages.
        row: the object. Annotations without an id get one.
        source: see `Document.source`.
        tolerance: the most characters that a location may be off. Such a location is moved to its text.
        moved: receives a line for each moved annotation.

    Raises:
        InputError: the object is not a BioC document, or a mention's text differs from the text at its
            offsets by more than the tolerance allows.
    """
    document_id = "" if row.get("id") is None else str(row["id"])
    # The object has no schema: any value may be missing or of another type.
    try:
        return _read_document(path, document_id, row, source, tolerance, moved)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        place, problem = f"document {document_id}", f"not BioC ({type(error).__name__}: {error})"
        raise InputError(path, place, problem, "Check the document against BioC.dtd") from error


def row_of(document: Document) -> Row:
    """Returns a document as a BioC JSON object. A document that was read from BioC is unchanged.

    For other documents, gold ids become the infon `MESH`, as in BC5CDR. The texts of a composite's parts are
    dropped: BioC annotates the parts themselves.
    """
    if isinstance(document.source, JsonSource | XmlSource):
        return document.source.row
    row = _level(id=document.id, passages=[])
    row["passages"] = [
        _level(infons={"type": passage.kind}, offset=passage.offset, text=passage.text, sentences=[])
        for passage in document.passages
    ]
    holders = row_holders(row)
    for mention in document.mentions:
        infons = {**_type_infons(mention), _GOLD_KEY: format_ids(mention.concept_ids)}
        holders.at(mention.start)["annotations"].append(annotation_row(mention, mention.id, infons))
    row["relations"] = [_relation_row(*numbered) for numbered in enumerate(document.relations)]
    return row


def head_row(head: object) -> Row:
    """Returns the head of a collection as a BioC JSON object; an empty head for other formats."""
    if isinstance(head, JsonHead):
        return head.row
    if isinstance(head, XmlHead):
        row: Row = biocjson.toJSON(biocxml.loads(head.xml))
        del row["documents"]
        return row
    # Without these values, bioc fills in the date of today, and the same documents give different files.
    return {"source": "", "date": "", "key": "", "infons": {}}


def full_document(row: Row) -> BioCDocument:
    """Returns a BioC JSON object as the `bioc` library's document.

    Optional values may be missing. Infons become texts, as in XML. Keys unknown to BioC are dropped.
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
    return biocjson.fromJSON(_full_level(row, id=row.get("id"), passages=passages), "BioCDocument")


def text_infons(row: Row) -> dict[str, str]:
    """Returns infons as XML has them: "" for null, and JSON for values that are not texts."""
    return {key: _text(value) for key, value in (row.get("infons") or {}).items()}


def levels(row: Row) -> Iterator[Row]:
    """Yields the document, its passages and their sentences. Each may hold annotations and relations."""
    yield row
    for passage in row["passages"]:
        yield passage
        yield from passage.get("sentences") or ()


def all_annotations(row: Row) -> Iterator[Row]:
    """Yields the annotations of all levels."""
    for level in levels(row):
        yield from level.get("annotations") or ()


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


def row_holders(row: Row) -> Holders[Row]:
    """Returns the holders of annotations in a BioC JSON object."""
    return Holders(
        row,
        lambda level: [
            (part["offset"], part) for part in level.get("passages") or level.get("sentences") or ()
        ],
    )


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


def with_link_infons(infons: MutableMapping[str, Any], linked: LinkedMention) -> dict[str, Any]:
    """Returns infons with a link's infons added. The infons of an earlier link are replaced."""
    kept = {given_key(key, infons): value for key, value in infons.items()}
    return {**kept, **link_infons(linked)}


def _read_document(
    path: Path, document_id: str, row: Row, source: object, tolerance: int, moved: list[str]
) -> Document:
    numbered = _number_annotations(row)
    passages = [_read_passage(path, document_id, passage) for passage in row["passages"]]
    text = checked_text(path, document_id, passages)
    mentions = []
    for annotation in all_annotations(row):
        place = f"document {document_id}, annotation {annotation['id']}"
        if annotation["id"] in numbered:
            place += " (it has no id)"
        if not annotation["locations"]:
            raise InputError(path, place, "has no location", "Add one or remove the annotation")
        mention = _read_mention(annotation)
        if (spans := _moved_spans(text, mention, tolerance)) != mention.spans:
            moved.append(f"{place}: moved from {_format(mention.spans)} to {_format(spans)}")
            mention = replace(mention, spans=spans)
        mentions.append(mention)
    relations = [
        _read_relation(relation) for level in levels(row) for relation in level.get("relations") or ()
    ]
    return make_document(path, document_id, passages, _with_part_texts(mentions), relations, source)


def _number_annotations(row: Row) -> set[str]:
    """Gives an id to each annotation that has none, because a link must name its mention.

    Returns:
        The new ids.
    """
    relations = (relation for level in levels(row) for relation in level.get("relations") or ())
    free = FreeIds(str(item.get("id")) for item in (*all_annotations(row), *relations))
    without = [annotation for annotation in all_annotations(row) if annotation.get("id") in (None, "")]
    for annotation in without:
        annotation["id"] = free.take()
    return {annotation["id"] for annotation in without}


def _read_passage(path: Path, document_id: str, row: Row) -> Passage:
    sentences = [
        Passage("", sentence["offset"], sentence.get("text") or "") for sentence in row.get("sentences") or ()
    ]
    if row.get("text") or not sentences:
        text = row.get("text") or ""
    else:
        text = checked_text(path, document_id, sentences)[row["offset"] :]
    return Passage(_infon(row, "type"), row["offset"], text)


def _infon(row: Row, key: str) -> str:
    value = (row.get("infons") or {}).get(key)
    return "" if value is None else str(value)


def _read_mention(row: Row) -> Mention:
    infons = row.get("infons") or {}
    ids = next((_infon(row, key) for key in _ID_KEYS if key in infons), "")
    spans = sorted(
        Span(location["offset"], location["offset"] + location["length"]) for location in row["locations"]
    )
    return Mention(
        id=str(row["id"]),
        spans=tuple(spans),
        text=row.get("text") or "",
        type=_infon(row, "type").lower(),
        concept_ids=parse_ids(ids),
        role=_ROLES.get(_infon(row, _ROLE_KEY), "single"),
    )


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
    parts = [mention for mention in mentions if mention.role == "part"]
    return [
        replace(mention, part_texts=_part_texts(mention, parts)) if mention.role == "composite" else mention
        for mention in mentions
    ]


def _part_texts(composite: Mention, parts: list[Mention]) -> tuple[str, ...]:
    """The texts of the parts inside a composite, in the order of its ids; () if a part is missing."""
    inside = [part for part in parts if composite.start <= part.start and part.stop <= composite.stop]
    texts = []
    for concept_id in composite.concept_ids:
        part = next((part for part in inside if part.concept_ids == (concept_id,)), None)
        if part is None:
            return ()
        inside.remove(part)
        texts.append(part.text)
    return tuple(texts)


def _read_relation(row: Row) -> tuple[str, str, str]:
    """Reads a relation as (kind, first id, second id). Its ends are nodes, or infons in BC5CDR."""
    infons = row.get("infons") or {}
    kind = _infon(row, "relation") or _infon(row, "type")
    ends = [str(node["refid"]) for node in row.get("nodes") or ()]
    ends += [_infon(row, key) for key in infons if key not in ("relation", "type")]
    first, second = (*ends, "", "")[:2]
    return kind, first, second


def _level(**more: Any) -> Row:
    return {"infons": {}, "annotations": [], "relations": [], **more}


def _type_infons(mention: Mention) -> dict[str, str]:
    # BC5CDR and PubTator write types with a capital: "Disease", "Chemical".
    infons = {"type": mention.type.capitalize()}
    if mention.role != "single":
        infons[_ROLE_KEY] = _ROLE_NAMES[mention.role]
    return infons


def _relation_row(number: int, relation: tuple[str, str, str]) -> Row:
    kind, first, second = relation
    # CID (a chemical induces a disease) is the only relation of BC5CDR.
    first_key, second_key = ("Chemical", "Disease") if kind == "CID" else ("first", "second")
    infons = {"relation": kind, first_key: first, second_key: second}
    return {"id": f"R{number}", "infons": infons, "nodes": []}


def _full_level(row: Row, **more: Any) -> Row:
    annotations = [
        {
            "id": str(annotation["id"]),
            "infons": text_infons(annotation),
            "text": annotation.get("text"),
            "locations": annotation["locations"],
        }
        for annotation in row.get("annotations") or ()
    ]
    relations = [
        {
            "id": str(relation.get("id") or ""),
            "infons": text_infons(relation),
            "nodes": [
                {"refid": str(node["refid"]), "role": str(node.get("role") or "")}
                for node in relation.get("nodes") or ()
            ],
        }
        for relation in row.get("relations") or ()
    ]
    return {"infons": text_infons(row), "annotations": annotations, "relations": relations, **more}


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
