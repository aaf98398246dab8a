"""Reads and writes BioC XML, one document at a time.

Entities are refused, and a declared document type is never loaded. The text of one element may have up to
10 MB, the limit of libxml2 for files that are not trusted.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast
from xml.parsers import expat

from bioc import BioCCollection
from bioc.biocjson.decoder import parse_annotation
from bioc.biocxml.encoder import encode_annotation, encode_collection, encode_document, encode_infon
from lxml import etree

from el.base.errors import ElError, InputError
from el.corpus.bioc_documents import (
    CLOSING,
    LINK_KEYS,
    Holders,
    XmlHead,
    XmlSource,
    annotation_row,
    found_infons,
    full_document,
    given_key,
    head_row,
    link_infons,
    read_row,
    row_of,
    text_infons,
)
from el.corpus.checks import Skip, read_each
from el.corpus.fields import FreeIds
from el.corpus.opening import MAX_DOCUMENT, open_input, too_large
from el.corpus.types import Document, LinkedDocument, LinkedMention

_Event = tuple[str, etree._Element]

# Bytes that are parsed at once. A larger value needs more memory.
_CHUNK = 1 << 16
# With these options, the parser loads no other file, expands no entities and keeps its size limits.
_SAFE: dict[str, Any] = {"load_dtd": False, "no_network": True, "resolve_entities": False, "huge_tree": False}


def read_bioc(
    path: Path, tolerance: int = 0, moved: list[str] | None = None, skip: Skip | None = None
) -> Iterator[Document]:
    """Yields the documents of a BioC XML file.

    An annotation without an id gets one. Types are lower-cased. Concept ids come from the infon `MESH`,
    `identifier` or `Identifier`: the first that is present. A composite gets the texts of the parts that are
    annotated inside it. A passage given as sentences becomes one passage. Annotations and relations of all
    levels become those of the document. All other content except comments is kept for `BioCXmlWriter`.

    Args:
        path: the file. It may declare a document type, which is never loaded.
        tolerance: the most characters that a location may be off. Such a location is moved to the annotated
            text. This is for corpora with known errors; otherwise a wrong offset is an error.
        moved: receives a line for each moved annotation.
        skip: receives the error of each document that cannot be used, and the document is skipped. None
            raises the error. A file that is not well-formed raises an error in any case.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities; a document is too large; or a
            mention's text differs from the text at its offsets by more than the tolerance allows.
    """

    moved = [] if moved is None else moved

    def read(source: XmlSource) -> Document:
        try:
            row = source.row
        # bioc converts offsets with int() and looks attributes up with [] without checking them.
        except (etree.XMLSyntaxError, KeyError, TypeError, ValueError) as error:
            raise _not_bioc(path, error) from error
        return read_row(path, row, source, tolerance, moved)

    return read_each(_Parser(path).documents(), read, skip)


def read_bioc_head(path: Path) -> XmlHead:
    """Returns the part of a BioC XML file above its documents.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities.
    """
    parser = _Parser(path)
    next(parser.documents(), None)
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
            self._head = head if isinstance(head, XmlHead) else XmlHead(_head_xml(head))
        declared = {0: ' standalone="no"', 1: ' standalone="yes"'}.get(self._head.standalone, "")
        stream.write(f'<?xml version="1.0" encoding="UTF-8"{declared}?>\n')
        if self._head.doctype:
            stream.write(f"{self._head.doctype}\n")
        stream.write(self._head.xml.removesuffix(CLOSING).rstrip() + "\n")

    def write(self, linked: LinkedDocument) -> None:
        """Writes one document.

        Raises:
            ElError: a text holds a character that XML cannot hold.
        """
        with _control_characters_refused(f"document {linked.document.id!r}"):
            element = _element(linked.document)
            _add_links(element, linked)
        self._stream.write(_xml(element) + "\n")

    def finish(self) -> None:
        """Ends the collection."""
        self._stream.write(f"{CLOSING}\n")


@contextlib.contextmanager
def _control_characters_refused(what: str) -> Iterator[None]:
    """Turns lxml's error about control characters into an error that names the document."""
    try:
        yield
    except ValueError as error:
        raise ElError(f"BioC XML cannot hold {what}: {error}. Write JSON lines instead") from error


class _Parser:
    """Reads a collection in pieces. Each piece goes through expat and then through lxml.

    expat, the guard, reports the declarations, so that entities are refused before lxml sees them.
    """

    def __init__(self, path: Path) -> None:
        self.head = XmlHead()
        self._path = path
        self._doctype = ""
        self._standalone = -1
        self._is_begun = False
        self._guard = self._make_guard()

    def documents(self) -> Iterator[XmlSource]:
        """Yields the documents. From the first document on, `head` is the part above the documents."""
        try:
            yield from self._documents()
        except expat.ExpatError as error:
            problem = (
                f"not well-formed XML ({expat.ErrorString(error.code)}, byte {self._guard.ErrorByteIndex})"
            )
            remedy = "Check that the file is complete, and in the encoding that it declares"
            raise InputError(self._path, f"line {error.lineno}", problem, remedy) from error
        except etree.XMLSyntaxError as error:
            raise _not_bioc(self._path, error) from error

    def _documents(self) -> Iterator[XmlSource]:
        parser = etree.XMLPullParser(
            ("start", "end"), tag="document", remove_comments=True, remove_pis=True, **_SAFE
        )
        size = 0
        with open_input(self._path) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > MAX_DOCUMENT:
                    place = f"document that ends after line {self._guard.CurrentLineNumber}"
                    raise too_large(self._path, place)
                self._guard.Parse(chunk, False)
                parser.feed(chunk)
                for event, element in cast("Iterator[_Event]", parser.read_events()):
                    root = element.getparent()
                    if root is None or root.getparent() is not None:
                        continue
                    size = 0
                    if event == "start":
                        self._take(root, root.index(element))
                    else:
                        _number_annotations(element)
                        yield XmlSource(_xml(element))
        self._guard.Parse(b"", True)
        root = parser.close()
        self._take(root, len(root))

    def _take(self, root: etree._Element, count: int) -> None:
        """Removes the root's first `count` children from the tree, so that memory does not grow.

        The first call takes the elements above the documents, which become the head. Later calls take the
        documents that were read.
        """
        children = list(root)[:count]
        if not self._is_begun:
            nsmap = cast("dict[str, str]", root.nsmap)
            head = etree.Element(root.tag, cast("dict[str, str]", dict(root.attrib)), nsmap)
            head.text = "\n"
            head.extend(children)
            self.head = XmlHead(_xml(head), self._doctype, self._standalone)
            self._is_begun = True
            return
        for child in children:
            if child.tag != "document":
                problem = f"<{child.tag}> after the first document"
                raise InputError(self._path, "", problem, "Put it before the documents")
            root.remove(child)

    def _make_guard(self) -> expat.XMLParserType:
        guard = expat.ParserCreate()

        def place() -> str:
            return f"line {guard.CurrentLineNumber}"

        def refuse_declared(name: str, *_: Any) -> None:
            problem = f"declares the entity {name!r}"
            raise InputError(self._path, place(), problem, "Write its text out and remove the declaration")

        def refuse_used(name: str, _: bool) -> None:
            raise InputError(self._path, place(), f"uses the entity {name!r}", "Write its text out")

        def check_root(name: str, _: dict[str, str]) -> None:
            if name != "collection":
                problem = f"the outermost element is <{name}>, not <collection>"
                raise InputError(self._path, "", problem, "Give a BioC XML file")
            guard.StartElementHandler = None

        def keep_declaration(_: str, __: str | None, standalone: int) -> None:
            self._standalone = standalone

        def keep_doctype(name: str, system: str | None, public: str | None, _: bool) -> None:
            self._doctype = _doctype(name, system, public)

        guard.EntityDeclHandler = refuse_declared
        guard.SkippedEntityHandler = refuse_used
        guard.StartElementHandler = check_root
        guard.XmlDeclHandler = keep_declaration
        guard.StartDoctypeDeclHandler = keep_doctype
        return guard


def _doctype(name: str, system: str | None, public: str | None) -> str:
    if system is None:
        return f"<!DOCTYPE {name}>"
    # An identifier holds at most one kind of quotes, and XML has no escapes for quotes in it.
    quoted = f"'{system}'" if '"' in system else f'"{system}"'
    return (
        f"<!DOCTYPE {name} SYSTEM {quoted}>"
        if public is None
        else f'<!DOCTYPE {name} PUBLIC "{public}" {quoted}>'
    )


def _xml(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _number_annotations(document: etree._Element) -> None:
    """Gives an id to each annotation that has none, because a link must name its mention."""
    free = FreeIds(element.get("id", "") for element in document.iter("annotation", "relation"))
    for annotation in document.iter("annotation"):
        if not annotation.get("id"):
            annotation.set("id", free.take())


def _not_bioc(path: Path, error: Exception) -> InputError:
    if "text node" in str(error).lower():
        return InputError(path, "", "a text of more than 10 MB in one element", "Split it into passages")
    return InputError(path, "", f"not BioC XML ({error})", "Check the file against BioC.dtd")


def _head_xml(head: object) -> str:
    row = head_row(head)
    collection = BioCCollection()
    collection.source, collection.date, collection.key = (
        str(row.get(key) or "") for key in ("source", "date", "key")
    )
    collection.infons = text_infons(row)
    return _xml(encode_collection(collection))


def _element(document: Document) -> etree._Element:
    if isinstance(document.source, XmlSource):
        return etree.fromstring(document.source.xml, etree.XMLParser(**_SAFE))
    element: etree._Element = encode_document(full_document(row_of(document)))
    etree.indent(element)
    return element


def _add_links(element: etree._Element, linked: LinkedDocument) -> None:
    given = linked.given
    annotations = list(element.iter("annotation"))
    for annotation in annotations:
        link = given.get(annotation.get("id", ""))
        if link is not None:
            _add_infons(annotation, link)
    free = FreeIds(annotation.get("id", "") for annotation in annotations)
    holders = Holders(element, _parts)
    for found in linked.found:
        row = annotation_row(found.mention, free.take(found.mention.id), found_infons(found))
        holder = holders.at(found.mention.start)
        # BioC has relations after annotations.
        relation = holder.find("relation")
        place = len(holder) if relation is None else holder.index(relation)
        _insert(holder, place, encode_annotation(parse_annotation(row)))


def _add_infons(annotation: etree._Element, link: LinkedMention) -> None:
    infons = annotation.findall("infon")
    keys = [infon.get("key", "") for infon in infons]
    for infon, key in zip(infons, keys, strict=True):
        infon.set("key", given_key(key, keys))
        if infon.get("key") in LINK_KEYS:
            annotation.remove(infon)
    place = len(annotation.findall("infon"))
    for key, value in link_infons(link).items():
        _insert(annotation, place, encode_infon(key, value))
        place += 1


def _insert(parent: etree._Element, place: int, child: etree._Element) -> None:
    """Inserts a child and copies the white space that follows the element before it."""
    child.tail = parent[place - 1].tail if place else parent.text
    parent.insert(place, child)


def _parts(element: etree._Element) -> list[tuple[int, etree._Element]]:
    tag = {"document": "passage", "passage": "sentence"}.get(element.tag)
    return [(int(part.findtext("offset", "")), part) for part in (element.findall(tag) if tag else ())]
