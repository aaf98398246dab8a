"""What the towers read."""

import pytest

from el.base.errors import ConfigError
from el.models.inputs import InputVariant, name_inputs, passage_input, query_input
from el.ontology.ontology import Concept, Name, Ontology

ONTOLOGY = Ontology.from_concepts(
    [
        Concept("D1", (Name("Aspirin"), Name("ASA")), "chemical", definition="The prototypical analgesic."),
        Concept("D2", (Name("Lead"),), "chemical"),
    ]
)


def test_bare_mention_and_name() -> None:
    assert query_input("ASA") == "ASA"
    assert passage_input("Aspirin") == "Aspirin"
    assert name_inputs(ONTOLOGY, 0) == ["Aspirin", "ASA", "Lead"]


def test_mention_comes_first_and_is_marked_in_its_context() -> None:
    assert query_input("ASA", "given", "daily") == "ASA : given [ ASA ] daily"
    assert query_input("ASA", "given") == "ASA : given [ ASA ]"
    assert query_input("ASA", right="daily").startswith("ASA :")
    assert query_input("ASA", right="daily").endswith("[ ASA ] daily")


def test_definitions_are_cut_and_stand_with_every_name() -> None:
    assert name_inputs(ONTOLOGY, 8) == ["Aspirin : The prot", "ASA : The prot", "Lead"]
    assert name_inputs(ONTOLOGY, 2000)[0] == "Aspirin : The prototypical analgesic."


@pytest.mark.parametrize("name", ["context_characters", "definition_characters"])
@pytest.mark.parametrize("value", [-1, 2001])
def test_variants_out_of_range(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be between 0 and 2000"):
        InputVariant(**{name: value})
    InputVariant(**{name: 2000})
