import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import InputError
from el.corpus.checks import MentionError
from el.corpus.formats import open_corpus
from el.corpus.types import Link, LinkedDocument, LinkedMention, Mention, Span
from tests.el.corpus.writing import written

ANNOTATION = {
    "id": 3,
    "infons": {"type": "Disease", "identifier": "MESH:D000001", "score": 7, "valid": True},
    "text": "ache",
    "locations": [{"offset": 5, "length": 4}],
}
DOCUMENT = {
    "_id": "1|None",
    "id": "1",
    "infons": {},
    "passages": [
        {"infons": {"type": "title"}, "offset": 0, "text": "A 😀 ", "annotations": [], "relations": []},
        {"infons": {"type": None}, "offset": 5, "text": "ache", "annotations": [ANNOTATION]},
    ],
    "relations": [{"id": "R1", "infons": {"type": "treats"}, "nodes": [{"refid": "3"}, {"refid": "4"}]}],
}


def read(tmp_path: Path, value: Any) -> Any:
    path = tmp_path / "in.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return open_corpus(path, "bioc-json")


def test_a_document_may_lack_what_it_does_not_need(tmp_path: Path) -> None:
    (document,) = read(tmp_path, {"PubTator3": [DOCUMENT]})
    assert [(passage.kind, passage.offset) for passage in document.passages] == [("title", 0), ("", 5)]
    (mention,) = document.mentions
    assert (mention.id, mention.spans, mention.concept_ids) == ("3", (Span(5, 9),), ("D000001",))
    assert document.relations == (("treats", "3", "4"),)
    assert [d.id for i in (0, None) for d in read(tmp_path, {"documents": [DOCUMENT | {"id": i}]})] == [
        "0",
        "",
    ]


def test_infons_of_others_give_way_to_links_and_are_kept(tmp_path: Path) -> None:
    corpus = read(tmp_path, {"documents": [DOCUMENT]})
    (document,) = corpus
    link = Link("D000002", "Pain", 0.75, "ache")
    found = LinkedMention(Mention("3", (Span(0, 1),), "A", "chemical"), (), ())
    linked = LinkedDocument(
        document, (LinkedMention(document.mentions[0], (link,), ("D000002",), "search"), found)
    )
    # Twice: a link replaces that of an earlier run.
    for _ in range(2):
        text = written("bioc-json", linked, head=corpus.head)
        (row,) = json.loads(text)["documents"]
        (new,), (annotation,) = (passage["annotations"] for passage in row["passages"])
        assert annotation["infons"] == {
            "type": "Disease",
            "given_identifier": "MESH:D000001",
            "given_score": 7,
            "valid": True,
            "identifier": "D000002",
            "score": "0.7500",
            "candidates": '[{"id": "D000002", "name": "Pain", "score": 0.75, "matched_name": "ache"}]',
            "decided_by": "search",
        }
        assert (new["id"], new["infons"]["type"], new["infons"]["identifier"]) == ("1", "Chemical", "-1")
        corpus = read(tmp_path, text)
        (again,) = corpus
        # What the corpus said is still what counts as gold.
        assert again.mentions[1].concept_ids == ("D000001",)
        given = LinkedMention(again.mentions[1], (link,), ("D000002",), "search")
        linked = LinkedDocument(again, (given, LinkedMention(again.mentions[0], (), ())))
    assert len(again.mentions) == 2


@pytest.mark.parametrize("nothing", [{}, {"id": None}, {"id": ""}])
def test_annotations_without_an_id_get_one(tmp_path: Path, nothing: dict[str, Any]) -> None:
    unnamed = {key: value for key, value in ANNOTATION.items() if key != "id"} | nothing
    other = ANNOTATION | {"id": "1"}
    (document,) = read(tmp_path, {"documents": [{**DOCUMENT, "annotations": [unnamed, other]}]})
    assert sorted(mention.id for mention in document.mentions) == ["1", "2", "3"]
    linked = tuple(LinkedMention(mention, (), (f"D{mention.id}",)) for mention in document.mentions)
    (row,) = json.loads(written("bioc-json", LinkedDocument(document, linked)))["documents"]
    assert [(a["id"], a["infons"]["identifier"]) for a in row["annotations"]] == [("2", "D2"), ("1", "D1")]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('{"documents": [', "not JSON"),
        ('{"documents": ["\\ud83d"]}', "half a surrogate pair"),
        ('{"documents": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ([], "not one BioC collection"),
        ([{"documents": []}, {"documents": []}], "not one BioC collection"),
        ({"documents": None}, "not one BioC collection"),
        ({"documents": ["x"]}, "not a JSON object"),
        ({"documents": [{"id": "1"}]}, "document 1: Object missing required field `passages`"),
        ({"documents": [{"id": "1", "passages": [{"text": "x"}]}]}, "missing required field `offset`"),
        (
            {"documents": [{"id": "1", "passages": [{"offset": "0", "text": "x"}]}]},
            "Expected `int`, got `str`",
        ),
        ({"documents": [{**DOCUMENT, "annotations": [{**ANNOTATION, "locations": []}]}]}, "has no location"),
        ({"infons": ["a"], "documents": []}, r"Expected `object \| null`, got `array` - at `\$.infons`"),
        ({"infons": "a", "documents": []}, r"got `str` - at `\$.infons`"),
        ('{"documents": [],\n"infons": 1}', r"line 2: .*got `int` - at `\$.infons`"),
        ('{"source": "a",\n"source": "b", "documents": []}', "line 2: the key 'source' stands twice"),
        ('{"infons": {}, "documents": [], "infons": {}}', "the key 'infons' stands twice"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        list(read(tmp_path, value))


SECOND = {"id": "2", "passages": [{"offset": 0, "text": "ac@he"}]}


def collect(corpus: Any) -> tuple[list[Any], list[InputError]]:
    errors: list[InputError] = []
    return list(corpus.documents(errors.append)), errors


def with_annotation(**changed: Any) -> dict[str, Any]:
    """A document with an annotation that is changed, and a sound one."""
    sound = {**ANNOTATION, "id": "4"}
    passage = {"offset": 0, "text": "A 😀  ache", "annotations": [{**ANNOTATION, **changed}, sound]}
    return {"id": "1", "passages": [passage]}


@pytest.mark.parametrize(
    "changed",
    [
        {"locations": [{"offset": "5", "length": 4}]},
        {"locations": [{"offset": 5.0, "length": 4}]},
        {"locations": [{"offset": True, "length": 4}]},
        {"locations": [{"offset": -4, "length": 4}]},
        {"locations": [{"offset": 10**30, "length": 10**12}]},
        {"locations": [{"offset": 5, "length": 0}]},
        {"locations": "5:9"},
        {"locations": None},
        {"infons": ["Disease"]},
        {"infons": {"type": 7}},
        {"infons": {"identifier": {"id": "D000001"}}},
        {"infons": {"identifier": 1.5}},
        {"infons": {"MESH": [None]}},
        {"infons": {"CompositeRole": ["part"]}},
        {"text": ["a", "c", "h", "e"]},
        {"text": "Ache"},
        {"id": {"a": 1}},
    ],
)
def test_a_bad_annotation_costs_that_annotation(tmp_path: Path, changed: dict[str, Any]) -> None:
    row = with_annotation(**changed)
    corpus = read(tmp_path, {"documents": [row]})
    (document,), errors = collect(corpus)
    assert [mention.id for mention in document.mentions] == ["4"]
    (error,) = errors
    assert isinstance(error, MentionError)
    # It is written as it came, and the other form of BioC can be written.
    assert json.loads(written("bioc-json", document, head=corpus.head)) == {"documents": [row]}
    assert "<document>" in written("bioc", document, head=corpus.head)
    with pytest.raises(MentionError):
        list(corpus)


@pytest.mark.parametrize("annotations", [["x"], [None], [[1]]])
def test_an_annotation_may_be_no_object(tmp_path: Path, annotations: list[Any]) -> None:
    corpus = read(tmp_path, {"documents": [with_annotation() | {"annotations": annotations}]})
    (document,), (error,) = collect(corpus)
    assert len(document.mentions) == 2
    assert "Expected `object`" in str(error)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [(5, ("5",)), (None, ()), (["MESH:D000001", 7], ("D000001", "7")), ("-1", ()), ([], ())],
)
def test_ids_may_be_numbers_null_and_lists(tmp_path: Path, ids: Any, expected: tuple[str, ...]) -> None:
    corpus = read(tmp_path, {"documents": [with_annotation(infons={"identifier": ids})]})
    (document,) = corpus
    assert document.mentions[0].concept_ids == expected
    (tmp_path / "out.xml").write_text(written("bioc", document), encoding="utf-8")
    (again,) = open_corpus(tmp_path / "out.xml")
    assert again.mentions[0].concept_ids == expected


@pytest.mark.parametrize(
    "document",
    [
        {"id": ["2"], "passages": []},
        {"id": True, "passages": []},
        {"id": "2", "passages": "abc"},
        {"id": "2", "passages": {"offset": 0}},
        {"id": "2", "passages": [{"offset": 0, "text": ["a"]}]},
        {"id": "2", "passages": [{"offset": True, "text": "a"}]},
        {"id": "2", "passages": [{"offset": -1, "text": "a"}]},
        {"id": "2", "passages": [{"offset": 10**12, "text": "a"}]},
        {"id": "2", "passages": [{"offset": 0, "text": "a", "annotations": "x"}]},
        {"id": "2", "passages": [{"offset": 0, "sentences": "ab"}]},
        {"id": "2", "passages": [{"offset": 0, "sentences": [{"offset": 10**12, "text": "a"}]}]},
        {"id": "2", "passages": [{"offset": 9, "sentences": [{"offset": 0, "text": "a"}]}]},
        {"id": "2", "passages": [{"infons": {"type": 5}, "offset": 0}]},
        {"id": "2", "passages": [], "x": {"a\udc00": 1}},
        {"id": "2", "passages": [], "x": json.loads("[" * 200 + "]" * 200)},
        "2",
        None,
    ],
)
def test_a_bad_document_costs_that_document(tmp_path: Path, document: Any) -> None:
    documents, errors = collect(read(tmp_path, {"documents": [DOCUMENT, document, DOCUMENT]}))
    assert [document.id for document in documents] == ["1", "1"]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"\x01", r"line 3: holds the control character U\+0001 \(byte"),
        (b"\x1f", r"line 3: holds the control character U\+001F"),
        (b"\t", r"line 3: not JSON \(Invalid control character at, byte"),
        (b"\\x", r"line 3: not JSON \(Invalid \\escape, byte"),
        (b'" "', "line 3: not JSON .Expecting ',' delimiter, byte"),
        (b"\xe9", "line 3: not UTF-8"),
    ],
)
def test_a_damaged_document_does_not_hide_the_next(tmp_path: Path, bad: bytes, problem: str) -> None:
    rows = ",\n".join(json.dumps(row) for row in (DOCUMENT, SECOND, DOCUMENT))
    (tmp_path / "in.json").write_bytes(f'{{"documents": [\n{rows}]}}'.encode().replace(b"@", bad))
    documents, (error,) = collect(open_corpus(tmp_path / "in.json", "bioc-json"))
    assert len(documents) == 2
    assert re.search(problem, str(error))


@pytest.mark.parametrize("size", [1, 2, 30])
def test_a_cut_file_gives_the_documents_before_the_cut(tmp_path: Path, size: int) -> None:
    text = json.dumps({"source": "x", "documents": [DOCUMENT, SECOND]})[:-size]
    corpus = read(tmp_path, text)
    assert corpus.head.row == {"source": "x"}
    documents, errors = collect(corpus)
    assert [document.id for document in documents] == (["1", "2"] if size < 3 else ["1"])
    assert "not JSON" in str(errors[-1])


def test_a_quote_too_many_is_named_where_it_stands(tmp_path: Path) -> None:
    text = json.dumps({"documents": [DOCUMENT, SECOND, *[DOCUMENT] * 3]}).replace("ac@he", 'ac"he')
    documents, (error,) = collect(read(tmp_path, text))
    assert len(documents) == 1
    assert "Expecting ',' delimiter, 51 characters after the value's start" in str(error)


def test_annotations_of_one_id_are_mentions_of_their_own(tmp_path: Path) -> None:
    one = ANNOTATION | {"id": "1"}
    relation = {"id": "2", "infons": {"type": "x"}, "nodes": [{"refid": "1"}, {"refid": "9"}]}
    row = {**with_annotation(), "annotations": [one, one], "relations": [relation]}
    (document,) = read(tmp_path, {"documents": [row]})
    assert sorted(mention.id for mention in document.mentions) == ["1", "3", "4", "5"]
    assert document.relations == (("x", "1", "9"),)
    linked = tuple(LinkedMention(mention, (), (f"D{mention.id}",)) for mention in document.mentions)
    (after,) = json.loads(written("bioc-json", LinkedDocument(document, linked)))["documents"]
    links = [(a["id"], a["infons"]["identifier"]) for a in after["annotations"]]
    assert links == [("1", "D1"), ("1", "D5")]


@pytest.mark.parametrize(
    ("infons", "nodes", "ends"),
    [
        (
            {"score": "0.98", "role1": {"identifier": "MESH:D1"}, "role2": {"identifier": "D2"}},
            ["0"],
            ("D1", "D2"),
        ),
        ({"score": "0.98", "role1": "Chemical|MESH:D1", "role2": "Disease|D2"}, [], ("D1", "D2")),
        ({"score": "0.98", "role1": {"identifier": None}, "role2": {"identifier": "D2"}}, ["0"], None),
        ({"entity1": "D1", "entity2": "D2", "novel": "Novel"}, [], ("D1", "D2")),
        ({"score": 0.5, "note": "x"}, ["3", "7"], ("3", "7")),
        ({"score": 0.5, "note": "x"}, ["3"], None),
    ],
)
def test_only_ids_are_the_ends_of_a_relation(
    tmp_path: Path, infons: dict[str, Any], nodes: list[str], ends: tuple[str, str] | None
) -> None:
    relation = {"id": "R", "infons": {"type": "y", **infons}, "nodes": [{"refid": node} for node in nodes]}
    (document,) = read(tmp_path, {"documents": [DOCUMENT | {"relations": [relation]}]})
    assert document.relations == ((("y", *ends),) if ends else ())
    (tmp_path / "out.xml").write_text(written("bioc", document), encoding="utf-8")
    (again,) = open_corpus(tmp_path / "out.xml")
    assert again.relations == document.relations


@pytest.mark.parametrize("nodes", ["ab", [["3"]], [{"refid": {}}], {"refid": "3"}])
def test_a_bad_relation_costs_no_mention(tmp_path: Path, nodes: Any) -> None:
    corpus = read(tmp_path, {"documents": [DOCUMENT | {"relations": [{"id": "R", "nodes": nodes}]}]})
    (document,), (error,) = collect(corpus)
    assert len(document.mentions) == 1
    assert isinstance(error, MentionError)
    assert error.type == "relation"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_are_those_of_the_file(tmp_path: Path, line_end: str) -> None:
    text = json.dumps({"documents": [DOCUMENT, SECOND]}, indent=1).replace("\n", line_end)
    path = tmp_path / "in.json"
    path.write_bytes(text.encode())
    corpus = open_corpus(path, "bioc-json")
    lines = written("bioc-json", *corpus, head=corpus.head).split("\n")
    assert len(lines) == 5
    assert all(line.endswith("\r") == (line_end == "\r\n") for line in lines[:-1])


def test_one_document_is_in_memory_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    rows = (json.dumps(DOCUMENT | {"id": str(number), "x": "word [ " * 3000}) for number in range(600))
    path.write_text('{"documents": [' + ",".join(rows) + '], "z": 1}', encoding="utf-8")
    assert path.stat().st_size > 12_000_000
    corpus = open_corpus(path, "bioc-json")
    tracemalloc.start()
    assert sum(1 for _ in corpus) == 600
    assert corpus.head.row == {"z": 1}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
