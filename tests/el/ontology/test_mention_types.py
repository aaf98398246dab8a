"""Names of types of mentions, by kind."""

import pytest

from el.ontology.mention_types import CHEMICAL, DISEASE, OTHER
from el.ontology.ontology import is_known_type, kind_of_type


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        (
            "chemical",
            "chemical ChemicalEntity SIMPLE_CHEMICAL drug_n Drug_or_compound CHEBI T109 T116,T123 Chemicals "
            "orch",
        ),
        (
            "disease",
            "Disease DiseaseOrPhenotypicFeature SpecificDisease Modifier disease_disorder "
            "DISEASE-OR-SYNDROME PROBLEM ADE T047 T033,T098 Diseases dsyn",
        ),
        (None, "gene CellLine DNAMutation cell_type Species T074 GENE-Y multi-tissue_structure"),
    ],
)
def test_types_of_corpora_are_known(kind: str | None, types: str) -> None:
    for type in types.split():
        assert kind_of_type(type) == kind_of_type(type.lower()) == kind
        assert is_known_type(type)


def test_types_with_blanks_and_commas_are_known() -> None:
    assert kind_of_type("Amino Acid, Peptide, or Protein") == "chemical"
    assert kind_of_type("Sign or Symptom") == "disease"
    assert kind_of_type(" disease ") == "disease"


@pytest.mark.parametrize(
    "type", ["", "phenotype_x", "entity", "treatment", "T04", "T0477", "disease,x", "___"]
)
def test_other_types_are_unknown(type: str) -> None:
    assert kind_of_type(type) is None
    assert not is_known_type(type)


def test_a_name_stands_once() -> None:
    names = [*CHEMICAL.split(), *DISEASE.split(), *OTHER.split()]
    assert sorted({name for name in names if names.count(name) > 1}) == []
