"""Short forms that are known without a definition, and their senses by the words around them."""

from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.known_forms import (
    CLINICAL_WORDS,
    SHORT_FORMS,
    frequent_senses,
    known_forms,
    read_known_forms,
    senses_of,
)
from el.corpus.types import Span


def best(text: str, form: str) -> tuple[str, str]:
    start = text.index(form)
    sense = max(senses_of(text, Span(start, start + len(form))), key=lambda sense: sense.share)
    return sense.long_form, sense.kind


@pytest.mark.parametrize(
    ("text", "form", "long_form", "kind"),
    [
        ("PMH: HTN, T2DM.", "HTN", "hypertension", "disease"),
        ("Started heparin for PE, DVT of the left leg.", "PE", "pulmonary embolism", "disease"),
        ("PE: HEENT normal, exam benign.", "PE", "physical examination", "other"),
        ("Sats 98% on RA.", "RA", "room air", "other"),
        ("RA on methotrexate, joint pain.", "RA", "rheumatoid arthritis", "disease"),
        ("MS 4 mg IV prn for pain", "MS", "morphine", "chemical"),
        ("PE? elevated D-dimer", "PE", "pulmonary embolism", "disease"),
        ("K 3.4, Na 140", "K", "potassium", "chemical"),
        ("Takes Lasix daily", "Lasix", "furosemide", "chemical"),
        ("Hypotensive on arrival", "Hypotensive", "hypotension", "disease"),
        ("DVTs in both legs", "DVTs", "venous thrombosis", "disease"),
    ],
)
def test_the_words_around_a_form_tell_its_sense(text: str, form: str, long_form: str, kind: str) -> None:
    assert best(text, form) == (long_form, kind)


def test_shares_sum_to_one() -> None:
    text = "MS with demyelinating lesions"
    assert sum(sense.share for sense in senses_of(text, Span(0, 2))) == pytest.approx(1.0)
    assert senses_of(text, Span(8, 21)) == ()


def test_frequent_senses_are_the_first_of_each_form() -> None:
    senses = {form: sense for form, *sense in frequent_senses()}
    assert senses["HTN"] == ["hypertension", "disease"]
    assert senses["PE"] == ["pulmonary embolism", "disease"]


def test_forms_are_found_as_whole_words_only() -> None:
    text = "HTN, xHTN, HTN-2 and (DVT)/PE"
    found = [text[span.start : span.stop] for span in known_forms(text)]
    assert found == ["HTN", "DVT", "PE"]


@pytest.mark.parametrize("path", [SHORT_FORMS, CLINICAL_WORDS])
def test_every_sense_of_a_table_that_has_rivals_has_words(path: Path) -> None:
    table = read_known_forms(path)
    assert len(table) > 350
    for form, rows in table.items():
        assert len({(row.long_form, row.kind) for row in rows}) == len(rows), form
        assert len(rows) == 1 or all(row.context for row in rows), form


@pytest.mark.parametrize(
    "text",
    ["", "short\tlong\n", "short_form\tlong_form\tkind\tcontext\nHTN\thypertension\tillness\t\n"],
)
def test_a_broken_table_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"line [12]: (the columns are not|not a form)"):
        read_known_forms(tmp_path / "table.tsv")
