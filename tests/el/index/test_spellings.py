from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.index import spellings as module
from el.index.spellings import Spellings
from el.ontology import Concept, Name, Ontology
from el.text import normalise, spelling


def ontology_of(*names: str) -> Ontology:
    return Ontology.from_concepts(
        [Concept(f"D{number}", (Name(name),), "chemical") for number, name in enumerate(names)]
    )


def test_blanks_signs_and_case_do_not_count() -> None:
    spellings = Spellings.of_ontology(ontology_of("KF 17837", "kf-17837", "KF 17838", "--"))
    assert spellings.names("KF17837").tolist() == [0, 1]
    assert spellings.names("17837").tolist() == []
    # Of signs alone nothing is left.
    assert spellings.names("+ -").tolist() == spellings.names("()").tolist() == []


def test_an_index_of_some_names() -> None:
    spellings = Spellings.of_ontology(ontology_of("Lead", "Lithium", "LEAD"))
    assert spellings.among(np.array([1, 2])).names("lead").tolist() == [2]


def test_two_spellings_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_key", lambda _: 7)
    spellings = Spellings.of_ontology(ontology_of("Lead", "Lithium", "LEAD"))
    assert spellings.names("lead").tolist() == [0, 2]


@given(st.lists(st.text("abAB- 1", min_size=1, max_size=4), min_size=1, max_size=20), st.text("ab 1-"))
def test_finds_what_a_comparison_of_all_names_finds(names: list[str], text: str) -> None:
    spellings = Spellings.of_ontology(ontology_of(*names))
    rows = defaultdict(list)
    for row, name in enumerate(spellings.ontology.name_texts):
        rows["".join(normalise(name).split())].append(row)
    rows.pop("", None)
    expected = rows.get("".join(normalise(text).split()), [])
    assert spellings.names(text).tolist() == expected
    assert np.all(np.diff(spellings.keys.astype(object)) >= 0)


def test_spelling_is_looser_than_normalising() -> None:
    assert spelling("1,2-Dichloro") == spelling("12 dichloro")
    assert normalise("1,2-Dichloro") != normalise("12 dichloro")
