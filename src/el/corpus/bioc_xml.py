"""Reads and writes BioC XML, one document at a time.

A document is kept as the characters of its element, and links are put between them. So what is not linked is
written as it was read, with comments, line ends and all.

Entities are refused, and a declared document type is never loaded.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import quoteattr

from bioc import BioCCollection
from bioc.biocjson.decoder import parse_annotation
from bioc.biocxml.encoder import encode_annotation, encode_collection, encode_document, encode_infon
from lxml import etree

from el.base.errors import ElError, InputError
from el.corpus.bioc_documents import (
    LINK_KEYS,
    Holders,
    XmlHead,
    XmlSource,
    annotation_ids,
    annotation_row,
    found_infons,
    free_ids,
    full_document,
    given_key,
    head_row,
    line_end,
    link_infons,
    read_row,
    row_of,
    text_infons,
    with_links,
)
from el.corpus.bioc_tree import CLOSING, Row, annotation_elements, document_row, parsed
from el.corpus.checks import Skip, read_each
from el.corpus.types import Document, LinkedDocument, LinkedMention
from el.corpus.xml_stream import CHECK, TAG, XmlPiece, XmlStream

# In well-formed XML: the tags, and all that may hold characters that look like tags.
_TOKENS = re.compile(rf"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|{TAG}", re.DOTALL)
_ATTRIBUTES = re.compile(r"""([^\s=<]+)\s*=\s*("[^"]*"|'[^']*')""")
_BLANK_BEFORE = re.compile(r"[ \t\r\n]+\Z")
# The most white space before a tag that is copied. At a larger value, a file of blanks grows more.
_MAX_INDENT = 200


def read_bioc(
    path: Path, tolerance: int = 0, moved: list[str] | None = None, skip: Skip | None = None
) -> Iterator[Document]:
    """Yields the documents of a BioC XML file.

    An annotation without an id, or with the id of an annotation before it, gets another one. Types are
    lower-cased. Concept ids come from the infon `MESH`, `identifier` or `Identifier`: the first that is
    present. A composite gets the texts of the parts that are annotated inside it. A passage given as
    sentences becomes one passage. Annotations and relations of all levels become those of the document. Of
    elements inside a text, the characters count. All content is kept for `BioCXmlWriter`.

    Args:
        path: the file. It may declare a document type, which is never loaded.
        tolerance: the most characters that a location may be off. Such a location is moved to the annotated
            text. This is for corpora with known errors; otherwise a wrong offset is an error.
        moved: receives a line for each moved annotation.
        skip: receives the error of each document or mention that cannot be used, which is skipped. None
            raises the error. Where XML is not well-formed, reading goes on at the next document. An error
            before the first document, and a declared entity, are raised in any case.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities; a document is too large; or a
            mention's text differs from the text at its offsets by more than the tolerance allows.
    """

    def read(piece: XmlPiece | InputError) -> Document:
        if isinstance(piece, InputError):
            raise piece
        try:
            row = piece.source.row
        except (etree.XMLSyntaxError, ValueError) as error:
            problem = f"not BioC XML ({error})"
            raise InputError(path, f"document at line {piece.line}", problem, CHECK) from error
        return read_row(path, row, piece.source, tolerance, moved, skip)

    return read_each(XmlStream(path).pieces(), read, skip)


def read_bioc_head(path: Path) -> XmlHead:
    """Returns the part of a BioC XML file above its documents.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities.
    """
    parser = XmlStream(path)
    next(parser.pieces(), None)
    return parser.head


class BioCXmlWriter:
    """Writes documents as one BioC XML collection, one at a time.

    A document that was read from BioC keeps all its content. A linked mention gets the infons of
    `link_infons`. An infon of the input with one of their keys is kept as `given_identifier` and so on. A
    mention that the linker found becomes an annotation of the passage, or sentence, in which it begins.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Begins the collection.

        Args:
            stream: an open text stream in UTF-8.
            head: the head of a collection in XML or JSON; any other head is dropped.

        Raises:
            ElError: the head holds a character that XML cannot hold.
        """
        self._stream = stream
        with _control_characters_refused("the head of the collection"):
            self._head = head if isinstance(head, XmlHead) else XmlHead(xml=_head_xml(head))
        self._line_end = line_end(head)
        stream.write(self._head.prolog + self._head.xml)

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document.

        Raises:
            ElError: BioC XML cannot hold the document.
        """
        source = linked.document.source
        with _control_characters_refused(f"document {linked.document.id!r}"):
            if not isinstance(source, XmlSource):
                self._stream.write(_new_xml(linked, self._line_end))
                return
            xml = _linked_xml(source, linked)
        if not self._head.xml.startswith(source.root):
            # The element may use namespaces that another collection declares.
            xml = _xml(parsed(source.root + xml + CLOSING)[0])
        self._stream.write(xml + source.after)

    def finish(self) -> None:
        """Ends the collection."""
        self._stream.write(CLOSING + self._line_end)


@contextlib.contextmanager
def _control_characters_refused(what: str) -> Iterator[None]:
    """Turns lxml's error about control characters into an error that names the document."""
    try:
        yield
    except ValueError as error:
        raise ElError(f"BioC XML cannot hold {what}: {error}. Write JSON lines instead") from error


def _xml(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _head_xml(head: object) -> str:
    row = head_row(head)
    collection = BioCCollection()
    collection.source, collection.date, collection.key = (
        str(row.get(key) or "") for key in ("source", "date", "key")
    )
    collection.infons = text_infons(row)
    return _xml(encode_collection(collection)).removesuffix(CLOSING) + line_end(head)


def _new_xml(linked: LinkedDocument, end: str) -> str:
    """The element of a document that is not from XML."""
    element: etree._Element = encode_document(full_document(with_links(row_of(linked.document), linked)))
    etree.indent(element)
    # The parser of XML reads both line ends as a line feed.
    return _xml(element).replace("\n", end) + end


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the characters of an element stand.

    Attributes:
        start: the start tag.
        inner: what follows the start tag.
        stop: what follows the element.
    """

    start: int
    inner: int
    stop: int


# The characters from a place to another, and what replaces them.
_Edit = tuple[int, int, str]


def _linked_xml(source: XmlSource, linked: LinkedDocument) -> str:
    """The characters of a document with links put between them."""
    xml = source.xml
    if not linked.mentions:
        return xml
    document = parsed(source.root + xml + CLOSING)[0]
    row = document_row(document)
    places = _places(xml, document)
    edits: list[_Edit] = []
    ids = annotation_ids(row)
    given = linked.given
    for annotation_id, annotation in zip(ids, annotation_elements(document), strict=True):
        if link := given.get(annotation_id):
            edits += _given_edits(xml, places, annotation, annotation_id, link)
    free = free_ids(row, ids)
    holders = Holders((row, document), _parts)
    # A holder is searched once, because it may hold many annotations.
    last: dict[etree._Element, _Place] = {}
    for found in linked.found:
        annotation_id = free.take(found.mention.id)
        _, holder = holders.at(found.mention.start)
        if holder not in last:
            last[holder] = places[_before_relations(holder)]
        edits.append(_found_edit(xml, last[holder], annotation_id, found))
    return _edited(xml, edits)


def _places(xml: str, document: etree._Element) -> dict[etree._Element, _Place]:
    elements = document.iter()
    begun: list[tuple[etree._Element, int, int]] = []
    places = {}
    for token in _TOKENS.finditer(xml):
        if token["name"] is None:
            continue
        if token["end"] is None:
            begun.append((next(elements), token.start(), token.end()))
        if token["end"] is not None or token[0].endswith("/>"):
            element, start, inner = begun.pop()
            places[element] = _Place(start, inner, token.end())
    return places


def _given_edits(
    xml: str,
    places: dict[etree._Element, _Place],
    annotation: etree._Element,
    annotation_id: str,
    link: LinkedMention,
) -> Iterator[_Edit]:
    """Adds the infons of a link. The infons of an earlier link go, and others with their keys are renamed."""
    place = places[annotation]
    if not annotation.get("id"):
        tag = xml[place.start : place.inner]
        yield place.start, place.inner, _with_attribute(tag, "id", annotation_id)
    infons = annotation.findall("infon")
    keys = [infon.get("key", "") for infon in infons]
    last = place.inner
    for infon, key in zip(infons, keys, strict=True):
        new, infon_place = given_key(key, keys), places[infon]
        if new in LINK_KEYS:
            start = infon_place.start - len(_indent(xml, infon_place.start))
            yield start, infon_place.stop, ""
            continue
        last = infon_place.stop
        if new != key:
            tag = xml[infon_place.start : infon_place.inner]
            yield infon_place.start, infon_place.inner, _with_attribute(tag, "key", new)
    indent = _indent(xml, places[annotation[0]].start)
    added = "".join(indent + _xml(encode_infon(key, value)) for key, value in link_infons(link).items())
    yield last, last, added


def _before_relations(holder: etree._Element) -> etree._Element:
    """The last element of a holder before its relations. BioC has annotations there."""
    relation = holder.find("relation")
    return holder[-1] if relation is None else holder[holder.index(relation) - 1]


def _found_edit(xml: str, before: _Place, annotation_id: str, found: LinkedMention) -> _Edit:
    """Adds an annotation behind another element."""
    row = annotation_row(found.mention, annotation_id, found_infons(found))
    new = _indent(xml, before.start) + _xml(encode_annotation(parse_annotation(row)))
    return before.stop, before.stop, new


def _parts(level: tuple[Row, etree._Element]) -> list[tuple[int, tuple[Row, etree._Element]]]:
    row, element = level
    for key, tag in (("passages", "passage"), ("sentences", "sentence")):
        if row.get(key):
            pairs = zip(row[key], element.findall(tag), strict=True)
            return [(part["offset"], (part, child)) for part, child in pairs]
    return []


def _indent(xml: str, place: int) -> str:
    """The white space between a tag and the tag before it; "" for other characters, and for very much."""
    blank = _BLANK_BEFORE.search(xml, max(place - _MAX_INDENT, 0), place)
    return blank[0] if blank and xml[blank.start() - 1] == ">" else ""


def _with_attribute(tag: str, name: str, value: str) -> str:
    """A start tag with another value of an attribute."""
    for attribute in _ATTRIBUTES.finditer(tag):
        if attribute[1] == name:
            return tag[: attribute.start(2)] + quoteattr(value) + tag[attribute.end(2) :]
    end = len(tag) - (2 if tag.endswith("/>") else 1)
    return f"{tag[:end]} {name}={quoteattr(value)}{tag[end:]}"


def _edited(xml: str, edits: Iterable[_Edit]) -> str:
    pieces = []
    done = 0
    for start, stop, new in sorted(edits, key=itemgetter(0)):
        pieces += [xml[done:start], new]
        done = stop
    return "".join([*pieces, xml[done:]])
