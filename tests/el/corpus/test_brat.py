import json
from dataclasses import replace
from pathlib import Path

import pytest

from el.base.errors import ElError, InputError
from el.corpus.formats import open_corpus, open_writer
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span

TEXT = "Renal 😀 and\nhepatic failure.\n\nAPAP."
ANNOTATIONS = (
    "T1\tDisease 0 5;20 27\tRenal failure\r\n"
    "T2\tChemical 30 34\tAPAP\n"
    "N1\tReference T2 MESH:D000082\tAcetaminophen\n"
    "N2\tReference T2 OMIM:1\n"
    "R1\tCauses Arg1:T2 Arg2:T1\n"
    "E1\tSeen:T1 Theme:T2\nA1\tNegation E1\n#1\tAnnotatorNotes T1\tsure\n*\tEquiv T1 T2"
)
LINKS = (Link("D000082", "Acetaminophen", 0.75, "APAP"), Link("D000083", "Other\tname", 0.25, "é"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text(TEXT, encoding="utf-8")
    path.with_suffix(".ann").write_bytes(ANNOTATIONS.encode())
    return path


@pytest.mark.parametrize("suffix", [".txt", ".ann"])
def test_both_files_stand_for_the_document(path: Path, suffix: str) -> None:
    corpus = open_corpus(path.with_suffix(suffix))
    (document,) = corpus
    assert corpus.format == "brat"
    assert (document.id, [passage.offset for passage in document.passages]) == ("note", [0, 30])
    failure, apap = document.mentions
    assert (failure.id, failure.spans, failure.type) == ("T1", (Span(0, 5), Span(20, 27)), "disease")
    assert (apap.text, apap.concept_ids) == ("APAP", ("D000082", "OMIM:1"))
    assert document.relations == (("Causes", "T2", "T1"),)


def test_links_are_lines_behind_those_that_came(path: Path, tmp_path: Path) -> None:
    (document,) = open_corpus(path)
    failure, apap = document.mentions
    found = Mention("T2", (Span(6, 19),), "😀 and\nhepatic", "new type")
    linked = LinkedDocument(
        document,
        (
            LinkedMention(failure, LINKS, ("D000083",), "search"),
            LinkedMention(apap, LINKS, ("D000082",), "dictionary"),
            LinkedMention(found, (), ()),
        ),
    )
    write(tmp_path / "out.txt", linked)
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == TEXT
    lines = (tmp_path / "out.ann").read_bytes().decode()
    assert lines.startswith(ANNOTATIONS + "\n")
    added = lines.removeprefix(ANNOTATIONS + "\n").splitlines()
    # An id that the mention has already is not given again.
    assert [line for line in added if not line.startswith("#")] == [
        "N3\tReference T1 MESH:D000083\tOther name",
        "T3\tNew_type 6 11;12 19\t😀 and hepatic",
    ]
    notes = [line.split("\t") for line in added if line.startswith("#")]
    assert [note[:2] for note in notes] == [
        ["#2", "AnnotatorNotes T1"],
        ["#3", "AnnotatorNotes T2"],
        ["#4", "AnnotatorNotes T3"],
    ]
    assert json.loads(notes[1][2])["decided_by"] == "dictionary"
    assert json.loads(notes[1][2])["candidates"][0]["score"] == 0.75


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("T9\tDisease 0 5\tRenol", "line 1: expected 'Renol' at 0 5, found 'Renal'"),
        ("T9\tDisease 30 99\tAPAP", r"line 1: .* \(the text ends at 35\)"),
        ("T9 Disease 0 5 Renal", "line 1: not a line of brat"),
        ("T9\tDisease zero 5\tRenal", "line 1: not a line of brat"),
        (f"T9\tDisease 0 {'5' * 5000}\tRenal", "line 1: not a line of brat"),
        ("N1\tReference T1", "line 1: not a line of brat"),
        ("R1\tCauses T1 T2", "line 1: not a line of brat"),
        ("T1\tDisease 0 5\tRenal\nT1\tDisease 0 5\tRenal", "another annotation has this id"),
        ("T1\tDisease 5 5\t", "empty or negative"),
    ],
)
def test_bad_lines_are_refused(path: Path, line: str, problem: str) -> None:
    path.with_suffix(".ann").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        list(open_corpus(path))


def test_a_text_without_annotations_is_plain_text(path: Path) -> None:
    path.with_suffix(".ann").unlink()
    assert open_corpus(path).format == "plain"
    with pytest.raises(InputError, match=r"no note\.ann beside it"):
        list(open_corpus(path, "brat"))


def test_annotations_without_a_text_are_refused(path: Path) -> None:
    path.unlink()
    with pytest.raises(InputError, match=r"no note\.txt beside it"):
        list(open_corpus(path.with_suffix(".ann")))


def test_no_annotations_yet(path: Path) -> None:
    path.with_suffix(".ann").write_bytes(b"")
    (document,) = open_corpus(path.with_suffix(".ann"))
    assert (document.passages[1].text, document.mentions) == ("APAP.", ())


def write(target: Path, *documents: LinkedDocument) -> None:
    with open_writer(target, "brat") as writer:
        for linked in documents:
            writer.write(linked)


def document(name: str) -> LinkedDocument:
    mentions = (
        Mention("0", (Span(0, 4),), "Ache", "", ("D000001",)),
        Mention("x", (Span(5, 6),), "x", "b c"),
    )
    relations = (("Causes", "0", "x"), ("CID", "D1", "D2"))
    return LinkedDocument(Document(name, (Passage("", 0, "Ache x"),), mentions, relations), ())


def test_documents_of_other_formats_go_into_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "out", document("1"), document("2"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.ann", "1.txt", "2.ann", "2.txt"]
    assert (tmp_path / "out" / "1.ann").read_text(encoding="utf-8").splitlines() == [
        "T1\tMention 0 4\tAche",
        "T2\tB_c 5 6\tx",
        "N1\tReference T1 MESH:D000001\t",
        "R1\tCauses Arg1:T1 Arg2:T2",
    ]


@pytest.mark.parametrize(
    ("concept_id", "reference"),
    [
        ("D000082", "MESH:D000082"),
        ("C000657245", "MESH:C000657245"),
        ("HP:0000118", "HP:0000118"),
        ("HOSP-05", "OWN:HOSP-05"),
        ("D05", "OWN:D05"),
        ("OWN:1", "OWN:OWN:1"),
        (":1", "OWN::1"),
        ("1:", "OWN:1:"),
    ],
)
def test_ids_name_their_resource_and_are_read_back(tmp_path: Path, concept_id: str, reference: str) -> None:
    path = tmp_path / "note.txt"
    path.write_text("Ache", encoding="utf-8")
    path.with_suffix(".ann").write_text("T1\tDisease 0 4\tAche\n", encoding="utf-8")
    link = Link(concept_id, "Ache", 1.0, "ache")
    # Twice: an id that is there is not written again.
    for _ in range(2):
        (document,) = open_corpus(path)
        linked = LinkedMention(document.mentions[0], (link,), (concept_id,))
        write(path, LinkedDocument(document, (linked,)))
        assert references(path) == [f"N1\tReference T1 {reference}\tAche"]
    (document,) = open_corpus(path)
    assert document.mentions[0].concept_ids == (concept_id,)
    # As a gold id that came in another format.
    write(path, LinkedDocument(replace(document, source=None), ()))
    assert references(path) == [f"N1\tReference T1 {reference}\t"]


def references(path: Path) -> list[str]:
    lines = path.with_suffix(".ann").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("N")]


def test_a_name_is_for_one_document(tmp_path: Path) -> None:
    with pytest.raises(ElError, match="one brat text holds one document"):
        write(tmp_path / "out.ann", document("1"), document("2"))
    assert list(tmp_path.iterdir()) == []


def test_files_in_a_folder_are_safe(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    with pytest.raises(ElError, match="new or empty folder"):
        write(tmp_path)
    for name in ("../1", "/1", ".1", "", "a\\b", "a\n"):
        with pytest.raises(ElError, match="as the name of a file, and the id cannot be one"):
            write(tmp_path / "out", document(name))
    with pytest.raises(ElError, match="two documents"):
        write(tmp_path / "out", document("1"), document("1"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
