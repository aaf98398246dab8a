import io
import json
from pathlib import Path

import pytest

from el.corpus.formats import Format, read_corpus, write_linked
from el.corpus.store import write_documents
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from el.errors import ElError, InputError

MENTION = Mention("0", (Span(3, 7),), "ache", "disease")
DOCUMENT = Document("7", (Passage("title", 0, "An ache"), Passage("abstract", 8, "It\nis.")), (MENTION,))
LINKS = (Link("D000002", "Pain", 0.75, "ache"), Link("D000003", "Other", 0.5, "other"))
LINKED = LinkedDocument(DOCUMENT, (LinkedMention(MENTION, LINKS, ("D000002",), "search"),))

PUBTATOR = "7|t|An ache\n7|a|Is it?\n7\t3\t7\tache\tDisease\tD000001\n\n"
BIOC = (
    "<?xml version='1.0'?><collection><source/><date/><key/><document><id>7</id>"
    "<passage><offset>0</offset><text>An ache</text></passage></document></collection>"
)


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (BIOC, "bioc"),
        ("\ufeff\n" + BIOC.partition("?>")[2], "bioc"),
        (PUBTATOR, "pubtator"),
        ("\ufeff" + PUBTATOR, "pubtator"),
        ("< 5 % had an ache", "plain"),
        ('{"id": 1} is JSON', "plain"),
        ("An ache | t | x", "plain"),
        ("", "plain"),
    ],
)
def test_formats_are_recognised_by_content(tmp_path: Path, content: str, format: str) -> None:
    path = tmp_path / "input"
    path.write_text(content, encoding="utf-8")
    assert read_corpus(path)[0] == format


def test_converted_corpora_are_recognised(tmp_path: Path) -> None:
    write_documents(tmp_path / "input", [DOCUMENT])
    found, documents = read_corpus(tmp_path / "input")
    assert (found, list(documents)) == ("jsonl", [DOCUMENT])


def test_a_given_format_is_not_second_guessed(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text(PUBTATOR, encoding="utf-8")
    found, documents = read_corpus(path, "plain")
    assert found == "plain"
    assert [document.id for document in documents] == ["input"]


def test_locations_slightly_off_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "input"
    wrong = '<annotation id="0"><location offset="2" length="4"/><text>ache</text></annotation></passage>'
    path.write_text(BIOC.replace("</passage>", wrong), encoding="utf-8")
    with pytest.raises(InputError, match="document 7, annotation 0: expected 'ache' at 2:6, found ' ach'"):
        list(read_corpus(path)[1])


def test_a_missing_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_corpus(tmp_path / "none")


@pytest.mark.parametrize("content", [BIOC, PUBTATOR])
def test_mentions_that_the_linker_found_are_written_too(tmp_path: Path, content: str) -> None:
    source, target = tmp_path / "input", tmp_path / "output"
    source.write_text(content, encoding="utf-8")
    format, (document,) = read_corpus(source)
    new = Mention("new", (Span(0, 2),), "An", "disease")
    linked = LinkedDocument(document, (LinkedMention(new, LINKS, ("D000002",)),))
    write_linked([linked], target, format)
    found, (again,) = read_corpus(target)
    assert found == format
    assert again.text == document.text
    assert [mention.text for mention in again.mentions] == ["An", *(m.text for m in document.mentions)]
    assert again.mentions[0].concept_ids == ("D000002",)
    assert again.mentions[1:] == () or again.mentions[1].concept_ids == ("D000001",)


@pytest.mark.parametrize("format", ["bioc", "pubtator"])
def test_mentions_that_came_in_are_not_written_twice(tmp_path: Path, format: Format) -> None:
    document = Document("7", (Passage("title", 0, "An ache"),), (MENTION,))
    write_linked([LinkedDocument(document, LINKED.mentions)], tmp_path / "output", format)
    (again,) = read_corpus(tmp_path / "output")[1]
    assert [mention.concept_ids for mention in again.mentions] == [("D000002",)]


def test_plain_text_gives_a_table() -> None:
    long = Mention("1", (Span(8, 13),), "It\nis", "disease")
    linked = LinkedDocument(DOCUMENT, (*LINKED.mentions, LinkedMention(long, (), ())))
    stream = io.StringIO()
    write_linked([linked], stream, "plain")
    assert stream.getvalue().splitlines() == [
        "document\tstart\tstop\ttext\ttype\tids\tscores\tnames",
        "7\t3\t7\tache\tdisease\tD000002\t0.7500\tPain",
        "7\t8\t13\tIt is\tdisease\t-1\t\t",
    ]


def test_json_lines_hold_every_candidate() -> None:
    stream = io.StringIO()
    write_linked([LINKED], stream, "jsonl")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) == {
        "document": "7",
        "mention": "0",
        "spans": [[3, 7]],
        "text": "ache",
        "type": "disease",
        "predicted": ["D000002"],
        "decided_by": "search",
        "candidates": [
            {"id": "D000002", "name": "Pain", "score": 0.75, "matched_name": "ache"},
            {"id": "D000003", "name": "Other", "score": 0.5, "matched_name": "other"},
        ],
    }


def test_nothing_is_written_when_the_format_cannot_hold_it(tmp_path: Path) -> None:
    target = tmp_path / "output"
    target.write_text("before", encoding="utf-8")
    with pytest.raises(ElError, match="tabs or line ends"):
        write_linked([LINKED], target, "pubtator")
    assert target.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("format", ["bioc", "pubtator"])
def test_documents_of_one_id_are_refused(tmp_path: Path, format: Format) -> None:
    # Their links would be taken for each other's.
    with pytest.raises(ElError, match=f"2 documents have the id '{LINKED.document.id}'"):
        write_linked([LINKED, LINKED], tmp_path / "output", format)
    assert list(tmp_path.iterdir()) == []
