"""A tiny encoder and a finder for tiny taggers, and documents."""

import pytest

from el.corpus.types import Document, Mention, Passage, Span
from el.models.biencoder import BiEncoder
from el.ontology.spellings import Spellings
from el.tagging.finder import DictionaryFinder
from tests.tiny import tiny_encoder, tiny_ontology


def document(name: str, text: str, *found: tuple[str, str]) -> Document:
    """A document of one passage, with mentions of the first places where the forms stand."""
    mentions = []
    for number, (form, kind) in enumerate(found):
        start = text.index(form)
        mentions.append(Mention(str(number), (Span(start, start + len(form)),), form, kind))
    return Document(name, (Passage("abstract", 0, text),), tuple(sorted(mentions, key=lambda m: m.start)))


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> BiEncoder:
    return BiEncoder.from_encoder(tiny_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="session")
def finder() -> DictionaryFinder:
    return DictionaryFinder(Spellings.of_ontology(tiny_ontology()))
