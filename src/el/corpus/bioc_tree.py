"""Reads the elements of BioC XML as the JSON object that BioC JSON has for a document.

The `bioc` library reads a text only up to the first element inside it, and one bad number costs it the whole
document. Here all characters of a text count, and a number that cannot be read stays a text, which the checks
of the object find.
"""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

Row = dict[str, Any]

CLOSING = "</collection>"

# With these options, the parser loads no other file, expands no entities and keeps its size limits.
_SAFE: dict[str, Any] = {"load_dtd": False, "no_network": True, "resolve_entities": False, "huge_tree": False}
_NUMBER = re.compile(r"\s*-?[0-9]{1,18}\s*")
_LEVELS = ("document", "passage", "sentence")
# The elements that may hold an element. Elsewhere, its content would be passed over.
_PARENTS = {
    "document": ("collection",),
    "passage": ("document",),
    "sentence": ("passage",),
    "offset": ("passage", "sentence"),
    "text": ("passage", "sentence", "annotation"),
    "annotation": _LEVELS,
    "relation": _LEVELS,
    "location": ("annotation",),
    "node": ("relation",),
}


def parsed(xml: str) -> etree._Element:
    """Returns the element in a text, without comments and instructions.

    The names of elements lose a namespace without a prefix.

    Raises:
        etree.XMLSyntaxError: the text is not XML, or is nested too deep.
    """
    parser = etree.XMLParser(remove_comments=True, remove_pis=True, **_SAFE)
    root = etree.fromstring(xml.encode(), parser)
    for element in root.iter("{*}*"):
        if element.prefix is None and element.tag.startswith("{"):
            element.tag = etree.QName(element).localname
    return root


def head_row_of(collection: etree._Element) -> Row:
    """Returns the collection's own values as a BioC JSON object."""
    names = ("source", "date", "key")
    return {name: _content(collection.find(name)) or "" for name in names} | {"infons": _infons(collection)}


def document_row(document: etree._Element) -> Row:
    """Returns a document as a BioC JSON object.

    Raises:
        ValueError: an element stands where BioC has none, or twice.
    """
    _check_structure(document)
    return {
        "bioctype": "BioCDocument",
        "id": _content(document.find("id")),
        "infons": _infons(document),
        "passages": [_passage(passage) for passage in document.findall("passage")],
        **_marks(document),
    }


def annotation_elements(document: etree._Element) -> Iterator[etree._Element]:
    """Yields the annotations of all levels, in the order of `el.corpus.bioc_documents.all_annotations`."""
    yield from document.findall("annotation")
    for passage in document.findall("passage"):
        yield from passage.findall("annotation")
        for sentence in passage.findall("sentence"):
            yield from sentence.findall("annotation")


def _check_structure(document: etree._Element) -> None:
    for element in document.iter(*_PARENTS):
        parent = element.getparent()
        if parent is None or parent.tag in _PARENTS[element.tag]:
            continue
        if next(element.iterancestors("text", "infon"), None) is None:
            raise ValueError(f"<{element.tag}> inside <{parent.tag}>")
    for level in document.iter(*_LEVELS):
        for name in ("id", "offset", "text"):
            if len(level.findall(name)) > 1:
                raise ValueError(f"more than one <{name}> in one <{level.tag}>")


def _passage(element: etree._Element) -> Row:
    sentences = [
        {"bioctype": "BioCSentence", **_part(sentence), **_marks(sentence)}
        for sentence in element.findall("sentence")
    ]
    return {"bioctype": "BioCPassage", **_part(element), "sentences": sentences, **_marks(element)}


def _part(element: etree._Element) -> Row:
    return {
        "offset": _number(_content(element.find("offset"))),
        "infons": _infons(element),
        "text": _content(element.find("text")),
    }


def _marks(element: etree._Element) -> Row:
    annotations = [
        {
            "id": annotation.get("id", ""),
            "infons": _infons(annotation),
            "text": _content(annotation.find("text")),
            "locations": [
                {name: _number(location.get(name)) for name in ("offset", "length")}
                for location in annotation.findall("location")
            ],
        }
        for annotation in element.findall("annotation")
    ]
    relations = [
        {
            "id": relation.get("id", ""),
            "infons": _infons(relation),
            "nodes": [
                {name: node.get(name, "") for name in ("refid", "role")} for node in relation.findall("node")
            ],
        }
        for relation in element.findall("relation")
    ]
    return {"annotations": annotations, "relations": relations}


def _infons(element: etree._Element) -> dict[str, str | None]:
    return {infon.get("key", ""): _content(infon) for infon in element.findall("infon")}


def _content(element: etree._Element | None) -> str | None:
    """All characters of an element, also inside other elements; None for a missing element."""
    return None if element is None else "".join(map(str, element.itertext()))


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else text
