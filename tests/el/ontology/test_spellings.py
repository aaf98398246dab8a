from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import InputError, MismatchError
from el.base.text import normalise, spelling
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.spellings import Spellings, words_of


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


def test_two_spellings_of_one_hash_are_told_apart() -> None:
    lead = Spellings.of_ontology(ontology_of("Lead")).keys
    spellings = Spellings.of_ontology(ontology_of("Lead", "Lithium", "LEAD"))
    # As if "lithium" had the hash of "lead".
    spellings = replace(spellings, keys=lead.repeat(3), rows=np.sort(spellings.rows))
    assert spellings.known(["lead", "lithium"]).tolist() == [True, False]
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


def test_how_long_names_are_that_begin_with_a_word() -> None:
    spellings = Spellings.of_ontology(ontology_of("Lead", "Lead Poisoning, Childhood", "Pb", "--"))
    assert spellings.longest(["lead", "pb", "poisoning", ""]) == [3, 1, 0, 1]


def test_in_scripts_without_blanks_each_character_is_a_word() -> None:
    spellings = Spellings.of_ontology(ontology_of("糖尿病", "糖尿病性昏迷", "HIV感染", "アルツハイマー病"))
    assert spellings.longest(["糖", "hiv", "アルツハイマー", "尿", "糖尿病"]) == [6, 3, 2, 0, 0]
    text = "2型糖尿病's ดั of"
    words = [text[start:stop] for start, stop in words_of(text)]
    assert words == ["2", "型", "糖", "尿", "病", "ดั", "of"]


@given(st.text("ab糖尿ดั่アン2' -당", max_size=12))
def test_words_are_in_order_and_hold_all_letters_and_digits(text: str) -> None:
    places = [place for start, stop in words_of(text) for place in range(start, stop)]
    assert places == sorted(set(places))
    assert all(place in places for place, character in enumerate(text) if character.isalnum())


def test_which_spellings_are_known() -> None:
    spellings = Spellings.of_ontology(ontology_of("Lead Poisoning", "Pb"))
    assert spellings.known(["leadpoisoning", "zzz", "", "pb"]).tolist() == [True, False, False, True]
    assert spellings.known([]).tolist() == []
    assert spellings.among(np.empty(0, dtype=np.int64)).known(["pb"]).tolist() == [False]


def test_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Spellings.of_ontology(ontology_of("Lead", "Lithium", "LEAD"))
    made.save(tmp_path / "spellings.npz")
    read = Spellings.load(tmp_path / "spellings.npz", made.ontology)
    assert read.names("lead").tolist() == [0, 2]
    assert read.longest(["lithium"]) == [1]
    with pytest.raises(MismatchError, match="another ontology"):
        Spellings.load(tmp_path / "spellings.npz", ontology_of("Lead"))


@pytest.mark.parametrize("damage", ["cut", "altered", "missing"])
def test_a_broken_file_is_refused(tmp_path: Path, damage: str) -> None:
    made, path = Spellings.of_ontology(ontology_of("Lead", "Lithium")), tmp_path / "spellings.npz"
    made.save(path)
    content = bytearray(path.read_bytes())
    place = content.index(made.keys.tobytes())
    content[place] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content if damage == "altered" else content[:-40])
    with pytest.raises(InputError, match="Make the linker again"):
        Spellings.load(path, made.ontology)
