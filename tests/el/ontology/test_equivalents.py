"""The table of ids of other vocabularies in an ontology folder."""

from pathlib import Path

import pytest

from el.base.errors import InputError
from el.ontology.equivalents import EQUIVALENTS, load_equivalents, write_equivalents


def test_what_is_written_is_read_back_sorted(tmp_path: Path) -> None:
    equivalents = {"OMIM:261600": "D010661", "OMIM:104300": "D000544", "DOID:10652": "D000544"}
    write_equivalents(tmp_path, equivalents)
    assert (tmp_path / EQUIVALENTS).read_text(encoding="utf-8") == (
        "id\tconcept\nDOID:10652\tD000544\nOMIM:104300\tD000544\nOMIM:261600\tD010661\n"
    )
    assert load_equivalents(tmp_path) == equivalents
    write_equivalents(tmp_path, {})
    assert load_equivalents(tmp_path) == {}


def test_an_ontology_without_a_table_has_no_equivalents(tmp_path: Path) -> None:
    assert load_equivalents(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the columns are not id, concept"),
        ("concept\tid\n", "line 1: the columns are not id, concept"),
        ("id\tconcept\tname\n", "line 1: 3 columns separated by tabs, not 2"),
        ("{head}OMIM:1\n", "line 2: 1 columns separated by tabs, not 2"),
        ("{head}OMIM:1\tD1\n\n", "line 3: 0 columns separated by tabs, not 2"),
        ("{head}OMIM:1\t\n", "line 2: an empty cell"),
        ("{head}OMIM:1\tD1 \n", "line 2: an empty cell, or white space in an id"),
        ("{head}OMIM: 1\tD1\n", "line 2: an empty cell, or white space in an id"),
        ("{head}D1\tD1\n", "line 2: D1 is its own equivalent"),
        ("{head}OMIM:1\tD1\nOMIM:1\tD1\n", "line 3: OMIM:1 is also in line 2"),
        ("{head}OMIM:1\tD1\nomim:1\tD2\n", "line 3: omim:1 is also in line 2"),
        ('{head}"OMIM:1\tD1\n', "line 2: malformed"),
    ],
)
def test_malformed_tables_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / EQUIVALENTS).write_text(text.format(head="id\tconcept\n"), encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        load_equivalents(tmp_path)


def test_a_table_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / EQUIVALENTS).write_bytes(b"id\tconcept\nOMIM:\xff\tD1\n")
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        load_equivalents(tmp_path)
