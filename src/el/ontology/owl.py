"""Reads OWL and SKOS as RDF/XML or Turtle, with the library rdflib.

Imports are not loaded. OWL files commonly declare short entities for their namespaces
(`<!ENTITY obo "http://purl.obolibrary.org/obo/">`). Such entities are expanded, and all others are refused.
"""

import re
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from el.base.errors import InputError
from el.base.extras import needs_extra
from el.ontology.entries import Entry, Notes, is_left_out, named, one_line, open_file, short_id, text_lines
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


def read_owl(path: Path, notes: Notes) -> Iterator[Entry]:
    """Yields the classes of an OWL ontology or the concepts of a SKOS vocabulary, sorted by their addresses.

    The preferred name is a label in English or without a language, if there is one. Labels in other languages
    are further names. Synonyms of types that say "deprecated", "excluded" or the like are left out. A class
    without a label only refers to a class of another ontology, and is skipped. The whole file is held in
    memory.

    Args:
        path: RDF/XML or Turtle, optionally gzipped.
        notes: receives each import (imports are not loaded), and what is left out.

    Raises:
        InputError: the file is missing or broken, is another kind of XML, or declares an entity that is not a
            short text.
        ElError: rdflib is not installed.
    """
    graph = _graph(path)
    from rdflib import URIRef

    for address in sorted(str(address) for address in graph.objects(None, URIRef(f"{_OWL}imports"))):
        notes.say(f"imports {address}: not loaded")
    found = (subject for kind in _CLASSES for subject in graph.subjects(URIRef(_TYPE), URIRef(kind)))
    nodes = sorted({subject for subject in found if isinstance(subject, URIRef)})
    left_out = _left_out(graph)
    entries = (_entry(graph, node, left_out, notes) for node in nodes)
    yield from named(entries, "class", "without a label skipped", notes)


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
    # rdflib raises ValueError for a language tag that it does not know.
    except (ParserError, ValueError) as error:
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


def _left_out(graph: "Graph") -> set[tuple[Any, str, str]]:
    """Returns (class, property, text) of each synonym whose type says that it is no name."""
    from rdflib import URIRef

    found = set()
    for axiom, type in graph.subject_objects(URIRef(f"{_OBO_IN_OWL}hasSynonymType")):
        labels = (str(label) for label in graph.objects(type, URIRef(_LABELS[-1])))
        if is_left_out(str(type), *labels):
            node, property, text = (
                graph.value(axiom, URIRef(f"{_OWL}annotated{part}"))
                for part in ("Source", "Property", "Target")
            )
            found.add((node, str(property), str(text)))
    return found


def _entry(graph: "Graph", node: "URIRef", left_out: Container[tuple[Any, str, str]], notes: Notes) -> Entry:
    from rdflib import URIRef

    place = f"class <{node}>"
    labels = [text for label in _LABELS for text in _texts(graph, node, label)]
    # The sort is stable: among labels of equal rank, those of the first property come first.
    name, *others = [one_line(label) for label in sorted(labels, key=_is_foreign)] or [""]
    synonyms = {other: Name(other) for other in others if other != name}
    for property, relation in _SYNONYMS.items():
        for text in _texts(graph, node, property):
            if (node, property, str(text)) in left_out:
                notes.count("synonym", "marked as deprecated or excluded left out", place)
            else:
                synonyms.setdefault(one_line(text), Name(one_line(text), relation))
    definitions = [text for property in _DEFINITIONS for text in _texts(graph, node, property)]
    ids = _texts(graph, node, f"{_OBO_IN_OWL}id")
    return Entry(
        place,
        str(ids[0]) if ids else short_id(str(node)),
        name,
        tuple(synonym for text, synonym in synonyms.items() if text),
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
