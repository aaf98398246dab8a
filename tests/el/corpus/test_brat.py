import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from el.base.errors import ElError, InputError
from el.corpus.checks import MentionError
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
        (
            "T9\tDisease 0 5\tRenol",
            "line 1, document note, annotation T9: expected 'Renol' at 0:5, found 'Re",
        ),
        ("T9\tDisease 30 99\tAPAP", r"line 1, .* \(the text ends at 35\)"),
        ("T9 Disease 0 5 Renal", "line 1: not a line of brat .it has no tabs; a mention is T1, a tab"),
        (" T9\tDisease 0 5\tRenal", "line 1: not a line of brat"),
        ("T9\tDisease 0 5\tRenal\rT8\tDisease 0 5\tRenal", "not a line.*end with carriage returns alone"),
        ("T9\tDisease 0 5\tRenal\nN1\tReference T9 MY ID:12\tname", "line 2: .*the id has no blanks"),
        ("T9\tDisease zero 5\tRenal", "line 1: not a line of brat"),
        (f"T9\tDisease 0 {'5' * 5000}\tRenal", "line 1: not a line of brat"),
        ("N1\tReference T1", "line 1: not a line of brat"),
        ("R1\tCauses T1 T2", "line 1: not a line of brat"),
        ("T1\tDisease 0 5\tRenal\nT1\tDisease 0 4\tRena", "line 2: line 1 has the id 'T1' too"),
        ("T1\tDisease 5 5\t", "empty or negative"),
    ],
)
def test_bad_lines_are_refused(path: Path, line: str, problem: str) -> None:
    path.with_suffix(".ann").write_bytes(f"{line}\n".encode())
    with pytest.raises(InputError, match=problem):
        list(open_corpus(path))


@pytest.mark.parametrize(
    ("line", "type"),
    [
        ("T9\tCitation 5 5\t", "citation"),
        ("T9\tGene 0 5\tRENAL", "gene"),
        ("T9\tSpecies -1 5\tRenal", "species"),
        ("T9\tVariant 0 5", "variant"),
        ("T9\tCellLine 0,5\tRenal", "cellline"),
        ("T9 Disease 0 5 Renal", ""),
        ("T2\tDevice 0 5\tRenal", "device"),
        ("N9\tReference T2", "chemical"),
        ("N9\tReference T1 A B:1\tname", "disease"),
        ("N9\tReference T7 A B:1\tname", ""),
        ("R9\tCauses T1 T2", "relation"),
        ("N9\tReference T7 MESH:D1\tname", "relation"),
        ("N9\tReference 1 MESH:D1", "relation"),
    ],
)
def test_a_line_that_cannot_be_used_costs_that_line(path: Path, line: str, type: str) -> None:
    annotations = f"{ANNOTATIONS}\n{line}\n"
    path.with_suffix(".ann").write_bytes(annotations.encode())
    with pytest.raises(MentionError):
        list(open_corpus(path))
    errors: list[InputError] = []
    (document,) = open_corpus(path).documents(errors.append)
    assert [(error.place.split(",")[0], getattr(error, "type", None)) for error in errors] == [
        ("line 10", type)
    ]
    assert [mention.id for mention in document.mentions if mention.id != "T9"] == ["T1", "T2"]
    write(path, LinkedDocument(document, ()))
    assert path.with_suffix(".ann").read_bytes() == annotations.encode()


@pytest.mark.parametrize(
    ("line", "surface"),
    [
        ("T1\tDisease 20 27;0 5\tRenal failure", "Renal failure"),
        ("T1\tDisease 20 27;0 5\tfailure Renal", "Renal failure"),
        ("T1\tDisease 30 34;20 27;0 5\tAPAP failure Renal", "Renal failure APAP"),
    ],
)
def test_pieces_are_read_in_any_order(path: Path, line: str, surface: str) -> None:
    path.with_suffix(".ann").write_text(line, encoding="utf-8")
    (document,) = open_corpus(path)
    (mention,) = document.mentions
    assert (mention.text, list(mention.spans)) == (surface, sorted(mention.spans))
    assert mention.text == document.text_of(mention.spans)


def test_a_line_that_is_repeated_is_one_mention(path: Path) -> None:
    line = "T1\tDisease 0 5\tRenal\n"
    path.with_suffix(".ann").write_text(line * 3, encoding="utf-8")
    (document,) = open_corpus(path)
    assert [mention.id for mention in document.mentions] == ["T1"]


@pytest.mark.parametrize(
    ("text", "line", "count"),
    [
        ("One.\r\nAche.", "T1\tDisease 5 9\tAche", "one character"),
        ("One.\r\n\r\nTwo\r\nache.", "T1\tDisease 10 14\tache", "one character"),
        ("One.\nAche.", "T1\tDisease 6 10\tAche", "two characters"),
    ],
)
def test_offsets_that_count_line_ends_differently_are_named(
    path: Path, text: str, line: str, count: str
) -> None:
    path.write_bytes(text.encode())
    path.with_suffix(".ann").write_text(line, encoding="utf-8")
    with pytest.raises(MentionError, match=f"line 1: .*the offsets count a line end as {count}"):
        list(open_corpus(path))


@pytest.mark.parametrize(
    ("text", "annotations", "end"),
    [
        ("Ache.", "T1\tDisease 0 4\tAche\r\n", "\r\n"),
        ("Ache.", "T1\tDisease 0 4\tAche\r\nT2\tDisease 0 4\tAche", "\r\n"),
        ("Ache.\r\n", "", "\r\n"),
        ("Ache.\r\n", "T1\tDisease 0 4\tAche\n\r\n", "\n"),
    ],
)
def test_new_lines_have_the_line_ends_of_most_lines(
    path: Path, text: str, annotations: str, end: str
) -> None:
    path.write_bytes(text.encode())
    path.with_suffix(".ann").write_bytes(annotations.encode())
    (document,) = open_corpus(path)
    found = LinkedMention(Mention("0", (Span(1, 4),), "che", "disease"), (), ("D000001",))
    write(path, LinkedDocument(document, (found,)))
    result = path.with_suffix(".ann").read_bytes().decode()
    added = result.removeprefix(annotations).removeprefix(end)
    assert result.startswith(annotations)
    assert (added.count(end), added.count("\n")) == (3, 3)


@pytest.mark.parametrize(
    "document",
    [
        Document("1", (Passage("", 0, "Ache"),), (Mention("0", (Span(0, 4),), "Ache", "", ("A\nT9\tx",)),)),
        Document("1", (Passage("", 0, "Ache"),), (Mention("0", (Span(0, 4),), "Ache", "", ("MY ID:1",)),)),
        Document("1", (Passage("", 0, "Ache"),), (Mention("0", (Span(0, 4),), "Ache", "", ("A|B",)),)),
        Document("1", (Passage("", 0, "Ache"),), (Mention("0", (Span(0, 4),), "Ache", "", ("A\x1bB",)),)),
        Document("1", (Passage("", 0, "Ache"),), (Mention("0", (Span(0, 4),), "Ache", "", ("-1",)),)),
        Document("1", (Passage("", 0, "A\n"),), (Mention("0", (Span(1, 2),), "\n", ""),)),
        Document("1", (Passage("", 0, "A  "),), (Mention("0", (Span(1, 3),), "  ", ""),)),
        Document("1", (Passage("", 0, " \n "),)),
        Document("1", (Passage("", 0, "\ufeffA"),)),
        Document("1", (Passage("", 0, "A\0B"),)),
        Document("1", ()),
    ],
)
def test_documents_that_brat_cannot_hold_are_refused(tmp_path: Path, document: Document) -> None:
    with pytest.raises(ElError, match="which brat cannot hold"):
        write(tmp_path / "out", LinkedDocument(document, ()))


def test_wrong_offsets_take_no_longer_than_good_ones(path: Path) -> None:
    def seconds(stop: int) -> float:
        path.write_text("ache" + "x" * 9_000_000, encoding="utf-8")
        lines = "".join(f"T{number}\tDisease 0 {stop}\tache\n" for number in range(3000))
        path.with_suffix(".ann").write_text(lines, encoding="utf-8")
        errors: list[InputError] = []
        start = time.perf_counter()
        (document,) = open_corpus(path).documents(errors.append)
        assert len(document.mentions) + len(errors) == 3000
        return time.perf_counter() - start

    # To compare each text with what stands at its offsets would copy 27 GB.
    assert seconds(stop=9_000_000) < 5 * seconds(stop=4) + 1


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
    names = ("../1", "/1", ".1", "", "a\\b", "a\n", "..", "a\0", "1" * 300, "é" * 150, "con", "NUL.1", "a?")
    for name in names:
        with pytest.raises(ElError, match="as the name of a file, and the id cannot be one"):
            write(tmp_path / "out", document(name))
    with pytest.raises(ElError, match="two documents"):
        write(tmp_path / "out", document("1"), document("1"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
