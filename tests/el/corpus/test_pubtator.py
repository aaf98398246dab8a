from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from el.base.errors import ElError, InputError
from el.corpus.pubtator import read_pubtator
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from tests.el.corpus.strategies import abstracts, few
from tests.el.corpus.writing import written

TEXTS = "7|t|Renal and hepatic failure\n7|a|An ache.\n"
LONG = "renal failure|hepatic failure"


def read(tmp_path: Path, text: str) -> list[Document]:
    path = tmp_path / "corpus.txt"
    path.write_bytes(text.encode("utf-8"))
    return list(read_pubtator(path))


@few
@given(document=abstracts())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    assert read(tmp_path_factory.getbasetemp(), written("pubtator", document, document)) == [
        document,
        document,
    ]


def test_every_column_is_kept(tmp_path: Path) -> None:
    text = (
        TEXTS
        + f"7\t0\t25\tRenal and hepatic failure\tDisease\tD000001|D000002\t{LONG}\n"
        + "7\t29\t33\tache\tDisease\t-1\n7\tCID\tD000003\tD000001\n\n"
    )
    (document,) = read(tmp_path, text)
    title, abstract = document.passages
    assert (title.kind, title.offset, abstract.kind, abstract.offset) == ("title", 0, "abstract", 26)
    composite, ache = document.mentions
    assert composite.role == "composite"
    assert composite.concept_ids == ("D000001", "D000002")
    assert composite.part_texts == ("renal failure", "hepatic failure")
    assert (ache.role, ache.concept_ids, ache.type) == ("single", (), "disease")
    assert document.relations == (("CID", "D000003", "D000001"),)
    assert written("pubtator", document) == text
    assert written("pubtator", replace(document, source=None)) == text


def test_the_text_of_a_part_without_a_concept_is_left_out(tmp_path: Path) -> None:
    line = f"7\t0\t25\tRenal and hepatic failure\tDisease\t-1|D000002\t{LONG}\n"
    (mention,) = read(tmp_path, TEXTS + line)[0].mentions
    assert (mention.concept_ids, mention.part_texts) == (("D000002",), ("hepatic failure",))
    assert mention.role == "composite"


def test_windows_line_ends_a_byte_order_mark_and_missing_ids_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + (TEXTS + "7\t29\t33\tache\tDisease\n").replace("\n", "\r\n")
    (document,) = read(tmp_path, text)
    assert document.id == "7"
    assert document.passages[1] == Passage("abstract", 26, "An ache.")
    assert document.mentions[0].concept_ids == ()


def test_an_empty_seventh_column_is_no_composite(tmp_path: Path) -> None:
    (document,) = read(tmp_path, TEXTS + "7\t29\t33\tache\tDisease\tD000001|D000002\t\n")
    assert document.mentions[0].role == "single"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TEXTS + "7\t29\t33\tache\n7\tx\n", "line 4: 2 columns"),
        (TEXTS + "7\t29\tthere\tache\tDisease\tD000001\n", "line 3: offsets '29' and 'there'"),
        (
            TEXTS + f"7\t29\t{'3' * 5000}\tache\tDisease\n",
            "line 3: offsets '29' and '33333333333333333333' are",
        ),
        (TEXTS + "8\t29\t33\tache\tDisease\tD000001\n", "line 3: not a line of document 7"),
        ("7|t|Title\n8|a|Abstract\n", "line 2: not a line of document 7"),
        (TEXTS + "\n\n7|a|An ache.\n", "line 5: a document must begin with its title"),
        (TEXTS + f"7\t29\t33\tache\tDisease\tD000001\t{LONG}\n", "line 3: 2 part texts for 1 ids"),
        (
            TEXTS + "7\t28\t33\tache\tDisease\tD000001\n",
            "annotation 0: expected 'ache' at 28:33, found ' ache'",
        ),
    ],
)
def test_bad_lines_are_refused_by_number(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text)


def test_other_encodings_are_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(b"7|t|Title\n7|a|na\xefve\n")
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        list(read_pubtator(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_pubtator(tmp_path / "none.txt"))


def test_links_go_into_columns_six_and_eight(tmp_path: Path) -> None:
    line = f"7\t0\t25\tRenal and hepatic failure\tDisease\tD000001|D000002\t{LONG}\n"
    (document,) = read(tmp_path, TEXTS + line + "7\t29\t33\tache\tDisease\tD000009\n")
    composite, ache = document.mentions
    links = (Link("D000003", "c", 0.5, "c"), Link("D000004", "d", 0.25, "d"))
    found = (LinkedMention(composite, links, ("D000004", "D000003")), LinkedMention(ache, (), ()))
    text = written("pubtator", LinkedDocument(document, found))
    assert text.splitlines()[2:] == [
        f"7\t0\t25\tRenal and hepatic failure\tDisease\tD000004|D000003\t{LONG}\t0.2500|0.5000",
        "7\t29\t33\tache\tDisease\t-1\t\t",
    ]
    (again,) = read(tmp_path, text)
    assert [mention.concept_ids for mention in again.mentions] == [("D000004", "D000003"), ()]


def test_found_mentions_stand_before_relations_with_the_same_line_ends(tmp_path: Path) -> None:
    text = TEXTS + "7\t29\t33\tache\tDisease\n7\tCID\tD000003\tD000001\n\n"
    for content in (text, text.replace("\n", "\r\n")):
        (document,) = read(tmp_path, content)
        new = Mention("0", (Span(0, 5),), "Renal", "disease")
        lines = written("pubtator", LinkedDocument(document, (LinkedMention(new, (), ()),))).split("\n")
        before = content.split("\n")
        end = before[0].removeprefix("7|t|Renal and hepatic failure")
        assert lines == [*before[:3], f"7\t0\t5\tRenal\tDisease\t-1\t\t{end}", *before[3:]]


def test_found_mentions_that_pubtator_cannot_hold_are_refused(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "7|t|An\tache\n")
    for mention in (Mention("0", (Span(0, 7),), "An\tache", ""), SPLIT):
        with pytest.raises(ElError, match="PubTator cannot hold"):
            written("pubtator", LinkedDocument(document, (LinkedMention(mention, (), ()),)))


SPLIT = Mention("0", (Span(0, 1), Span(2, 3)), "a c", "disease")


@pytest.mark.parametrize(
    "document",
    [
        Document("1", (Passage("paragraph", 0, "a b c"),)),
        Document("1", (Passage("title", 1, "a b c"),)),
        Document("1", (Passage("title", 0, "a b c"), Passage("abstract", 5, "d"))),
        Document("1", (Passage("title", 0, "a b c"),), (SPLIT,)),
        Document("1", (Passage("title", 0, "a b c"),), (Mention("0", (Span(0, 1),), "a", "", role="part"),)),
        Document("1", (Passage("title", 0, "a\tb"),)),
        Document("1", ()),
    ],
)
def test_documents_that_pubtator_cannot_hold_are_refused(document: Document) -> None:
    with pytest.raises(ElError, match="PubTator cannot hold"):
        written("pubtator", document)
