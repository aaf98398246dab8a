import gzip
import json
from pathlib import Path

import pytest

from el.base.errors import ElError, InputError
from el.ontology.convert import convert_file, merge_ontologies
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name, Ontology
from tests.el.ontology.strategies import write

CSV = "id,name,kind\nX1,a,disease\nX2,b,chemical\n"
JSON_LINES = '{"id": "X1", "name": "a", "kind": "disease"}\n'
OBO = "format-version: 1.4\n\n[Term]\nid: X:1\nname: a\n"
TURTLE = """\
<http://h/X1> a <http://www.w3.org/2002/07/owl#Class> ; <http://www.w3.org/2004/02/skos/core#prefLabel> "a" .
"""


@pytest.mark.parametrize(
    "text", [CSV, "\ufeff" + CSV, CSV.replace(",", "\t"), JSON_LINES, OBO, OBO.partition("\n")[2], TURTLE]
)
@pytest.mark.parametrize("name", ["own", "own.txt", "own.txt.gz", "own.gz"])
def test_a_format_is_known_by_its_content(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    first = next(read_ontology_file(path, Reading(kind="disease")))
    assert first.names == (Name("a"),)


@pytest.mark.parametrize(
    ("suffix", "text"), [("CSV", CSV), ("tsv.gz", CSV), ("jsonl", JSON_LINES), ("obo", OBO), ("rdf", TURTLE)]
)
def test_a_format_is_known_by_its_suffix(tmp_path: Path, suffix: str, text: str) -> None:
    path = write(tmp_path / f"own.{suffix}", text)
    assert next(read_ontology_file(path, Reading(kind="disease"))).names == (Name("a"),)


def test_a_format_that_is_given_or_not_known(tmp_path: Path) -> None:
    path = write(tmp_path / "own.txt", "! a comment\n" + OBO.replace("[Term]", "[Term] ! one"))
    with pytest.raises(
        InputError, match=r"not recognised as an ontology.*\.jsonl\), or use --format obo\|obographs\|owl"
    ):
        list(read_ontology_file(write(tmp_path / "other.txt", "code,label\n")))
    assert len(list(read_ontology_file(path, Reading(format="obo", kind="other")))) == 1


@pytest.mark.parametrize("concept_id", ["A|1", "A;1", "A,1", "A+1", "A 1", "MESH:D1", "-", "-1"])
def test_ids_that_linked_documents_cannot_hold(tmp_path: Path, concept_id: str) -> None:
    path = write(tmp_path / "own.csv", f'id,name\n"{concept_id}",a\n')
    with pytest.raises(InputError, match=r"line 2: the id .* cannot be written into linked documents"):
        list(read_ontology_file(path, Reading(kind="disease")))


@pytest.mark.parametrize("concept_id", ["HP:0000001", "SNOMED:123", "HOSP-12", "E10.30", "12", "A/1", "Ä_1*"])
def test_ids_that_they_can_hold(tmp_path: Path, concept_id: str) -> None:
    path = write(tmp_path / "own.csv", f"id,name\n {concept_id} ,a\n")
    assert [concept.id for concept in read_ontology_file(path, Reading(kind="disease"))] == [concept_id]


def test_a_kind_that_nobody_says(tmp_path: Path) -> None:
    path = write(tmp_path / "own.csv", "id,name,kind\nX1,a,disease\nX2,b,\n")
    with pytest.raises(InputError, match=r"line 3: no kind for the concept X2\. Give it with --kind: dis"):
        list(read_ontology_file(path))


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        ("csv", b"id,name\nX1,na\xefve\n"),
        ("jsonl", b'\n{"id": "X1", "name": "na\xefve"}\n'),
        ("obo", b"[Term]\nname: na\xefve\n"),
    ],
)
def test_not_utf8(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"own.{suffix}"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"line 2: not UTF-8 \(byte \d+ of the line\)"):
        list(read_ontology_file(path, Reading(kind="disease")))


def test_gzip_files_that_are_cut_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "own.csv.gz"
    for data in (gzip.compress(CSV.encode())[:-12], gzip.compress(CSV.encode())[:4] + b"broken" * 9):
        path.write_bytes(data)
        for reading in (Reading(), Reading(format="owl")):
            with pytest.raises(InputError, match="not a complete gzip file"):
                list(read_ontology_file(path, reading))
        with pytest.raises(InputError, match="not a complete gzip file"):
            list(read_ontology_file(path.rename(tmp_path / "own.gz")))
        (tmp_path / "own.gz").rename(path)
    with pytest.raises(InputError, match="no such file"):
        list(read_ontology_file(tmp_path / "other.csv"))


def test_converted_and_merged(tmp_path: Path) -> None:
    notes: list[str] = []
    convert_file(write(tmp_path / "a.csv", CSV), tmp_path / "a", notes=notes)
    convert_file(write(tmp_path / "b.jsonl", JSON_LINES.replace("X1", "X3")), tmp_path / "b", notes=notes)
    manifest = merge_ontologies({"a.csv": tmp_path / "a", "b.jsonl": tmp_path / "b"}, tmp_path / "merged")
    merged = Ontology.load(tmp_path / "merged")
    assert merged.ids == ["X1", "X2", "X3"]
    assert merged["X2"] == Concept("X2", (Name("b"),), "chemical")
    assert [list(part["files"]) for part in manifest["info"]["parts"]] == [["a.csv"], ["b.jsonl"]]
    assert notes == []


def test_ids_that_two_ontologies_have(tmp_path: Path) -> None:
    convert_file(write(tmp_path / "a.csv", CSV), tmp_path / "a")
    convert_file(write(tmp_path / "b.jsonl", JSON_LINES), tmp_path / "b")
    with pytest.raises(ElError, match=r"b.jsonl: the id X1 is in a.csv too"):
        merge_ontologies({"a.csv": tmp_path / "a", "b.jsonl": tmp_path / "b"}, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Drug", "chemical"),
        ("SUBSTANCE", "chemical"),
        ("symptom", "disease"),
        ("Phenotype", "disease"),
        ("disorder", "disease"),
        ("Other", "other"),
    ],
)
def test_other_words_for_a_kind(tmp_path: Path, kind: str, expected: str) -> None:
    path = write(tmp_path / "own.csv", f"id,name,kind\nX1,a, {kind} \n")
    assert [concept.kind for concept in read_ontology_file(path)] == [expected]


@pytest.mark.parametrize(
    ("name", "expected", "notes"),
    [
        ("&alpha;-&#946;-&#x3B3; R&D", "α-β-γ R&D", ["1 name with character references decoded"]),
        ("&amp;#945;", "α", ["1 name with character references decoded"]),
        ("a\x00b\x1b[31mc", "a b [31mc", ["1 name with control characters replaced by blanks"]),
        ("a\tb", "a b", []),
        ("AT&T &unknown; &copy", "AT&T &unknown; &copy", []),
    ],
)
def test_characters_of_names(tmp_path: Path, name: str, expected: str, notes: list[str]) -> None:
    found: list[str] = []
    row = json.dumps({"id": "X1", "name": name})
    (concept,) = read_ontology_file(write(tmp_path / "own.jsonl", row), Reading(kind="disease"), found)
    assert concept.names == (Name(expected),)
    assert found == [f"{note} (first: line 1)" for note in notes]


def test_names_that_are_too_long_repeat_or_are_empty(tmp_path: Path) -> None:
    notes: list[str] = []
    row = {"id": "X1", "name": "a", "synonyms": ["b" * 1_000_000, "a", "\x01", "c" * 2000, "c" * 2001]}
    path = write(tmp_path / "own.jsonl", json.dumps(row))
    (concept,) = read_ontology_file(path, Reading(kind="disease"), notes)
    assert concept.names == (Name("a"), Name("c" * 2000))
    assert notes[0] == "2 names of more than 2,000 characters left out (first: line 1)"
    path = write(tmp_path / "own.jsonl", json.dumps({"id": "X1", "name": "b" * 3000}))
    with pytest.raises(InputError, match="line 1: the concept X1 has no name"):
        list(read_ontology_file(path, Reading(kind="disease")))


@pytest.mark.parametrize(
    ("concept_id", "message"),
    [
        ("A" * 10_000, r"the id 'A{100}\.\.\.' has 10,000 characters, more than 1,000"),
        ("A\x1b[2J", r"the id 'A\\x1b\[2J' cannot be written"),
        ("A\u200b1", "cannot be written"),
        ("A\u2028B", "cannot be written"),
        ("\ud800", "cannot be written"),
    ],
)
def test_ids_that_are_too_long_or_do_not_show(tmp_path: Path, concept_id: str, message: str) -> None:
    path = write(tmp_path / "own.jsonl", json.dumps({"id": concept_id, "name": "a"}))
    with pytest.raises(InputError, match=message):
        list(read_ontology_file(path, Reading(kind="disease")))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "obo", "ttl"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16(tmp_path: Path, suffix: str, encoding: str) -> None:
    path = tmp_path / f"own.{suffix}"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_bytes((mark + "id,name\nX1,a\n").encode(encoding))
    with pytest.raises(InputError, match=r"line 1: in UTF-16, not UTF-8\. Save the file as UTF-8"):
        list(read_ontology_file(path, Reading(kind="disease")))
