import socket
import sys
from pathlib import Path

import pytest

from el.base.errors import ElError, InputError
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name
from tests.el.ontology.strategies import write

OWL = """\
<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [
  <!ENTITY obo "http://purl.obolibrary.org/obo/">
  <!ENTITY xsd "http://www.w3.org/2001/XMLSchema#">
]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
    xmlns:owl="http://www.w3.org/2002/07/owl#"
    xmlns:obo="http://purl.obolibrary.org/obo/"
    xmlns:skos="http://www.w3.org/2004/02/skos/core#"
    xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#">
  <owl:Ontology rdf:about="&obo;hp.owl">
    <owl:imports rdf:resource="http://127.0.0.1:9/other.owl"/>
  </owl:Ontology>
  <owl:Class rdf:about="&obo;HP_0000002">
    <rdfs:label xml:lang="de">Kurzer Finger</rdfs:label>
    <rdfs:label xml:lang="en">Short
        finger</rdfs:label>
    <obo:IAO_0000115>A finger that is short.</obo:IAO_0000115>
    <oboInOwl:hasExactSynonym>Stubby finger</oboInOwl:hasExactSynonym>
    <skos:altLabel>Finger, short</skos:altLabel>
    <oboInOwl:hasRelatedSynonym>Stub</oboInOwl:hasRelatedSynonym>
    <oboInOwl:hasNarrowSynonym>Short thumb</oboInOwl:hasNarrowSynonym>
    <oboInOwl:hasOBONamespace>human_phenotype</oboInOwl:hasOBONamespace>
    <rdfs:subClassOf><owl:Class><owl:unionOf rdf:parseType="Collection"/></owl:Class></rdfs:subClassOf>
  </owl:Class>
  <owl:Class rdf:about="&obo;HP_0000001">
    <rdfs:label>old</rdfs:label>
    <owl:deprecated rdf:datatype="&xsd;boolean">true</owl:deprecated>
    <obo:IAO_0100001 rdf:resource="&obo;HP_0000002"/>
  </owl:Class>
  <owl:Class rdf:about="http://example.org/vocabulary#Local-7"><rdfs:label>local</rdfs:label></owl:Class>
  <owl:Class rdf:about="http://example.org/a/b"><rdfs:label>b</rdfs:label><oboInOwl:id>B:1</oboInOwl:id></owl:Class>
  <owl:Class rdf:about="&obo;BFO_0000001"/>
</rdf:RDF>
"""
TURTLE = """\
@prefix : <http://example.org/EX_> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
:2 a skos:Concept ; skos:prefLabel "Zucker"@de , "sugar"@en-GB ; skos:altLabel "sucre"@fr .
:1 a skos:Concept ; skos:prefLabel "Salz"@de ; skos:definition "Weiß."@de .
"""
FINGER = Concept(
    "HP:0000002",
    (Name("Short finger"), Name("Kurzer Finger"), Name("Stubby finger"), Name("Finger, short")),
    "disease",
    definition="A finger that is short.",
)


def read(path: Path, notes: list[str] | None = None, **changes: str) -> list[Concept]:
    return list(read_ontology_file(path, Reading(kind="disease", **changes), notes))  # type: ignore[arg-type]


def test_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connected)
    notes: list[str] = []
    found = {concept.id: concept for concept in read(write(tmp_path / "own.owl", OWL), notes)}
    assert list(found) == ["B:1", "Local-7", "HP:0000002"]
    assert found["HP:0000002"] == FINGER
    assert notes == [
        "imports http://127.0.0.1:9/other.owl: not loaded",
        "1 class without a label skipped",
        "1 obsolete concept skipped (1 with a successor)",
    ]


def test_all_synonyms_of_a_namespace(tmp_path: Path) -> None:
    path = write(tmp_path / "own.owl", OWL)
    for namespace in ("human_phenotype", "HP"):
        (finger,) = read(path, synonyms="all", namespace=namespace)
        assert finger.names == (*FINGER.names, Name("Short thumb", "narrower"), Name("Stub", "related"))


def test_skos_in_turtle(tmp_path: Path) -> None:
    assert read(write(tmp_path / "own.ttl", TURTLE)) == [
        Concept("EX:1", (Name("Salz"),), "disease", definition="Weiß."),
        Concept("EX:2", (Name("sugar"), Name("Zucker"), Name("sucre")), "disease"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.owl: holds no concepts"),
        ("<?xml version='1.0'?>\n<Ontology/>", "the outermost element is <Ontology>, not <rdf:RDF>"),
        (OWL.replace("</rdf:RDF>", ""), "line 36: broken XML"),
        ("Prefix(:=<http://example.org/>)\n", "line 1: neither RDF/XML nor valid Turtle"),
        (TURTLE + ":3 a [\n", "neither RDF/XML nor valid Turtle"),
        (OWL.replace("Local-7", "B:1"), "class <http://example.org/.*>: the id B:1 is also in class <"),
        (OWL.replace("Local-7", "Local,7"), "'Local,7' cannot be written into linked documents"),
        (OWL.replace('rdf:about="&obo;hp.owl"', 'rdf:ID="1 2"'), "not RDF"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "own.owl", text))


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY obo "&a;&a;&a;">',
        '<!ENTITY obo "&#38;xsd;">',
        f'<!ENTITY obo "{"a" * 2000}">',
        '<!ENTITY obo SYSTEM "file:///etc/hostname">',
        '<!ENTITY % obo "a">',
        '<!ENTITY % obo SYSTEM "http://127.0.0.1:9/">',
    ],
)
def test_entities_that_could_grow_or_name_files(tmp_path: Path, declared: str) -> None:
    text = OWL.replace('<!ENTITY obo "http://purl.obolibrary.org/obo/">', declared)
    with pytest.raises(InputError, match="line 3: declares the entity 'obo'"):
        read(write(tmp_path / "own.owl", text))


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "own.ttl"
    path.write_bytes(TURTLE.encode("latin-1"))
    with pytest.raises(InputError, match="line 4: not UTF-8"):
        read(path)
    path.write_bytes(OWL.replace("Kurzer", "Kürzer").encode("latin-1"))
    with pytest.raises(InputError, match="line 16: broken XML"):
        read(path)


def test_without_rdflib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(ElError, match=r"pip install .*\[ontologies\]"):
        read(write(tmp_path / "own.owl", OWL))


@pytest.mark.parametrize(
    ("type", "said"),
    [
        ("http://purl.obolibrary.org/obo/mondo#DEPRECATED", ""),
        ("http://example.org/EX_9", "excluded synonym"),
        ("http://purl.obolibrary.org/obo/hp#obsolete_synonym", ""),
    ],
)
def test_deprecated_and_excluded_synonyms(tmp_path: Path, type: str, said: str) -> None:
    notes: list[str] = []
    text = (
        "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix x: <http://example.org/EX_> .\n"
        "@prefix o: <http://www.geneontology.org/formats/oboInOwl#> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        'x:1 a owl:Class ; rdfs:label "a" ; o:hasExactSynonym "b" , "c" .\n'
        "[] a owl:Axiom ; owl:annotatedSource x:1 ; owl:annotatedProperty o:hasExactSynonym ;\n"
        f'  owl:annotatedTarget "b" ; o:hasSynonymType <{type}> .\n'
        f'<{type}> rdfs:label "{said}" .\n'
        "[] a owl:Axiom ; owl:annotatedSource x:1 ; owl:annotatedProperty o:hasExactSynonym ;\n"
        '  owl:annotatedTarget "c" ; o:hasSynonymType x:layperson .\n'
    )
    (concept,) = read(write(tmp_path / "own.ttl", text), notes)
    assert concept.names == (Name("a"), Name("c"))
    assert notes == [
        "1 synonym marked as deprecated or excluded left out (first: class <http://example.org/EX_1>)"
    ]


def test_a_language_that_rdflib_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not RDF"):
        read(write(tmp_path / "own.owl", OWL.replace('xml:lang="de"', 'xml:lang="de_DE x"')))
