"""BioC XML in and out, a document at a time.

Entities are refused, and a declared document type is never loaded. A text in one element may have 10 MB:
libxml2 reads no more unless it is told to trust the file.
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

_CHUNK = 1 << 16
# None of these loads, expands or trusts anything.
_SAFE: dict[str, Any] = {"load_dtd": False, "no_network": True, "resolve_entities": False, "huge_tree": False}


def read_bioc(
    path: Path, tolerance: int = 0, moved: list[str] | None = None, skip: Skip | None = None
) -> Iterator[Document]:
    """Yields the documents of a BioC XML file.

    An annotation keeps its id, or gets one if it has none; its type is lower-cased; its concept ids come
    from the infon `MESH`, `identifier` or `Identifier`, the first that is there. A composite gets the
    texts of those parts that are annotated inside it. A passage given as sentences becomes one passage,
    and annotations and relations are the document's, at whatever level they stand. All else is kept for
    `BioCXmlWriter`, but for comments.

    Args:
        path: the file. A document type may be declared and is never loaded.
        tolerance: a location that is up to so many characters off is moved to where the annotated text
            stands. For corpora known to have such locations; anywhere else a wrong offset is an error.
        moved: gets a line for each annotation moved.
        skip: is told of each document that cannot be used, which is left out; None to raise instead. A file
            that is not well-formed is an error all the same.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities; a document is too large; a
            mention's text is not the text at its offsets, give or take the tolerance.
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
    """Returns what a BioC XML file says above its documents.

    Raises:
        InputError: the file is missing, is not BioC XML or declares entities.
    """
    parser = _Parser(path)
    next(parser.documents(), None)
    return parser.head


class BioCXmlWriter:
    """Writes documents as one BioC XML collection, one at a time.

    A document that came as BioC goes out with all that it came with. A linked mention has the infons of
    `link_infons`; an infon that had one of their keys goes on as `given_identifier` and so on. Mentions that
    the linker found are annotations of the passage, or sentence, that they begin in.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Begins the collection.

        Args:
            stream: where to write, as text; the file must be encoded in UTF-8.
            head: that of a collection in XML or JSON; anything else is dropped.

        Raises:
            ElError: the head holds a character that XML cannot hold.
        """
        self._stream = stream
        with _told("its collection"):
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
        with _told(f"document {linked.document.id!r}"):
            element = _element(linked.document)
            _add_links(element, linked)
        self._stream.write(_xml(element) + "\n")

    def finish(self) -> None:
        """Ends the collection."""
        self._stream.write(f"{CLOSING}\n")


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Tells of control characters, which lxml refuses."""
    try:
        yield
    except ValueError as error:
        raise ElError(f"BioC XML cannot hold {what}: {error}. Write JSON lines instead.") from error


class _Parser:
    """Reads a collection in pieces: by expat, which tells and refuses what is declared, and then by lxml."""

    def __init__(self, path: Path) -> None:
        self.head = XmlHead()
        self._path = path
        self._doctype = ""
        self._standalone = -1
        self._is_begun = False
        self._guard = self._make_guard()

    def documents(self) -> Iterator[XmlSource]:
        """Yields the documents; from the first on, `head` is what stands above them."""
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
                    raise too_large(
                        self._path, f"document that ends behind line {self._guard.CurrentLineNumber}"
                    )
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
        """Takes the first children out of the tree: what stands above the documents, then those done with."""
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
                problem = f"<{child.tag}> behind the first document"
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
    # An identifier holds one kind of quote at most, and no escapes.
    quoted = f"'{system}'" if '"' in system else f'"{system}"'
    return (
        f"<!DOCTYPE {name} SYSTEM {quoted}>"
        if public is None
        else f'<!DOCTYPE {name} PUBLIC "{public}" {quoted}>'
    )


def _xml(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _number_annotations(document: etree._Element) -> None:
    """Gives annotations without an id one, as BioC allows; a link has to say whose it is."""
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
        # Relations stand last.
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
    """Inserts a child, with the blanks between it and the next that its neighbours have."""
    child.tail = parent[place - 1].tail if place else parent.text
    parent.insert(place, child)


def _parts(element: etree._Element) -> list[tuple[int, etree._Element]]:
    tag = {"document": "passage", "passage": "sentence"}.get(element.tag)
    return [(int(part.findtext("offset", "")), part) for part in (element.findall(tag) if tag else ())]
