"""Made-up notes: what is marked in them, and that they repeat."""

import re
from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.known_forms import frequent_senses, known_forms
from el.corpus.types import Document, Mention, Span
from el.ontology.ontology import Concept, Name, Ontology
from el.tagging.labels import TYPES
from el.tagging.notes import SENTENCES, NoteMaker, read_sentences

ONTOLOGY = Ontology.from_concepts(
    [
        Concept("D1", (Name("Qwertosis"),), "disease", tree_numbers=("C01.1",)),
        Concept("D2", (Name("Zyxinol"),), "chemical", tree_numbers=("D02.1",)),
        Concept("D3", (Name("Zyxinase"),), "chemical", tree_numbers=("D08.811",)),
    ]
)
TRAIN = Document.of_text("d", "blue knee")
TRAIN = Document("d", TRAIN.passages, (Mention("0", (Span(0, 9),), "blue knee", "SpecificDisease", ("D1",)),))


def notes(seed: int, count: int = 60) -> list[Document]:
    return list(NoteMaker(ONTOLOGY, [TRAIN], seed).notes(count))


def test_mentions_are_what_fills_the_slots_of_kinds() -> None:
    made = notes(1)
    for note in made:
        for mention in note.mentions:
            assert note.text_of(mention.spans) == mention.text
            assert mention.type in TYPES
    filled = {(mention.type, mention.text.lower()) for note in made for mention in note.mentions}
    # Mentions of documents and names of the ontology fill slots too, of their own kinds alone.
    assert {("disease", "blue knee"), ("disease", "qwertosis"), ("chemical", "zyxinol")} <= filled
    assert not {("chemical", "blue knee"), ("chemical", "qwertosis"), ("disease", "zyxinol")} & filled
    # Enzymes are chemicals in MeSH, and corpora do not mark them.
    assert ("chemical", "zyxinase") not in filled
    known = {(kind, form.lower()) for form, _, kind in frequent_senses() if kind != "other"}
    assert len(known & filled) > 50
    assert not any("{" in note.text for note in made)


def test_notes_repeat_with_their_seed() -> None:
    assert notes(1) == notes(1) != notes(2)


# Headings and units that are known forms too, with another meaning there.
HEADINGS = {"PC", "DH", "CVS", "ALL", "Pt", "BC", "ASA", "MP", "BD"}


def test_no_known_chemical_or_disease_stands_outside_of_the_slots() -> None:
    meant = {form for form, _, kind in frequent_senses() if kind != "other"}
    for sentence in read_sentences(SENTENCES):
        text = re.sub(r"\{\w+\}", "_", sentence)
        found = {text[span.start : span.stop] for span in known_forms(text)}
        assert not {form for form in found - HEADINGS if meant & {form, form.lower()}}, sentence


def test_an_unknown_slot_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sentences.txt"
    path.write_text("# note\n\nc/o {pain}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 3: the slot \{pain\} is not known\. Use one of age, ch"):
        read_sentences(path)
