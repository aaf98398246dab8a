"""What BioC's two faces, XML and JSON, share: documents read from it and made for it, and infons for links.

A document is handled as the value that BioC JSON has for it. The `bioc` library turns XML into it and back.

Offsets and lengths are read as Unicode code points. BioC leaves that open; in BC5CDR, which is all
ASCII, it makes no difference, and a file that counts bytes fails the check of its mentions' texts.
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
# What somebody else wrote under one of these keys gives way to a link, and goes on under a new key.
_GIVEN = "given_"
_ID_KEYS = (_GOLD_KEY, f"{_GIVEN}{_PREDICTED_KEY}", _PREDICTED_KEY, "Identifier")
_ROLE_KEY = "CompositeRole"
_ROLES: dict[str, Role] = {"CompositeMention": "composite", "IndividualMention": "part"}
_ROLE_NAMES = {role: name for name, role in _ROLES.items()}


@dataclass(frozen=True)
class XmlSource:
    """A document's element as it came, as XML."""

    xml: str

    @property
    def row(self) -> Row:
        """The document as a BioC JSON value.

        Raises:
            etree.XMLSyntaxError, KeyError, TypeError, ValueError: it is not BioC.
        """
        (document,) = biocxml.loads(f"<collection>{self.xml}{CLOSING}").documents
        row: Row = biocjson.toJSON(document)
        return row


@dataclass(frozen=True)
class JsonSource:
    """A document's JSON value as it came."""

    row: Row


@dataclass(frozen=True)
class XmlHead:
    """What a collection in XML says above its documents.

    Attributes:
        xml: the collection's element without its documents.
        doctype: its document type as declared, without internal declarations; "" for none.
        standalone: what the XML declaration says: 1 for yes, 0 for no, -1 for nothing.
    """

    xml: str = EMPTY_HEAD
    doctype: str = ""
    standalone: int = -1


@dataclass(frozen=True)
class JsonHead:
    """What a collection in JSON says beside its documents.

    Attributes:
        row: the collection without its documents.
        key: the key of the documents.
        is_listed: whether the collection is the only item of a list.
    """

    row: Row
    key: str = "documents"
    is_listed: bool = False


def read_row(path: Path, row: Row, source: object, tolerance: int, moved: list[str]) -> Document:
    """Makes a document of a BioC JSON value.

    Args:
        path: the file, for messages.
        row: the value; annotations that have no id get one.
        source: what the document keeps of it.
        tolerance: a location that is up to so many characters off is moved to where its text stands.
        moved: gets a line for each annotation moved.

    Raises:
        InputError: it is not a BioC document; a mention's text is not the text at its offsets, give or take
            the tolerance.
    """
    document_id = "" if row.get("id") is None else str(row["id"])
    # Any part of it may be missing or of another type.
    try:
        return _read_document(path, document_id, row, source, tolerance, moved)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        place, problem = f"document {document_id}", f"not BioC ({type(error).__name__}: {error})"
        raise InputError(path, place, problem, "Check the document against BioC.dtd") from error


def row_of(document: Document) -> Row:
    """Returns a document as a BioC JSON value: as it came in, if it came as BioC of either face.

    Of other documents, gold ids are the infon `MESH`, as in BC5CDR. The texts of a composite's parts are not
    written beside it: BioC annotates the parts themselves.
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
    """Returns what a collection says above its documents as a BioC JSON value; little for other formats."""
    if isinstance(head, JsonHead):
        return head.row
    if isinstance(head, XmlHead):
        row: Row = biocjson.toJSON(biocxml.loads(head.xml))
        del row["documents"]
        return row
    # bioc fills in today's date: the same documents should give the same file.
    return {"source": "", "date": "", "key": "", "infons": {}}


def full_document(row: Row) -> BioCDocument:
    """Returns a BioC JSON value, which may lack something, as the `bioc` library's document.

    Infons become texts, as XML has them; keys that BioC does not know are left out.
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
    """Infons as XML has them: nothing for null, JSON for what is no text."""
    return {key: _text(value) for key, value in (row.get("infons") or {}).items()}


def levels(row: Row) -> Iterator[Row]:
    """The document itself, its passages and their sentences: each may hold annotations and relations."""
    yield row
    for passage in row["passages"]:
        yield passage
        yield from passage.get("sentences") or ()


def all_annotations(row: Row) -> Iterator[Row]:
    """The annotations of all levels."""
    for level in levels(row):
        yield from level.get("annotations") or ()


class Holders(Generic[_Level]):
    """Finds the passage of a document, or the sentence of a passage, that holds what begins somewhere.

    Args:
        level: the document, or a part of it.
        parts: gives the parts of a level, each with its offset.
    """

    def __init__(self, level: _Level, parts: Callable[[_Level], Iterable[tuple[int, _Level]]]) -> None:
        self._level = level
        in_order = sorted(parts(level), key=itemgetter(0))
        self._offsets = [offset for offset, _ in in_order]
        self._parts = [Holders(part, parts) for _, part in in_order]

    def at(self, start: int) -> _Level:
        """The last part that begins at or before `start`, or else the first; without parts, the level."""
        if not self._parts:
            return self._level
        return self._parts[max(bisect.bisect_right(self._offsets, start) - 1, 0)].at(start)


def row_holders(row: Row) -> Holders[Row]:
    """What holds the annotations of a document that is a BioC JSON value."""
    return Holders(
        row,
        lambda level: [
            (part["offset"], part) for part in level.get("passages") or level.get("sentences") or ()
        ],
    )


def annotation_row(mention: Mention, annotation_id: str, infons: Mapping[str, str]) -> Row:
    """A mention as an annotation."""
    locations = [{"offset": span.start, "length": span.stop - span.start} for span in mention.spans]
    return {"id": annotation_id, "infons": dict(infons), "text": mention.text, "locations": locations}


def found_infons(linked: LinkedMention) -> dict[str, str]:
    """The infons of a mention that the linker found."""
    return {**_type_infons(linked.mention), **link_infons(linked)}


def link_infons(linked: LinkedMention) -> dict[str, str]:
    """What the linker says of a mention, as infons.

    `identifier` (the predicted ids, `|` between them, `-1` for NIL), `score` (one for each predicted id),
    `candidates` (a JSON list of id, name, score and matched_name, best first) and `decided_by`.
    """
    candidates = json.dumps(candidate_rows(linked.links), ensure_ascii=False)
    values = (format_ids(linked.predicted), format_scores(linked.scores), candidates, linked.decided_by)
    return dict(zip(LINK_KEYS, values, strict=True))


def given_key(key: str, infons: Iterable[str]) -> str:
    """The key that an infon has where a link's infons are added: its own, unless a link's stands in its way.

    Args:
        key: the infon's key.
        infons: all keys beside it.
    """
    is_ours = _DECIDED_KEY in infons
    return key if is_ours or key not in LINK_KEYS else f"{_GIVEN}{key}"


def with_link_infons(infons: MutableMapping[str, Any], linked: LinkedMention) -> dict[str, Any]:
    """Infons with those of a link added; those of an earlier link are replaced."""
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
    """Gives annotations without an id one, as BioC allows; a link has to say whose it is. Returns these."""
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
    """Returns the mention's spans, each moved to where its text stands, if `tolerance` reaches there.

    The annotated text is cut into pieces as long as the spans. Where that does not work out, the spans
    are returned as they are.
    """
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
    """The texts of the parts inside a composite, in the order of its ids; none if one is missing."""
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
    """BC5CDR names a relation's two ends in infons, other corpora by nodes."""
    infons = row.get("infons") or {}
    kind = _infon(row, "relation") or _infon(row, "type")
    ends = [str(node["refid"]) for node in row.get("nodes") or ()]
    ends += [_infon(row, key) for key in infons if key not in ("relation", "type")]
    first, second = (*ends, "", "")[:2]
    return kind, first, second


def _level(**more: Any) -> Row:
    return {"infons": {}, "annotations": [], "relations": [], **more}


def _type_infons(mention: Mention) -> dict[str, str]:
    # BC5CDR and PubTator spell types with a capital: "Disease", "Chemical".
    infons = {"type": mention.type.capitalize()}
    if mention.role != "single":
        infons[_ROLE_KEY] = _ROLE_NAMES[mention.role]
    return infons


def _relation_row(number: int, relation: tuple[str, str, str]) -> Row:
    kind, first, second = relation
    # CID, a chemical that induces a disease, is BC5CDR's only relation.
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
