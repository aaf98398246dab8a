"""Made-up files in every format, with all that a format has room for beside what the linker reads."""

import json
from typing import Any

from hypothesis import strategies as st
from lxml import etree

from el.corpus.types import Document, Mention
from tests.el.corpus.strategies import TEXTS, abstracts, documents

Row = dict[str, Any]

KEYS = st.sampled_from(["a", "Ünit", "identifier", "score", "MESH"])
INFONS = st.dictionaries(KEYS, TEXTS, max_size=3)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
OTHERS = st.dictionaries(st.sampled_from(["other", "_id", "accessions"]), VALUES, max_size=2)
# Of PubTator and brat: what stands between tabs on a line.
FIELDS = st.text(st.sampled_from("ab é😀|:-.1"), min_size=1, max_size=8)


@st.composite
def bioc_rows(draw: st.DrawFn) -> Row:
    """A BioC document as JSON, some passages in sentences, annotations and relations at any level."""
    document = draw(documents())
    row: Row = {"id": document.id, "infons": draw(INFONS), "annotations": [], "relations": draw(_relations())}
    row["passages"] = []
    for passage in document.passages:
        level: Row = {"infons": {"type": passage.kind, **draw(INFONS)}, "offset": passage.offset}
        level |= {"text": passage.text, "sentences": [], "annotations": [], "relations": draw(_relations())}
        cut = draw(st.integers(0, len(passage.text)))
        if cut not in (0, len(passage.text)):
            level["text"] = None
            level["sentences"] = [
                {
                    "infons": draw(INFONS),
                    "offset": passage.offset + start,
                    "text": passage.text[start:stop],
                    "annotations": [],
                    "relations": draw(_relations()),
                }
                for start, stop in ((0, cut), (cut, len(passage.text)))
            ]
        row["passages"].append(level)
    places = [row, *row["passages"], *(s for level in row["passages"] for s in level["sentences"])]
    for mention in document.mentions:
        draw(st.sampled_from(places))["annotations"].append(
            {
                "id": f"A{mention.id}",
                "infons": {"type": mention.type.upper(), **draw(INFONS)},
                "text": mention.text,
                "locations": [{"offset": s.start, "length": s.stop - s.start} for s in mention.spans],
            }
        )
    return row


@st.composite
def bioc_json_files(draw: st.DrawFn) -> str:
    """A collection alone, in a list, or as PubTator gives it; with other keys on all levels."""
    rows = [
        {**row, **draw(OTHERS), "passages": [{**passage, **draw(OTHERS)} for passage in row["passages"]]}
        for row in draw(st.lists(bioc_rows(), min_size=1, max_size=2))
    ]
    head = {"source": draw(TEXTS), "date": "", "key": "k", "infons": draw(INFONS), **draw(OTHERS)}
    value = draw(
        st.sampled_from([{"PubTator3": rows}, {**head, "documents": rows}, [{**head, "documents": rows}]])
    )
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def bioc_xml_files(draw: st.DrawFn) -> str:
    """A collection with infons, an attribute of somebody else, and perhaps a document type."""
    collection = etree.Element("collection")
    for name in ("source", "date", "key"):
        etree.SubElement(collection, name).text = draw(TEXTS)
    _add_infons(collection, draw(INFONS))
    for row in draw(st.lists(bioc_rows(), min_size=1, max_size=2)):
        element = etree.SubElement(collection, "document", {"other": draw(TEXTS)})
        etree.SubElement(element, "id").text = row["id"]
        _add_infons(element, row["infons"])
        for passage in row["passages"]:
            _add_level(etree.SubElement(element, "passage"), passage)
        _add_marks(element, row)
    if draw(st.booleans()):
        etree.indent(collection)
    head = draw(
        st.sampled_from(
            ["", "<?xml version='1.0' encoding='UTF-8'?>\n<!DOCTYPE collection SYSTEM 'BioC.dtd'>"]
        )
    )
    return head + etree.tostring(collection, encoding="unicode")


@st.composite
def pubtator_files(draw: st.DrawFn) -> str:
    """Blocks with columns and relations of any number, and either kind of line end."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    blocks = []
    for document in draw(st.lists(abstracts(), min_size=1, max_size=3)):
        lines = [f"{document.id}|{passage.kind[0]}|{passage.text}" for passage in document.passages]
        for mention in document.mentions:
            columns = [document.id, str(mention.start), str(mention.stop), mention.text, mention.type.upper()]
            more = draw(st.integers(0, 4))
            # The seventh column is left empty: texts of parts must be as many as the ids.
            columns += ["|".join(mention.concept_ids) or "-", "", "0.5", draw(FIELDS)][:more]
            lines.append("\t".join(columns))
        for _ in range(draw(st.integers(0, 2))):
            lines.append("\t".join([document.id, "Bind", *draw(st.lists(FIELDS, min_size=2, max_size=4))]))
        blocks.append(end.join([*lines, *[""] * draw(st.integers(2, 3))]))
    mark = draw(st.sampled_from(["", "\ufeff", end]))
    text = mark + "".join(blocks)
    return draw(st.sampled_from([text, text.rstrip("\r\n"), text.rstrip("\r\n") + end]))


@st.composite
def brat_files(draw: st.DrawFn) -> tuple[str, str]:
    """A text and its annotations, with lines of all kinds."""
    passages = draw(st.lists(TEXTS.filter(str.strip), min_size=1, max_size=3))
    text = draw(st.sampled_from(["\n", "\n\n", "\r\n"])).join(passages)
    lines = []
    for number in range(draw(st.integers(0, 3))):
        # Behind the last paragraph is no text.
        last = len(text.rstrip())
        start = draw(st.integers(0, last - 1))
        stop = draw(st.integers(start + 1, last))
        surface = "".join(" " if character.isspace() else character for character in text[start:stop])
        lines.append(f"T{number}\tDisease {start} {stop}\t{surface}")
        others = (
            f"N{number}\tReference T{number} MESH:D00000{number}\t{draw(FIELDS)}",
            f"R{number}\tCauses Arg1:T{number} Arg2:T{number}",
            f"E{number}\tSeen:T{number} Theme:T{number}",
            f"A{number}\tNegation E{number}",
            f"#{number}\tAnnotatorNotes T{number}\t{draw(FIELDS)}",
            f"*\tEquiv T{number} T{number}",
        )
        lines += draw(st.lists(st.sampled_from(others), unique=True))
    annotations = "\n".join(lines)
    return text, annotations + draw(st.sampled_from(["", "\n"]) if annotations else st.just(""))


@st.composite
def json_lines_files(draw: st.DrawFn) -> str:
    """Documents with other keys on all levels, with passages or a text."""
    lines = []
    for document in draw(st.lists(documents(), min_size=1, max_size=3)):
        row: Row = {"id": document.id, **draw(OTHERS)}
        if draw(st.booleans()):
            row["text"] = document.text
        else:
            row["passages"] = [
                {"kind": passage.kind, "offset": passage.offset, "text": passage.text, **draw(OTHERS)}
                for passage in document.passages
            ]
        row["mentions"] = [{**_mention_row(mention), **draw(OTHERS)} for mention in document.mentions]
        lines.append(json.dumps(row, ensure_ascii=draw(st.booleans())))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


def plain_document(document: Document) -> Document:
    """The document without what came with it."""
    return Document(document.id, document.passages, document.mentions, document.relations)


def _mention_row(mention: Mention) -> Row:
    spans = [[span.start, span.stop] for span in mention.spans]
    return {"id": mention.id, "spans": spans, "type": mention.type.upper()}


@st.composite
def _relations(draw: st.DrawFn) -> list[Row]:
    nodes = [{"refid": f"A{number}", "role": draw(TEXTS)} for number in range(draw(st.integers(0, 3)))]
    return [
        {"id": f"R{number}", "infons": draw(INFONS), "nodes": nodes}
        for number in range(draw(st.integers(0, 1)))
    ]


def _add_infons(element: etree._Element, infons: dict[str, str]) -> None:
    for key, value in infons.items():
        etree.SubElement(element, "infon", {"key": key}).text = value


def _add_level(element: etree._Element, row: Row) -> None:
    _add_infons(element, row["infons"])
    etree.SubElement(element, "offset").text = str(row["offset"])
    if row["text"] is not None:
        etree.SubElement(element, "text").text = row["text"]
    for sentence in row.get("sentences", []):
        _add_level(etree.SubElement(element, "sentence"), sentence)
    _add_marks(element, row)


def _add_marks(element: etree._Element, row: Row) -> None:
    for annotation in row["annotations"]:
        child = etree.SubElement(element, "annotation", {"id": annotation["id"]})
        _add_infons(child, annotation["infons"])
        for location in annotation["locations"]:
            etree.SubElement(child, "location", {name: str(place) for name, place in location.items()})
        etree.SubElement(child, "text").text = annotation["text"]
    for relation in row["relations"]:
        child = etree.SubElement(element, "relation", {"id": relation["id"]})
        _add_infons(child, relation["infons"])
        for node in relation["nodes"]:
            etree.SubElement(child, "node", node)
