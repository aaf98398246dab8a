import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from el.base.errors import ElError, InputError
from el.corpus.checks import MentionError
from el.corpus.opening import HEAD_BYTES
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
        (TEXTS + "7\t29\t33\tache\n", "line 3: 4 columns; a mention has 5 or more"),
        (TEXTS + "7\tx\n", "line 3: 2 columns; a mention has 5, a relation 4 or more"),
        (TEXTS + "7\t29\tthere\tache\tDisease\tD000001\n", "line 3: offsets '29' and 'there'"),
        (
            TEXTS + f"7\t29\t{'3' * 5000}\tache\tDisease\n",
            "line 3: offsets '29' and '33333333333333333333' are",
        ),
        (TEXTS + "8\t29\t33\tache\tDisease\tD000001\n", "line 3: not a line of document 7"),
        ("7|t|Title\n8|a|Abstract\n", "line 2: a text of document 8 within document 7"),
        (TEXTS + "7|a|An ache.\n", "line 3: a text of document 7 within document 7. Put an abstract right"),
        ("7|a|An ache.\n7|t|Renal\n", "line 1: the abstract of document 7 stands before the title"),
        (TEXTS + "7 29 33 ache Disease D1\n", "line 3: no tabs.*Separate the columns by tabs, not by blanks"),
        (TEXTS + "It went.\n", "line 3: no tabs, and it is neither the title nor the abstract of document 7"),
        (TEXTS.replace("\n", "\r"), "line 1: the lines end with carriage returns alone"),
        (TEXTS + "\n\n7|a|An ache.\n", "line 5: a document must begin with its title"),
        (
            TEXTS + "7\t28\t33\tache\tDisease\tD000001\n",
            "line 3, document 7, annotation 0: expected 'ache' at 28:33, found ' ache'",
        ),
    ],
)
def test_bad_lines_are_refused_by_number(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text)


def test_composites_of_the_ncbi_disease_corpus_have_no_texts_of_parts(tmp_path: Path) -> None:
    line = "7\t0\t25\tRenal and hepatic failure"
    for columns, role in (
        ("CompositeMention\tD000001|D000002", "composite"),
        ("CompositeMention\tD000001", "single"),
        ("SpecificDisease\tD000001|D000002", "single"),
    ):
        (document,) = read(tmp_path, f"{TEXTS}{line}\t{columns}\n")
        (mention,) = document.mentions
        assert (mention.role, mention.part_texts) == (role, ())
        assert mention.concept_ids == ("D000001", "D000002")[: len(mention.concept_ids)]


def test_white_space_is_corrected_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(f"{TEXTS}7\t26\t33\tAn   ache \tDisease\n7\t29\t33\tache\tDisease\n", encoding="utf-8")
    corrected: list[str] = []
    (document,) = read_pubtator(path, corrected=corrected)
    assert [mention.text for mention in document.mentions] == ["An ache", "ache"]
    assert corrected == [
        "document 7, annotation 0: replaced by the text at 26:33, which differs in white space"
    ]
    assert written("pubtator", document) == path.read_text(encoding="utf-8")
    with pytest.raises(MentionError, match="expected 'An   ache ' at 26:33"):
        list(read_pubtator(path))


@pytest.mark.parametrize("text", ["Anache", "An aches", "ache", " "])
def test_other_differences_are_not_corrected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(f"{TEXTS}7\t26\t33\t{text}\tDisease\n", encoding="utf-8")
    with pytest.raises(MentionError, match="line 3, document 7, annotation 0: expected"):
        list(read_pubtator(path, corrected=[]))


@pytest.mark.parametrize(
    ("line", "type"),
    [
        ("7\t0\t0\t\tCitation\t12", "citation"),
        ("7\t29\t33\tâche\tGene\t1080", "gene"),
        ("7\t-1\t33\tache\tSpecies\t9606", "species"),
        ("7\t29.0\t33.0\tache\tCellLine\tCVCL_0030", "cellline"),
        ("7\t\t\tache\tDisease\tD000001", "disease"),
        ("7\tNone\tNone\tache\tVariant\t-", "variant"),
        ("7\tstart\tstop\tache\tDisease\tD000001", "disease"),
        ("8\t29\t33\tache\tChemical\tD000001", "chemical"),
        ("8\tCID\tD000001\tD000002", "relation"),
        ("7\t29\t33\tache", ""),
        ("7 29 33 ache Disease D000001", ""),
        ("7\tAssociation\tD000001", "relation"),
        ("7", ""),
    ],
)
def test_a_line_that_cannot_be_used_costs_that_line(tmp_path: Path, line: str, type: str) -> None:
    text = f"{TEXTS}{line}\n7\t29\t33\tache\tDisease\n7\tCID\tD1\tD2\n\n8|t|Next\n"
    path = tmp_path / "corpus.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MentionError):
        list(read_pubtator(path))
    errors: list[InputError] = []
    document, after = read_pubtator(path, errors.append)
    assert [(error.place.split(",")[0], getattr(error, "type", None)) for error in errors] == [
        ("line 3", type)
    ]
    (ache,) = document.mentions
    assert (ache.text, document.relations, after.id) == ("ache", (("CID", "D1", "D2"),), "8")
    # The line stays, and the link goes into the line of its mention.
    link = LinkedMention(ache, (Link("D5", "Five", 0.5, "five"),), ("D5",))
    linked = written("pubtator", LinkedDocument(document, (link,)), after)
    assert linked == text.replace("ache\tDisease\n", "ache\tDisease\tD5\t\t0.5000\n")


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ("c|SUB|G|350|A;HGVS:c.350G>A\tRSID:78655421", None),
        ("rs78655421\tRSID:78655421", ("rs78655421",)),
        ("rs1|rs2\tRSID:1|RSID:2", ("rs1", "rs2")),
        ("D003550\t0.98", ("D003550",)),
        ("D1|D2\t0.98|0.5", ("D1", "D2")),
        ("D1\tone text|another", ("D1",)),
        ("HP:0000118\t\t0.98\t|x|;y", ("HP:0000118",)),
        ("C0012345\tname\tUMLS", ("C0012345",)),
    ],
)
def test_unknown_columns_are_neither_parts_nor_ids_nor_scores(
    tmp_path: Path, columns: str, ids: tuple[str, ...] | None
) -> None:
    text = f"{TEXTS}7\t29\t33\tache\tDisease\t{columns}\n"
    (document,) = read(tmp_path, text)
    (mention,) = document.mentions
    assert (mention.role, mention.part_texts) == ("single", ())
    assert ids is None or mention.concept_ids == ids
    assert written("pubtator", document) == text
    # A link replaces the ids and nothing else, also where a line is linked twice.
    link = LinkedMention(mention, (Link("D9", "Nine", 0.25, "nine"),), ("D9",))
    once = written("pubtator", LinkedDocument(document, (link,)))
    _, seventh, *rest = (*columns.split("\t"), "")[: max(2, columns.count("\t") + 1)]
    assert once.splitlines()[2].split("\t")[4:] == ["Disease", "D9", seventh, "0.2500", *rest]
    (again,) = read(tmp_path, once)
    assert written("pubtator", LinkedDocument(again, (link,))) == once


def test_relations_keep_their_further_columns(tmp_path: Path) -> None:
    relations = (
        "7\tPositive_Correlation\tD008094\tD003919\tNovel\n7\tAssociation\t1080\tc|DEL|22_27|\tNo\t0.71\n"
    )
    (document,) = read(tmp_path, TEXTS + relations)
    assert document.relations == (
        ("Positive_Correlation", "D008094", "D003919"),
        ("Association", "1080", "c|DEL|22_27|"),
    )
    assert written("pubtator", document) == TEXTS + relations


def test_repeated_lines_are_mentions_of_their_own(tmp_path: Path) -> None:
    line = "7\t29\t33\tache\tDisease\tD1\n"
    (document,) = read(tmp_path, TEXTS + line * 2)
    assert [mention.id for mention in document.mentions] == ["0", "1"]
    assert written("pubtator", document) == TEXTS + line * 2


@pytest.mark.parametrize("blank", ["", "\u00a0", "\u2028", "\u0085", "\x1c \x1d", "\u3000\u2003", "\ufeff "])
def test_lines_of_blanks_are_empty_lines(tmp_path: Path, blank: str) -> None:
    text = f"{blank}\n{TEXTS}{blank}\n{blank}\n8|t|Next\n{blank}\n"
    first, second = read(tmp_path, text)
    assert (first.id, second.id) == ("7", "8")
    assert written("pubtator", first, second) == text


def test_a_title_begins_a_document_without_an_empty_line(tmp_path: Path) -> None:
    text = f"{TEXTS}7\t29\t33\tache\tDisease\n8|t|Next\n\ufeff9|t|Last\n9|a|A\n"
    documents = read(tmp_path, text)
    assert [document.id for document in documents] == ["7", "8", "9"]
    assert written("pubtator", *documents) == text


@pytest.mark.parametrize(
    "damage",
    [
        lambda block: block.replace(b"An", b"A\0n"),
        lambda block: block.replace(b"An", b"A\xff"),
        lambda block: block.replace(b"|t|", b"|T|"),
        lambda block: block.replace(b"7|a|", b"It went on.\n7|a|"),
        lambda block: block + (b"7\tCID\tD1\t" + b"x" * 1_000_000 + b"\n") * 11,
    ],
)
def test_the_next_document_is_found_after_a_bad_one(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "corpus.txt"
    # A NUL byte at the beginning of a file may be that of a file that is not text.
    before = b"6|t|" + b"First " * HEAD_BYTES + b"\n\n"
    path.write_bytes(before + damage(TEXTS.encode()) + b"\n8|t|Next\n")
    errors: list[InputError] = []
    assert [document.id for document in read_pubtator(path, errors.append)] == ["6", "8"]
    assert len(errors) == 1
    assert re.search("line [345]$", errors[0].place)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("7|t|Ache\r\n7\t0\t4\tAche\tDisease", "\r\n"),
        ("7|t|Ache\r\n7\t0\t4\tAche\tDisease\n7\tCID\tD1\tD2\r\n", "\r\n"),
        ("7|t|Ache\n7\t0\t4\tAche\tDisease\r\n", "\n"),
        ("\ufeff\r\n7|t|Ache", "\r\n"),
    ],
)
def test_each_line_keeps_its_end_and_new_lines_have_that_of_the_first(
    tmp_path: Path, text: str, end: str
) -> None:
    (document,) = read(tmp_path, text)
    found = LinkedMention(Mention("0", (Span(1, 4),), "che", "disease"), (), ())
    result = written("pubtator", LinkedDocument(document, (found,)))
    new = f"7\t1\t4\tche\tDisease\t-1\t\t{end}"
    assert new in result
    rest = result.replace(new, "")
    assert rest == text or (rest.removesuffix(end) == text and not text.endswith("\n"))


def test_a_document_without_a_last_line_end_is_parted_from_the_next(tmp_path: Path) -> None:
    (document,) = read(tmp_path, TEXTS.rstrip("\n"))
    documents = read(tmp_path, written("pubtator", document, document))
    assert documents == [document, document]


def test_lines_with_wrong_offsets_take_no_longer_than_good_ones(tmp_path: Path) -> None:
    def seconds(stop: int) -> float:
        path = tmp_path / "corpus.txt"
        line = f"7\t0\t{stop}\tache\tDisease\n"
        path.write_text(f"7|t|ache{'x' * 9_000_000}\n{line * 5000}", encoding="utf-8")
        errors: list[InputError] = []
        start = time.perf_counter()
        (document,) = read_pubtator(path, errors.append)
        assert len(document.mentions) + len(errors) == 5000
        assert all(len(str(error)) < 1000 for error in errors)
        return time.perf_counter() - start

    # To compare each text with what stands at its offsets would copy 45 GB.
    assert seconds(stop=9_000_000) < 5 * seconds(stop=4) + 1


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


def test_ids_that_pubtator_cannot_hold_are_refused_in_links_too(tmp_path: Path) -> None:
    (document,) = read(tmp_path, TEXTS + "7\t29\t33\tache\tDisease\n")
    for concept_id in ("D1|D2", "D1\tD2", "-1", "D1\n7"):
        link = LinkedMention(document.mentions[0], (), (concept_id,))
        with pytest.raises(ElError, match="PubTator cannot hold"):
            written("pubtator", LinkedDocument(document, (link,)))


@pytest.mark.parametrize("type", ["disease", "straße", "ßtype", "ŉ", "dž", ""])
def test_the_capital_of_a_type_does_not_change_it(tmp_path: Path, type: str) -> None:
    document = Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", type),))
    assert read(tmp_path, written("pubtator", document)) == [document]


TITLE = (Passage("title", 0, "a b c"),)
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
        Document("1", (Passage("title", 0, "a\0b"),)),
        Document("1", ()),
        Document("", TITLE),
        Document("a b", TITLE),
        Document("a|t|b", TITLE),
        Document("a\tb", TITLE),
        Document("[1]", TITLE),
        Document("\ufeff1", TITLE),
        Document("1\n2", TITLE),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "a\tb"),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "a\r"),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("D1|D2",)),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("D1;D2", "D3")),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("D1\tD2",)),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("-1",)),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("D1", "")),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("A", "B"), ("a", "|"), "composite"),)),
        Document("1", TITLE, (Mention("0", (Span(0, 1),), "a", "", ("A", "B"), ("a", "1"), "composite"),)),
        Document("1", TITLE, (), (("a\tb", "D1", "D2"),)),
        Document("1", TITLE, (), (("CID", "D1\n", "D2"),)),
        Document("1", TITLE, (), (("12", "D1", "D2"),)),
    ],
)
def test_documents_that_pubtator_cannot_hold_are_refused(document: Document) -> None:
    with pytest.raises(ElError, match="PubTator cannot hold"):
        written("pubtator", document)
