import json
from pathlib import Path

import pytest
from hypothesis import given

from el.base.errors import InputError
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name
from tests.el.ontology.strategies import concepts, write


@given(concepts=concepts())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, concepts: list[Concept]) -> None:
    rows = [
        {
            "id": concept.id,
            "name": concept.names[0].text,
            "synonyms": [name.text for name in concept.names[1:]],
            "kind": concept.kind,
            "definition": concept.definition,
        }
        for concept in concepts
    ]
    path = tmp_path_factory.mktemp("jsonl") / "own.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert list(read_ontology_file(path)) == concepts


def test_fields_that_are_missing_empty_or_not_known(tmp_path: Path) -> None:
    notes: list[str] = []
    rows = '{"id": "X1", "name": " a  b ", "icd": 1}\r\n\n{"id": "X2", "name": "c", "synonyms": null}'
    found = list(read_ontology_file(write(tmp_path / "own.jsonl", rows), Reading(kind="other"), notes))
    assert found == [Concept("X1", (Name("a b"),), "other"), Concept("X2", (Name("c"),), "other")]
    assert notes == ["fields that are not used: icd"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.jsonl: holds no concepts"),
        ('{"id": "X1", "name": "a"}\n{"id": \n', "line 2: not JSON"),
        ("[" * 100_000, "line 1: not JSON"),
        ('["X1", "a"]\n', "line 1: not a JSON object"),
        (
            '{"id": 1, "name": "a"}\n',
            r"line 1: Expected `str \| null`, got `int` - at `\$\.id`. A line is like",
        ),
        ('{"name": "a"}\n', "line 1: no id"),
        ('{"id": "X1", "synonyms": ["a"]}\n', "line 1: the concept X1 has no name"),
        (
            '{"id": "X1", "name": "a", "synonyms": "b"}\n',
            r"line 1: Expected `array \| null`, got `str` - at `\$\.synonyms`",
        ),
        (
            '{"id": "X1", "name": "a", "synonyms": [1]}\n',
            r"line 1: Expected `str`, got `int` - at `\$\.synonyms\[0\]`",
        ),
        ('{"id": "X1", "name": ["a"]}\n', "got `array` - at `.*name`"),
        ('{"id": "X1", "name": "a", "kind": false}\n', "got `bool` - at `.*kind`"),
        ('{"id": "X1", "name": "a", "synonyms": ""}\n', "got `str` - at `.*synonyms`"),
        ('{"id": "X1", "name": "a", "synonyms": {"b": 1}}\n', "got `object` - at `.*synonyms`"),
        ('{"id": "X1", "name": "a", "definition": 1.5}\n', "got `float` - at `.*definition`"),
        (f'{{"id": {"9" * 5000}}}\n', "line 1: not JSON"),
        ('{"id": "X1", "name": "a", "synonyms": ["\\ud800b"]}\n', "the concept X1 holds half of a surrogate"),
        ('{"id": "X1", "name": "a"}\n{"id": "X1", "name": "b"}\n', "line 2: the id X1 is also in line 1"),
        ('{"id": "X1", "name": "a", "kind": "gene"}\n', "line 1: the kind 'gene' is unknown"),
    ],
)
def test_bad_lines(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_ontology_file(write(tmp_path / "own.jsonl", text), Reading(kind="disease")))
