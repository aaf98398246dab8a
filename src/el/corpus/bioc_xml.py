"""BioC XML in and out, through the `bioc` library.

Offsets and lengths are read as Unicode code points. BioC leaves that open; in BC5CDR, which is all
ASCII, it makes no difference, and a file that counts bytes fails the check of its mentions' texts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO
from xml.parsers import expat

from bioc import (
    BioCAnnotation,
    BioCCollection,
    BioCDocument,
    BioCLocation,
    BioCPassage,
    BioCRelation,
    BioCSentence,
    biocxml,
)
from lxml import etree

from el.corpus.checks import make_document
from el.corpus.fields import candidate_rows, format_ids, format_scores, parse_ids
from el.corpus.types import Document, LinkedMention, Mention, Passage, Role, Span
from el.errors import ElError, InputError

_GOLD_KEY = "MESH"
_PREDICTED_KEY = "identifier"
_ID_KEYS = (_GOLD_KEY, _PREDICTED_KEY, "Identifier")
_ROLE_KEY = "CompositeRole"
_ROLES: dict[str, Role] = {"CompositeMention": "composite", "IndividualMention": "part"}
_ROLE_NAMES = {role: name for name, role in _ROLES.items()}


def read_bioc(path: Path, tolerance: int = 0, moved: list[str] | None = None) -> Iterator[Document]:
    """Yields the documents of a BioC XML file.

    An annotation keeps its id; its type is lower-cased; its concept ids come from the infon `MESH`,
    `identifier` or `Identifier`, the first that is there. A composite gets the texts of those parts
    that are annotated inside it. A passage given as sentences becomes one passage, and annotations and
    relations are the document's, at whatever level they stand. Other infons are not kept.

    Args:
        path: the file. A document type may be declared and is never loaded.
        tolerance: a location that is up to so many characters off is moved to where the annotated text
            stands. For corpora known to have such locations; anywhere else a wrong offset is an error.
        moved: gets a line for each annotation moved.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities; a mention's text is not
            the text at its offsets, give or take the tolerance.
    """
    _check_xml(path)
    try:
        with path.open("rb") as stream:
            collection = biocxml.load(stream)
    # bioc converts offsets with int() and looks attributes up with [] without checking them.
    except (etree.XMLSyntaxError, KeyError, TypeError, ValueError) as error:
        raise InputError(path, "", f"not BioC XML ({error})", "Check the file against BioC.dtd") from error
    for source in collection.documents:
        yield _read_document(path, source, tolerance, [] if moved is None else moved)


def write_bioc(
    documents: Iterable[Document],
    stream: TextIO,
    links: Mapping[tuple[str, str], LinkedMention] | None = None,
) -> None:
    """Writes documents as one BioC XML collection.

    Gold ids are written as the infon `MESH`, as in BC5CDR. A mention in `links` also gets the infons
    `identifier` (the predicted ids, `|` between them, `-1` for NIL), `score` (one for each predicted
    id), `candidates` (a JSON list of id, name, score and matched_name, best first) and `decided_by`.
    The texts of a composite's parts are not written beside it: BioC annotates the parts themselves.

    Args:
        documents: the documents.
        stream: where to write, as text; the file must be encoded in UTF-8.
        links: (document id, mention id) -> what the linker found.

    Raises:
        ElError: a text holds a character that XML cannot hold.
    """
    collection = BioCCollection()
    # bioc fills in today's date: the same documents should give the same file.
    collection.date = ""
    for document in documents:
        collection.add_document(_bioc_document(document, links or {}))
    try:
        biocxml.dump(collection, stream)
    except ValueError as error:
        raise ElError(f"BioC XML cannot hold these documents: {error}. Write JSON lines instead.") from error


def _check_xml(path: Path) -> None:
    """Refuses files that are not well-formed BioC, or that declare entities.

    lxml, as bioc calls it, expands internal entities; a few nested ones fill the memory.
    """
    parser = expat.ParserCreate()

    def refuse_entity(name: str, *_: Any) -> None:
        problem = f"declares the entity {name!r}"
        raise InputError(
            path, f"line {parser.CurrentLineNumber}", problem, "Write its text out and remove the declaration"
        )

    def check_root(name: str, _: dict[str, str]) -> None:
        if name != "collection":
            problem = f"the outermost element is <{name}>, not <collection>"
            raise InputError(path, "", problem, "Give a BioC XML file")
        parser.StartElementHandler = None

    parser.EntityDeclHandler = refuse_entity
    parser.StartElementHandler = check_root
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Check the path") from error
    except expat.ExpatError as error:
        problem = f"not well-formed XML ({expat.ErrorString(error.code)})"
        raise InputError(path, f"line {error.lineno}", problem, "Check that the file is complete") from error


def _read_document(path: Path, source: BioCDocument, tolerance: int, moved: list[str]) -> Document:
    document_id = source.id or ""
    passages = [_read_passage(passage) for passage in source.passages]
    text = Document(document_id, tuple(passages)).text
    mentions = []
    for annotation in _all_annotations(source):
        place = f"document {document_id}, annotation {annotation.id}"
        if not annotation.locations:
            raise InputError(path, place, "has no location", "Add one or remove the annotation")
        mention = _read_mention(annotation)
        if (spans := _moved_spans(text, mention, tolerance)) != mention.spans:
            moved.append(f"{place}: moved from {_format(mention.spans)} to {_format(spans)}")
            mention = replace(mention, spans=spans)
        mentions.append(mention)
    relations = [_read_relation(relation) for relation in _all_relations(source)]
    return make_document(path, document_id, passages, _with_part_texts(mentions), relations)


def _read_passage(source: BioCPassage) -> Passage:
    sentences = [Passage("", sentence.offset, sentence.text or "") for sentence in source.sentences]
    if source.text or not sentences:
        text = source.text or ""
    else:
        text = Document("", tuple(sentences)).text[source.offset :]
    return Passage(source.infons.get("type") or "", source.offset, text)


def _levels(source: BioCDocument) -> Iterator[BioCDocument | BioCPassage | BioCSentence]:
    """The document itself, its passages and their sentences: each may hold annotations and relations."""
    yield source
    for passage in source.passages:
        yield passage
        yield from passage.sentences


def _all_annotations(source: BioCDocument) -> Iterator[BioCAnnotation]:
    for level in _levels(source):
        yield from level.annotations


def _all_relations(source: BioCDocument) -> Iterator[BioCRelation]:
    for level in _levels(source):
        yield from level.relations


def _read_mention(source: BioCAnnotation) -> Mention:
    infons = source.infons
    ids = next((infons[key] or "" for key in _ID_KEYS if key in infons), "")
    spans = sorted(Span(location.offset, location.end) for location in source.locations)
    return Mention(
        id=source.id,
        spans=tuple(spans),
        text=source.text or "",
        type=(infons.get("type") or "").lower(),
        concept_ids=parse_ids(ids),
        role=_ROLES.get(infons.get(_ROLE_KEY) or "", "single"),
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


def _read_relation(source: BioCRelation) -> tuple[str, str, str]:
    """BC5CDR names a relation's two ends in infons, other corpora by nodes."""
    kind = source.infons.get("relation") or source.infons.get("type") or ""
    ends = [node.refid for node in source.nodes]
    ends += [value or "" for key, value in source.infons.items() if key not in ("relation", "type")]
    first, second = (*ends, "", "")[:2]
    return kind, first, second


def _bioc_document(document: Document, links: Mapping[tuple[str, str], LinkedMention]) -> BioCDocument:
    target = BioCDocument()
    target.id = document.id
    for passage in document.passages:
        target.add_passage(BioCPassage.of_text(passage.text, passage.offset))
        target.passages[-1].infons["type"] = passage.kind
    for mention in document.mentions:
        holder = _passage_of(target, mention.start)
        holder.add_annotation(_bioc_annotation(mention, links.get((document.id, mention.id))))
    for number, relation in enumerate(document.relations):
        target.add_relation(_bioc_relation(number, relation))
    return target


def _passage_of(document: BioCDocument, start: int) -> BioCPassage:
    """The last passage that begins at or before `start`; a mention may begin in the gap before the first."""
    earlier = [passage for passage in document.passages if passage.offset <= start]
    return earlier[-1] if earlier else document.passages[0]


def _bioc_annotation(mention: Mention, linked: LinkedMention | None) -> BioCAnnotation:
    target = BioCAnnotation()
    target.id = mention.id
    target.text = mention.text
    # BC5CDR and PubTator spell types with a capital: "Disease", "Chemical".
    target.infons["type"] = mention.type.capitalize()
    if mention.role != "single":
        target.infons[_ROLE_KEY] = _ROLE_NAMES[mention.role]
    if mention.concept_ids or linked is None:
        target.infons[_GOLD_KEY] = format_ids(mention.concept_ids)
    if linked is not None:
        target.infons |= _link_infons(linked)
    for span in mention.spans:
        target.add_location(BioCLocation(span.start, span.stop - span.start))
    return target


def _link_infons(linked: LinkedMention) -> dict[str, str]:
    return {
        _PREDICTED_KEY: format_ids(linked.predicted),
        "score": format_scores(linked.scores),
        "candidates": json.dumps(candidate_rows(linked.links), ensure_ascii=False),
        "decided_by": linked.decided_by,
    }


def _bioc_relation(number: int, relation: tuple[str, str, str]) -> BioCRelation:
    kind, first, second = relation
    # CID, a chemical that induces a disease, is BC5CDR's only relation.
    first_key, second_key = ("Chemical", "Disease") if kind == "CID" else ("first", "second")
    target = BioCRelation()
    target.id = f"R{number}"
    target.infons = {"relation": kind, first_key: first, second_key: second}
    return target
