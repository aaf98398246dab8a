import contextlib
import gzip
import io
import json
import pickle
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import ElError, InputError, UsageError
from el.corpus.formats import (
    FORMATS,
    OUTPUT_FORMATS,
    Format,
    OutputFormat,
    open_corpus,
    open_writer,
    output_format,
)
from el.corpus.store import write_documents
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from tests.el.corpus.strategies import few
from tests.el.corpus.writing import written
from tests.work import assert_in_proportion

MENTION = Mention("0", (Span(3, 7),), "ache", "disease")
DOCUMENT = Document("7", (Passage("title", 0, "An ache"), Passage("abstract", 8, "It\nis.")), (MENTION,))
LINKS = (Link("D000002", "Pain", 0.75, "ache"), Link("D000003", "Other", 0.5, "other"))
LINKED = LinkedDocument(DOCUMENT, (LinkedMention(MENTION, LINKS, ("D000002",), "search", 0.25),))

PUBTATOR = "7|t|An ache\n7|a|Is it?\n7\t3\t7\tache\tDisease\tD000001\n\n"
BIOC = (
    "<?xml version='1.0'?><collection><source/><date/><key/><document><id>7</id>"
    "<passage><offset>0</offset><text>An ache</text></passage></document></collection>"
)
BIOC_JSON = '{"source": "", "documents": [{"id": "7", "passages": [{"offset": 0, "text": "An ache"}]}]}'
JSON_LINES = '{"id": "7", "text": "An ache"}\n'


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (BIOC, "bioc"),
        ("\ufeff\n" + BIOC.partition("?>")[2], "bioc"),
        (BIOC_JSON, "bioc-json"),
        (f"[{BIOC_JSON}]", "bioc-json"),
        (BIOC_JSON.replace("documents", "PubTator3"), "bioc-json"),
        (PUBTATOR, "pubtator"),
        ("\ufeff" + PUBTATOR, "pubtator"),
        (JSON_LINES, "jsonl"),
        ('{"note": "\\"documents\\": ", "passages": [], "id": 1}', "jsonl"),
        ("< 5 % had an ache", "plain"),
        ('{"id": 1} is JSON', "plain"),
        ("An ache | t | x", "plain"),
        # A statistic is no PubTator.
        ("(|t| > 1.96) An ache", "plain"),
        ("Max[|t|] is 3\nAn ache", "plain"),
        ("The mean |t| of an ache", "plain"),
        ("if x|t|=2 there is\nan ache\n", "plain"),
        ("p|t|=0.05 of an ache\nand a cold", "plain"),
        ('{"id": "1|t|x", "text": "1|t|An ache"}', "jsonl"),
        ("[An ache] and |t|", "plain"),
        # Ids as they occur, and documents that go on in several ways.
        ("PMC4567|t|An ache", "pubtator"),
        ("10.1000/x_y-z:2|t|An ache\r\n\r\n", "pubtator"),
        ("note.2024-01|t|An ache\nnote.2024-01\t3\t7\tache\tDisease\n", "pubtator"),
        ("10.1016/S0140-6736(05)67889-0|t|An\n10.1016/S0140-6736(05)67889-0|a|ache\n", "pubtator"),
        ("1|t|An ache\n2|t|A cold\n", "pubtator"),
        ("1|t|An\nache\n1|a|It is.\n", "pubtator"),
        ("# a note\n7|t|An ache\n7|a|Is it?\n", "pubtator"),
        # Only keys of the outermost object count. A list of documents counts more than a text.
        ('{"infons": {"text": "x"}, "documents": []}', "bioc-json"),
        ('{"a": [{"documents": []}], "b": {"passages": 1}, "text": "x"}', "jsonl"),
        ('{"text": "x", "documents": []}', "bioc-json"),
        ('{"passages": [], "text": "x", "infons": {}, "PubTator3": []}', "bioc-json"),
        ('{"text": "x"}\n{"text": "y", "documents": []}\n', "jsonl"),
        (f'{{"text": "{"x" * 70_000}", "documents": 1}}', "jsonl"),
        ('{"source": "a \\"text\\": b",\n "PubTator3": [\n', "bioc-json"),
        ('{"id": 1, "te\n{"id": 2, "text": "An ache"}\n', "jsonl"),
        ('{"id": 1}\n{"id": 2, "text": "An ache"}\n', "jsonl"),
        ('["An ache", {"entities": []}]\n', "jsonl"),
        # However much stands before.
        (f'{{"a": "{"x" * 70_000}", "text": "An ache"}}', "jsonl"),
        (f'{{"a": {json.dumps([{"text": n} for n in range(9_000)])}, "passages": []}}', "jsonl"),
        (f'{{\n  "infons": {{\n    "text": "{"x" * 200_000}"\n  }},\n  "documents": []\n}}', "bioc-json"),
        ("\n" * 70_000 + PUBTATOR, "pubtator"),
        ("\u00a0\u2028\n\ufeff\n" + JSON_LINES, "jsonl"),
        # Text with brackets at its beginning.
        ("<LOD> stands for an ache", "plain"),
        ("<5 mg for an ache", "plain"),
        ("[Not available]. An ache", "plain"),
        ("<!-- a comment --><collection></collection>", "bioc"),
        ("<!DOCTYPE collection [<!ELEMENT a (b)>]>\n<!-- b --><collection>", "bioc"),
    ],
)
def test_formats_are_recognised_by_content(tmp_path: Path, content: str, format: Format) -> None:
    path = tmp_path / "input"
    path.write_text(content, encoding="utf-8")
    assert open_corpus(path).format == format
    path.write_bytes(gzip.compress(content.encode()))
    assert open_corpus(path).format == format


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a", "<?xml version='1.0'?>\n<PubmedArticleSet/>", r"is PubMed XML .*<PubmedArticleSet>, not <coll"),
        (
            "a",
            "<!DOCTYPE article PUBLIC 'x' 'y.dtd'>\n<article><body/></article>",
            "is an article in JATS XML",
        ),
        ("a", "<!DOCTYPE html>\n<html lang='en'><body>An ache</body></html>", "is HTML"),
        ("a", "<HTML><p>An ache", "is HTML"),
        ("a", "<!-- x --><TEI xmlns='http://www.tei-c.org/ns/1.0'></TEI>", "is TEI XML"),
        ("a", "<p class='x'>An ache</p>", "is XML, but not BioC .*<p>"),
        ("a", '{"pmid": 1, "title": "An ache"}\n', r"is JSON without .*`text` \(its keys: pmid, title\)"),
        ("a", '[{"data": {"text": "An ache"}, "annotations": []}]', r"its keys: data, annotations"),
        ("a", "[1, 2]", r"is JSON without .* \(no keys\)"),
        ("a", '{\n "a": {\n  "text": "An ache"\n }\n}', r"its keys: a\)"),
        ("a", "[" * 1_000_000, "is JSON without"),
        ("a.json", '{"id": 1, "title": "An ache', "is JSON without .*its keys: id, title"),
        ("a.jsonl", "An ache", "is not JSON, as its name says"),
        ("a.ndjson.gz", "id,text\n1,An ache\n", "is not JSON, as its name says"),
        ("a", '[{"id": 1, "text": "An ache"},\n{"id": 2, "text": "b"}]', "not one document a line. .*jq -c"),
        ("a", '{\n  "id": 1,\n  "text": "An ache"\n}', "not one document a line"),
        ("a", '[\n  {\n    "text": "An ache"\n', "not one document a line"),
        ("a", "document\tstart\tstop\ttext\ttype\tids\tscores\tnames\tmargin\n", "is a table of links"),
        ("a", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS"),
        ("a", "/annex/objects/SHA256E-s5--0.txt\n", "is a pointer of git-annex"),
    ],
)
def test_what_is_recognised_but_not_read_is_refused(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        open_corpus(tmp_path / name)


@few
@given(pieces=st.lists(st.sampled_from([*'|ta12 \t\n(){}[]<>:",=.', "|t|", "1|a|", '"text":']), max_size=30))
def test_any_text_is_recognised_or_refused(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text("".join([*pieces, "."]), encoding="utf-8")
    with contextlib.suppress(InputError):
        list(open_corpus(path).documents(lambda _: None))


@pytest.mark.parametrize(
    "piece", ['{"', '"', '\\"', "[", "[{", "<", "<a ", "|t|", "1|t|\n", "\ufeff", '{"a":"b",']
)
@pytest.mark.parametrize("start", ["", '{"', "["])
def test_recognition_takes_time_in_proportion(tmp_path: Path, piece: str, start: str) -> None:
    (tmp_path / "input").write_text(start + piece * (200_000 // len(piece)), encoding="utf-8")
    # Searches that begin again at each place would take hours, and no lines of Python that could be counted.
    began = time.monotonic()
    with contextlib.suppress(InputError):
        open_corpus(tmp_path / "input")
    assert time.monotonic() - began < 60


def test_gzipped_files_are_read_and_written(tmp_path: Path) -> None:
    for content in (BIOC, BIOC_JSON, PUBTATOR, JSON_LINES, "An ache"):
        path, target = tmp_path / "7.txt.gz", tmp_path / "out.gz"
        path.write_bytes(gzip.compress(content.encode()))
        corpus = open_corpus(path)
        (document,) = corpus
        assert (document.id, document.passages[0].text) == ("7", "An ache")
        with open_writer(target, output_format(corpus.format), corpus.head) as writer:
            writer.write(LinkedDocument(document, ()))
        again = gzip.decompress(target.read_bytes()).decode()
        assert again == written(output_format(corpus.format), document, head=corpus.head)


def test_converted_corpora_are_recognised(tmp_path: Path) -> None:
    write_documents(tmp_path / "input", [DOCUMENT])
    corpus = open_corpus(tmp_path / "input")
    assert (corpus.format, list(corpus)) == ("jsonl", [DOCUMENT])


def test_a_given_format_is_not_second_guessed(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text(PUBTATOR, encoding="utf-8")
    corpus = open_corpus(path, "plain")
    assert corpus.format == "plain"
    assert [document.id for document in corpus] == ["input"]


def test_locations_slightly_off_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "input"
    wrong = '<annotation id="0"><location offset="2" length="4"/><text>ache</text></annotation></passage>'
    path.write_text(BIOC.replace("</passage>", wrong), encoding="utf-8")
    with pytest.raises(InputError, match="document 7, annotation 0: expected 'ache' at 2:6, found ' ach'"):
        list(open_corpus(path))


def test_offsets_beyond_the_text_are_named_so(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text(PUBTATOR.replace("\t7\t", "\t99\t"), encoding="utf-8")
    with pytest.raises(InputError, match=r"at 3:99, found .* \(the text ends at 14\)"):
        list(open_corpus(path))


def test_mentions_may_overlap(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text(PUBTATOR.strip() + "\n7\t0\t7\tAn ache\tDisease\n7\t3\t7\tache\tPain\n", encoding="utf-8")
    (document,) = open_corpus(path)
    assert [mention.text for mention in document.mentions] == ["An ache", "ache", "ache"]


@pytest.mark.parametrize("content", [BIOC.replace("document>", "passage>"), '{"documents": []}'])
def test_files_without_documents_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "input").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="holds no documents"):
        list(open_corpus(tmp_path / "input"))


@pytest.mark.parametrize("content", ["\n \n", "\ufeff\n"])
@pytest.mark.parametrize("format", ["pubtator", "jsonl", "plain"])
def test_blank_files_are_refused(tmp_path: Path, content: str, format: Format) -> None:
    (tmp_path / "input").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"holds no (documents|text)|not JSON"):
        list(open_corpus(tmp_path / "input", format))


def test_a_missing_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_corpus(tmp_path / "none")


GOOD_BIOC = "<document><id>8</id><passage><offset>0</offset><text>x</text></passage></document>"
WRONG = {
    "pubtator": ("8|t|x\n8|b|y\n", "9|t|x\n\n"),
    "jsonl": ('{"id": 8, "text": 5}\n', '{"id": "9", "text": "x"}\n'),
    "bioc": (GOOD_BIOC.replace("<offset>0", "<offset>zero"), GOOD_BIOC.replace("8", "9")),
    "bioc-json": (', {"id": "8"}', ', {"id": "9", "passages": []}'),
}


@pytest.mark.parametrize(
    ("content", "close"), [(PUBTATOR, ""), (JSON_LINES, ""), (BIOC, "</collection>"), (BIOC_JSON, "]}")]
)
def test_a_broken_document_can_be_skipped(tmp_path: Path, content: str, close: str) -> None:
    path = tmp_path / "input"
    path.write_text(content, encoding="utf-8")
    bad, good = WRONG[open_corpus(path).format]
    separator = "\n" if bad.startswith("8|") else ""
    path.write_text(content.removesuffix(close) + bad + separator + good + close, encoding="utf-8")
    with pytest.raises(InputError):
        list(open_corpus(path))
    skipped: list[InputError] = []
    assert [document.id for document in open_corpus(path).documents(skipped.append)] == ["7", "9"]
    assert len(skipped) == 1


def test_to_skip_all_documents_is_not_to_have_none(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text(WRONG["jsonl"][0], encoding="utf-8")
    skipped: list[InputError] = []
    assert list(open_corpus(path).documents(skipped.append)) == []
    assert len(skipped) == 1


def test_a_line_that_is_not_utf8_costs_its_document_alone(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"1|t|one\n\n2|t|tw\xf6\n\n3|t|three\n")
    skipped: list[InputError] = []
    assert [document.id for document in open_corpus(path).documents(skipped.append)] == ["1", "3"]
    (error,) = skipped
    assert "line 3: not UTF-8 (invalid start byte) at byte 15 of the file" in str(error)


def test_documents_are_read_one_at_a_time(tmp_path: Path) -> None:
    broken = {
        "input.xml": BIOC.removesuffix("</collection>") + "<document>" * 2,
        "input.pubtator": PUBTATOR * 2 + "broken\n",
        "input.jsonl": JSON_LINES * 2 + "broken\n",
    }
    for name, content in broken.items():
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        documents = iter(open_corpus(path))
        assert next(documents).id == "7"
        with pytest.raises(InputError):
            list(documents)


def test_what_travels_to_other_processes_pickles(tmp_path: Path) -> None:
    path = tmp_path / "7.txt"
    for content in (BIOC, BIOC_JSON, PUBTATOR, JSON_LINES, "An ache"):
        path.write_text(content, encoding="utf-8")
        corpus = pickle.loads(pickle.dumps(open_corpus(path)))
        (document,) = corpus
        again = pickle.loads(pickle.dumps(document))
        assert (again, again.source, corpus.head) == (document, document.source, open_corpus(path).head)
    error = InputError(path, "line 1", "is wrong", "Correct it")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("content", [BIOC, BIOC_JSON, PUBTATOR, JSON_LINES])
def test_mentions_that_the_linker_found_are_written_too(tmp_path: Path, content: str) -> None:
    source = tmp_path / "input"
    source.write_text(content, encoding="utf-8")
    corpus = open_corpus(source)
    (document,) = corpus
    # The id is taken in PubTator.
    new = Mention("0", (Span(0, 2),), "An", "disease")
    linked = LinkedDocument(document, (LinkedMention(new, LINKS, ("D000002",)),))
    text = written(output_format(corpus.format), linked, head=corpus.head)
    # What came in stays as it is.
    assert written(output_format(corpus.format), linked, head=corpus.head) == text
    (tmp_path / "output").write_text(text)
    again = open_corpus(tmp_path / "output")
    assert again.format == corpus.format
    (read,) = again
    assert read.text == document.text
    assert [mention.text for mention in read.mentions] == ["An", *(m.text for m in document.mentions)]
    if corpus.format != "jsonl":
        assert read.mentions[0].concept_ids == ("D000002",)
    assert [mention.concept_ids for mention in read.mentions[1:]] == [
        m.concept_ids for m in document.mentions
    ]


@pytest.mark.parametrize("format", ["bioc", "bioc-json", "pubtator", "jsonl"])
def test_mentions_that_came_in_are_not_written_twice(tmp_path: Path, format: OutputFormat) -> None:
    document = Document("7", (Passage("title", 0, "An ache"),), (MENTION,))
    (tmp_path / "output").write_text(written(format, LinkedDocument(document, LINKED.mentions)))
    (again,) = open_corpus(tmp_path / "output")
    assert [mention.text for mention in again.mentions] == ["ache"]


def test_the_table() -> None:
    long = Mention("1", (Span(8, 13),), "It\nis", "disease")
    linked = LinkedDocument(DOCUMENT, (*LINKED.mentions, LinkedMention(long, (), ())))
    assert written("tsv", linked).splitlines() == [
        "document\tstart\tstop\ttext\ttype\tids\tscores\tnames\tmargin",
        "7\t3\t7\tache\tdisease\tD000002\t0.7500\tPain\t0.2500",
        "7\t8\t13\tIt is\tdisease\t-1\t\t\t0.0000",
    ]


def test_links_hold_every_candidate() -> None:
    (line,) = written("links", LINKED).splitlines()
    assert json.loads(line) == {
        "document": "7",
        "mention": "0",
        "spans": [[3, 7]],
        "text": "ache",
        "type": "disease",
        "predicted": ["D000002"],
        "decided_by": "search",
        "margin": 0.25,
        "candidates": [
            {"id": "D000002", "name": "Pain", "score": 0.75, "matched_name": "ache"},
            {"id": "D000003", "name": "Other", "score": 0.5, "matched_name": "other"},
        ],
    }


def test_plain_text_goes_out_as_a_table() -> None:
    assert {format: output_format(format) for format in FORMATS}.pop("plain") == "tsv"
    assert {output_format(format) for format in FORMATS} <= set(OUTPUT_FORMATS)


def test_nothing_is_written_when_the_format_cannot_hold_it(tmp_path: Path) -> None:
    target = tmp_path / "output"
    target.write_text("before", encoding="utf-8")
    with pytest.raises(ElError, match="tabs or line ends"), open_writer(target, "pubtator") as writer:
        writer.write(LINKED)
    assert target.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("format", ["bioc", "bioc-json", "pubtator", "jsonl"])
def test_documents_of_one_id_have_each_their_own_links(tmp_path: Path, format: OutputFormat) -> None:
    path = tmp_path / "input"
    document = Document("7", (Passage("title", 0, "An ache"),), (MENTION,))
    other = LinkedDocument(document, (LinkedMention(MENTION, LINKS, ("D000003",)),))
    first, second = LinkedDocument(document, LINKED.mentions), other
    text = written(format, first, second)
    assert text.index("D000002") < text.rindex("D000003")
    path.write_text(text, encoding="utf-8")
    assert [document.id for document in open_corpus(path)] == ["7", "7"]


def test_brat_cannot_be_written_to_a_stream() -> None:
    with pytest.raises(UsageError, match="two files"), open_writer(io.StringIO(), "brat"):
        pass


@pytest.mark.parametrize("format", ["bioc", "bioc-json", "brat", "jsonl", "pubtator"])
def test_many_links_take_time_in_proportion(tmp_path: Path, format: OutputFormat) -> None:
    assert_in_proportion(lambda count: _write_and_read(tmp_path, format, count), 100)


def _write_and_read(folder: Path, format: OutputFormat, count: int) -> None:
    """A document with so many links; the mentions are the linker's, and then the document's own."""
    text = "\n".join(["ache", *["an ache"] * count])
    passages = [Passage("", place, line) for place, line in _lines(text)] if "bioc" in format else []
    passages = passages or [Passage("title", 0, text.replace("\n", " "))]
    found = tuple(
        LinkedMention(Mention(str(n), (Span(place + 3, place + 7),), "ache", "disease"), LINKS, ("D000002",))
        for n, (place, _) in enumerate(_lines(text)[1:])
    )
    given = tuple(linked.mention for linked in found)
    with open_writer(folder / "7.txt", format) as writer:
        writer.write(LinkedDocument(Document("7", tuple(passages)), found))
    with open_writer(folder / "8.txt", format) as writer:
        writer.write(LinkedDocument(Document("8", tuple(passages), given), found))
    assert sum(1 for document in open_corpus(folder / "8.txt") for _ in document.mentions) == count


def _lines(text: str) -> list[tuple[int, str]]:
    places = [match.span() for match in re.finditer(".+", text)]
    return [(start, text[start:stop]) for start, stop in places]
