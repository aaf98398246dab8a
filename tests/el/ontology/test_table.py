import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import InputError
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name
from tests.el.ontology.strategies import concepts, write


def read(path: Path, notes: list[str] | None = None) -> list[Concept]:
    return list(read_ontology_file(path, Reading(kind="disease"), notes))


def texts(found: list[Concept]) -> list[tuple[str, ...]]:
    return [tuple(name.text for name in concept.names) for concept in found]


@given(
    concepts=concepts(),
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    gzipped=st.booleans(),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    concepts: list[Concept],
    delimiter: str,
    quoting: int,
    line_end: str,
    mark: str,
    gzipped: bool,
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type]
    writer.writerow(["definition", "ID", "Synonyms", "kind", "name"])
    for concept in concepts:
        name, *synonyms = [name.text for name in concept.names]
        writer.writerow([concept.definition, concept.id, " | ".join(synonyms), concept.kind, name])
    data = (mark + stream.getvalue()).encode()
    path = tmp_path_factory.mktemp("table") / "own.csv"
    path.write_bytes(gzip.compress(data) if gzipped else data)
    assert read(path) == concepts


@given(concepts=concepts())
def test_one_row_a_name(tmp_path_factory: pytest.TempPathFactory, concepts: list[Concept]) -> None:
    path = tmp_path_factory.mktemp("table") / "own.tsv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow(["id", "name", "kind", "definition"])
        for concept in concepts:
            writer.writerow([concept.id, concept.names[0].text, concept.kind, concept.definition])
        for concept in concepts:
            for name in concept.names[1:]:
                writer.writerow([concept.id, name.text, "", ""])
    assert read(path) == concepts


def test_columns_blank_rows_and_names_that_repeat(tmp_path: Path) -> None:
    notes: list[str] = []
    rows = '\nid;note;name;synonyms\n\nX1;;"A;  ""b""\nc";a| A; "b" c||a\n;;;\nX2;;b;\n'
    path = write(tmp_path / "own.csv", rows.replace(' "b" c||a', "c||a"))
    with pytest.raises(InputError, match="line 4: 5 cells, not 4"):
        read(path)
    path = write(tmp_path / "own.csv", rows.replace('; "b" c||a', "||a"))
    found = read(path, notes)
    assert texts(found) == [('A; "b" c', "a", "A"), ("b",)]
    assert [concept.kind for concept in found] == ["disease", "disease"]
    assert notes == ["columns that are not used: note"]


def test_the_kind_of_a_row_comes_before_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "own.csv", "id,name,kind\nX1,a,Chemical\nX2,b,\n")
    assert [concept.kind for concept in read(path)] == ["chemical", "disease"]
    assert read(path)[0] == Concept("X1", (Name("a"),), "chemical")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.csv: is empty"),
        ("\n \n", "own.csv: is empty"),
        ("id,name\n", "own.csv: holds no concepts"),
        ("code,label\nX1,a\n", "line 1: no column id and no column name; the columns are code, label"),
        ("\nid;label\nX1;a\n", "line 2: no column name; the columns are id, label"),
        ("id,name,name\nX1,a,b\n", "line 1: two columns are named name"),
        ("id,name\nX1,a\nX2,b,c\n", "line 3: 3 cells, not 2 .* quotes"),
        ("id,name\nX1\n", "line 2: 1 cell, not 2 .* \\(a comma\\)"),
        ('id,name\nX1,"a\nb"\nX2,"c\nX3,d\n', "line 4: a broken row"),
        ('id,name\nX1,"a"b\n', "line 2: a broken row"),
        ("id,name\nX1, \n", "line 2: no name"),
        ("id,name\nX1,a\n,b\n", "line 3: no id"),
        ("id,name,synonyms\nX1,a,\n ,b,\n", "line 3: no id"),
        ("id,name,synonyms\nX1,a,\nX1,b,\n", "line 3: the id X1 is also in line 2"),
        ("id,name,kind\nX1,a,disease\nX1,b,other\n", "line 3: the id X1 has another kind in line 2"),
        ("id,name,definition\nX1,a,b\nX1,c,d\n", "line 3: the id X1 has another definition in line 2"),
        ("id,name,kind\nX1,a,gene\n", "line 2: the kind 'gene' is unknown. Use one of chemical"),
        ("id,name\rX1,a\r", "line 1: line ends are carriage returns alone"),
        (
            f"id,{'x' * 200_000}\n",
            "line 1: no column id and no column name; the columns are id,x+\\.{4} Name",
        ),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "own.csv", text))
