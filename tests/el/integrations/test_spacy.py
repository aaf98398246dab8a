"""The linker in spaCy, which finds the component by the project's entry point."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span

from el.base.errors import InputError
from tests.tiny import save_tiny_linker

TEXT = "Aspirin for a headache"
IDS = [("Aspirin", "D001241"), ("headache", "D006261")]


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_linker(tmp_path_factory.mktemp("linker") / "linker")


@pytest.fixture(scope="module")
def nlp(linker: Path) -> Language:
    return pipeline(linker)


def pipeline(linker: Path, **config: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("el_linker", config={"folder": str(linker), **config})
    return nlp


def ids(doc: Doc) -> list[tuple[str, str]]:
    return [(ent.text, ent.kb_id_) for ent in doc.ents]


def values(doc: Doc) -> list[tuple[Any, ...]]:
    # A `DocBin` gives tuples where lists were stored.
    return [
        (ent.text, ent.label_, ent.kb_id_, list(ent._.el_ids), list(ent._.el_candidates)) for ent in doc.ents
    ]


def test_entities_are_linked_or_found(linker: Path) -> None:
    nlp = pipeline(linker)
    found = nlp(TEXT)
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in found.ents] == [
        ("Aspirin", "CHEMICAL", "D001241"),
        ("headache", "DISEASE", "D006261"),
    ]
    best = found.ents[1]._.el_candidates[0]
    assert (best["id"], best["name"], best["matched_name"]) == ("D006261", "Headache", "Headache")
    assert 0.5 < best["score"] <= 1.0
    rules = nlp.add_pipe("entity_ruler", before="el_linker")
    rules.add_patterns(
        [
            {"label": "DISEASE", "pattern": "headache", "id": "rule-1"},
            {"label": "GENE", "pattern": "Aspirin"},
        ]
    )
    docs = list(nlp.pipe([TEXT, "nothing here"]))
    # Given entities keep their label; those of other things stay as they are.
    assert [(ent.label_, ent.kb_id_, ent.ent_id_) for ent in docs[0].ents] == [
        ("GENE", "", ""),
        ("DISEASE", "D006261", "rule-1"),
    ]
    assert docs[1].ents == ()


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\t \u00a0", "\U0001f637", "\U0001f637 lead-poisoned"])
def test_texts_without_much_in_them(nlp: Language, text: str) -> None:
    doc = nlp(text)
    assert doc.text == text
    assert values(Doc(nlp.vocab).from_bytes(doc.to_bytes())) == values(doc)


def test_what_is_set_can_be_stored(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert ids(doc) == IDS
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    packed = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    (unpacked,) = DocBin(store_user_data=True).from_bytes(packed).get_docs(nlp.vocab)
    for other in (again, unpacked, doc.copy(), pickle.loads(pickle.dumps(doc))):
        assert values(other) == values(doc)
    assert json.loads(json.dumps(doc.ents[0]._.el_candidates)) == doc.ents[0]._.el_candidates


def test_pipelines_can_be_stored(nlp: Language, tmp_path: Path) -> None:
    expected = values(nlp(TEXT))
    nlp.to_disk(tmp_path / "nlp")
    assert values(spacy.load(tmp_path / "nlp")(TEXT)) == expected
    assert values(pickle.loads(pickle.dumps(nlp))(TEXT)) == expected
    nlp.from_bytes(nlp.to_bytes())
    assert values(nlp(TEXT)) == expected


def test_found_entities_leave_given_ones_and_their_tokens(linker: Path) -> None:
    nlp = pipeline(linker, find_mentions="always")
    doc = nlp.make_doc("Xaspirin-induced headache in London, lead")
    # "Lead" is given as a part of another thing.
    doc.ents = [Span(doc, len(doc) - 3, len(doc), label="GPE")]
    doc = nlp.get_pipe("el_linker")(doc)
    assert ids(doc) == [("headache", "D006261"), ("London, lead", "")]


def test_several_linkers(linker: Path) -> None:
    nlp = pipeline(linker)
    nlp.add_pipe("el_linker", name="own", config={"folder": str(linker), "find_mentions": "never"})
    doc = nlp(TEXT)
    assert ids(doc) == IDS
    for ent, (_, concept_id) in zip(doc.ents, IDS, strict=True):
        assert ent._.el_ids == ent._.own_ids == [concept_id]
        assert ent._.own_candidates == ent._.el_candidates != []
    doc = nlp.make_doc(TEXT)
    doc.ents = [Span(doc, 0, 1, label="CHEMICAL", kb_id="OTHER:1")]
    doc = nlp.get_pipe("own")(doc)
    assert (ids(doc), doc.ents[0]._.own_ids, doc.ents[0]._.el_ids) == (
        [("Aspirin", "D001241")],
        ["D001241"],
        [],
    )


def test_a_folder_without_a_linker_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no linker here"):
        pipeline(tmp_path)


_PROCESSES = """
import multiprocessing, sys
import spacy

if __name__ == "__main__":
    method, folder, first = sys.argv[1:]
    multiprocessing.set_start_method(method)
    nlp = spacy.blank("en")
    nlp.add_pipe("el_linker", config={"folder": folder})
    if first == "used":
        nlp("Aspirin for a headache, lithium and lead")
    texts = ["Aspirin", "", "Paracetamol for a cold", "\\n", "Lithium and lead"]
    for doc in nlp.pipe(texts, n_process=2, batch_size=1):
        print([(ent.kb_id_, ent._.el_candidates[0]["id"]) for ent in doc.ents])
    print([ent.kb_id_ for ent in nlp("headache").ents])
"""


@pytest.mark.parametrize(("method", "first"), [("fork", "fresh"), ("fork", "used"), ("spawn", "used")])
def test_several_processes(linker: Path, tmp_path: Path, method: str, first: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(_PROCESSES)
    command = [sys.executable, str(script), method, str(linker), first]
    # The time is a bound for a machine that is busy with other tests. A fault is that the script never ends.
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "[('D001241', 'D001241')]",
        "[]",
        "[('D000082', 'D000082'), ('D003080', 'D003080')]",
        "[]",
        "[('D008094', 'D008094')]",
        "['D006261']",
    ]
