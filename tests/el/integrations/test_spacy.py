"""The linker in spaCy, which finds the component by the project's entry point."""

from pathlib import Path

import pytest
import spacy

from tests.tiny import save_tiny_linker


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_linker(tmp_path_factory.mktemp("linker") / "linker")


def test_entities_are_linked_or_found(linker: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("el_linker", config={"folder": str(linker)})
    found = nlp("Aspirin for a headache")
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in found.ents] == [
        ("Aspirin", "CHEMICAL", "D001241"),
        ("headache", "DISEASE", "D006261"),
    ]
    assert found.ents[1]._.el_candidates[0].concept_id == "D006261"
    rules = nlp.add_pipe("entity_ruler", before="el_linker")
    rules.add_patterns([{"label": "DISEASE", "pattern": "headache"}, {"label": "GENE", "pattern": "Aspirin"}])
    docs = list(nlp.pipe(["Aspirin for a headache", "nothing here"]))
    # Given entities keep their label; those of other things stay as they are.
    assert [(ent.label_, ent.kb_id_) for ent in docs[0].ents] == [("GENE", ""), ("DISEASE", "D006261")]
    assert docs[1].ents == ()
