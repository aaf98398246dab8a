"""A tiny encoder, a tiny ontology, its vectors, and pairs to train on."""

from collections.abc import Callable

import pytest

from el.index.vectors import NameVectors
from el.models.biencoder import BiEncoder
from el.models.tower import EncoderSource
from el.ontology.ontology import Ontology
from el.training.pairs import Item, Pair
from tests.tiny import tiny_encoder, tiny_ontology, tiny_vectors


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def ontology() -> Ontology:
    return tiny_ontology()


@pytest.fixture
def model(source: EncoderSource) -> BiEncoder:
    return BiEncoder.from_encoder(source)


@pytest.fixture(scope="session")
def vectors(
    source: EncoderSource, ontology: Ontology, tmp_path_factory: pytest.TempPathFactory
) -> NameVectors:
    return tiny_vectors(source, ontology, tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="session")
def item_of(ontology: Ontology) -> Callable[[str], Item]:
    """Makes an item of "D000082/1"; a "!" before it makes it a negative."""

    def make(text: str) -> Item:
        concept_id, place = text.removeprefix("!").split("/")
        name = ontology.name_texts[ontology.name_rows(concept_id)[int(place)]]
        return Item(concept_id, int(place), name, "negative" if text.startswith("!") else "positive")

    return make


@pytest.fixture(scope="session")
def pairs(ontology: Ontology, item_of: Callable[[str], Item]) -> list[Pair]:
    """For each concept of two names or more: its last name, its first as positive, two negatives."""
    several = [concept for concept in ontology if len(concept.names) > 1]
    return [
        Pair(
            f"{concept.id}/q",
            concept.names[-1].text,
            concept.names[-1].text,
            (concept.id,),
            tuple(
                item_of(text)
                for text in (
                    f"{concept.id}/0",
                    f"!{several[place - 1].id}/0",
                    f"!{several[place - 2].id}/1",
                )
            ),
        )
        for place, concept in enumerate(several)
    ]
