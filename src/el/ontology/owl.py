"""Reads OWL and SKOS as RDF/XML or Turtle, with the library rdflib.

Imports are not loaded. OWL files commonly declare short entities for their namespaces
(`<!ENTITY obo "http://purl.obolibrary.org/obo/">`). Such entities are expanded, and all others are refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from el.base.errors import InputError
from el.base.extras import needs_extra
from el.ontology.entries import Entry, one_line, open_file, text_lines
from el.ontology.ontology import Name, Relation

if TYPE_CHECKING:
    from rdflib import Graph, Literal, URIRef

# The bytes at the start of a file that distinguish RDF/XML from Turtle.
_HEAD_BYTES = 1 << 16
_XML = re.compile(rb"\s*<(\?xml|!DOCTYPE|!--|(\w+:)?RDF\b)")
_RDF_ROOT = "http://www.w3.org/1999/02/22-rdf-syntax-ns# RDF"
_CONVERT = "Convert it to RDF/XML, Turtle or OBO, for example with ROBOT"
# The most characters of an entity's text. Addresses are shorter; at a larger value, a small file could expand
# to more memory.
_MAX_ENTITY = 1000
# A prefix and a number as the last part of an address, in the form of OBO and others: HP_0000118, NCIT_C3262.
_NUMBERED = re.compile(r"([A-Za-z]\w*)_([A-Z]?\d+)")

_OBO, _OBO_IN_OWL = "http://purl.obolibrary.org/obo/", "http://www.geneontology.org/formats/oboInOwl#"
_OWL, _SKOS = "http://www.w3.org/2002/07/owl#", "http://www.w3.org/2004/02/skos/core#"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_CLASSES = (f"{_OWL}Class", f"{_SKOS}Concept")
_LABELS = (f"{_SKOS}prefLabel", "http://www.w3.org/2000/01/rdf-schema#label")
_SYNONYMS: dict[str, Relation] = {
    f"{_OBO_IN_OWL}hasExactSynonym": "preferred",
    f"{_SKOS}altLabel": "preferred",
    f"{_OBO_IN_OWL}hasNarrowSynonym": "narrower",
    f"{_OBO_IN_OWL}hasBroadSynonym": "broader",
    f"{_OBO_IN_OWL}hasRelatedSynonym": "related",
}
_DEFINITIONS = (f"{_OBO}IAO_0000115", f"{_SKOS}definition")


def read_owl(path: Path, notes: list[str]) -> Iterator[Entry]:
    """Yields the classes of an OWL ontology or the concepts of a SKOS vocabulary, sorted by their addresses.

    The preferred name is a label in English or without a language, if there is one. Labels in other languages
    are further names. A class without a label only refers to a class of another ontology, and is skipped. The
    whole file is held in memory.

    Args:
        path: RDF/XML or Turtle, optionally gzipped.
        notes: receives a line for each import (imports are not loaded), and one about classes without a
            label.

    Raises:
        InputError: the file is missing or broken, is another kind of XML, or declares an entity that is not a
            short text.
        ElError: rdflib is not installed.
    """
    graph = _graph(path)
    from rdflib import URIRef

    imported = sorted(str(address) for address in graph.objects(None, URIRef(f"{_OWL}imports")))
    notes += [f"imports {address}: not loaded" for address in imported]
    found = (subject for kind in _CLASSES for subject in graph.subjects(URIRef(_TYPE), URIRef(kind)))
    unlabelled = 0
    for node in sorted({subject for subject in found if isinstance(subject, URIRef)}):
        entry = _entry(graph, node)
        if entry.names:
            yield entry
        else:
            unlabelled += 1
    if unlabelled:
        notes.append(f"{unlabelled:,} classes without a label skipped")


def _graph(path: Path) -> "Graph":
    """Reads the file. Its imports are not loaded."""
    with needs_extra("ontologies"):
        from rdflib import Graph
        from rdflib.exceptions import ParserError
    try:
        with open_file(path) as stream:
            is_xml = _XML.match(stream.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")) is not None
        if not is_xml:
            return Graph().parse(data="".join(line for _, line in text_lines(path)), format="turtle")
        _check_xml(path)
        with open_file(path) as stream:
            return Graph().parse(file=stream, format="xml")
    # rdflib raises SyntaxError for Turtle, and counts its lines from 0.
    except SyntaxError as error:
        place = f"line {getattr(error, 'lines', 0) + 1}"
        problem = "neither RDF/XML nor valid Turtle"
        raise InputError(path, place, problem, _CONVERT) from error
    except ParserError as error:
        raise InputError(path, "", f"not RDF ({error})", _CONVERT) from error


def _check_xml(path: Path) -> None:
    """Refuses broken XML, XML that is not RDF, and entities that could expand to a large text."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def check_entity(name: str, is_parameter: bool, value: str | None, *_: Any) -> None:
        if is_parameter or value is None or "&" in value or len(value) > _MAX_ENTITY:
            place = f"line {parser.CurrentLineNumber}"
            problem = f"declares the entity {name!r}, which is not a short text"
            raise InputError(path, place, problem, "Write its text out and remove the declaration")

    def check_root(name: str, _: dict[str, str]) -> None:
        if name != _RDF_ROOT:
            problem = f"the outermost element is <{name.split(' ')[-1]}>, not <rdf:RDF>"
            remedy = f"{_CONVERT}; for MeSH, give the folder with desc*.xml and supp*.xml"
            raise InputError(path, "", problem, remedy)
        parser.StartElementHandler = None

    parser.EntityDeclHandler = check_entity
    parser.StartElementHandler = check_root
    try:
        with open_file(path) as stream:
            parser.ParseFile(stream)
    except expat.ExpatError as error:
        problem = f"broken XML ({expat.ErrorString(error.code)})"
        raise InputError(path, f"line {error.lineno}", problem, _CONVERT) from error


def _entry(graph: "Graph", node: "URIRef") -> Entry:
    from rdflib import URIRef

    labels = [text for label in _LABELS for text in _texts(graph, node, label)]
    # The sort is stable: among labels of equal rank, those of the first property come first.
    names = {one_line(label): Name(one_line(label)) for label in sorted(labels, key=_is_foreign)}
    for property, relation in _SYNONYMS.items():
        for text in map(one_line, _texts(graph, node, property)):
            names.setdefault(text, Name(text, relation))
    definitions = [text for property in _DEFINITIONS for text in _texts(graph, node, property)]
    ids = _texts(graph, node, f"{_OBO_IN_OWL}id")
    return Entry(
        f"class <{node}>",
        str(ids[0]) if ids else _short_id(str(node)),
        tuple(name for text, name in names.items() if text) if labels else (),
        definition=one_line(min(definitions, key=_is_foreign)) if definitions else "",
        namespace="".join(_texts(graph, node, f"{_OBO_IN_OWL}hasOBONamespace")[:1]),
        obsolete=any(text.lower() in ("true", "1") for text in _texts(graph, node, f"{_OWL}deprecated")),
        replaced=(node, URIRef(f"{_OBO}IAO_0100001"), None) in graph,
    )


def _texts(graph: "Graph", node: "URIRef", property: str) -> "list[Literal]":
    """The texts of a property, sorted, so that a file gives the same order of names each time."""
    from rdflib import Literal, URIRef

    values = graph.objects(node, URIRef(property))
    return sorted((value for value in values if isinstance(value, Literal)), key=_text_and_language)


def _text_and_language(text: "Literal") -> tuple[str, str]:
    return str(text), text.language or ""


def _is_foreign(text: "Literal") -> bool:
    return not (text.language or "en").lower().startswith("en")


def _short_id(address: str) -> str:
    """The id in an address, such as HP:0000118 in http://purl.obolibrary.org/obo/HP_0000118.

    The id is the part after the last # or /. A prefix and a number are joined by a colon.
    """
    last = re.split("[#/]", address)[-1]
    numbered = _NUMBERED.fullmatch(last)
    return f"{numbered[1]}:{numbered[2]}" if numbered else last
