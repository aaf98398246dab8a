import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import InputError
from el.corpus.checks import MentionError
from el.corpus.formats import open_corpus
from el.corpus.store import read_documents, write_documents
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from tests.el.corpus.strategies import documents, few
from tests.el.corpus.writing import written


@few
@given(some=st.lists(documents(), max_size=3))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, some: list[Document]) -> None:
    path = tmp_path_factory.getbasetemp() / "store.jsonl"
    assert write_documents(path, some) == len(some)
    assert list(read_documents(path)) == some


def test_composites_and_relations_are_kept(tmp_path: Path) -> None:
    mention = Mention("x", (Span(0, 7),), "a and b", "disease", ("D1", "D2"), ("a", "b"), "composite")
    document = Document("1", (Passage("title", 0, "a and b"),), (mention,), (("CID", "D3", "D1"),))
    write_documents(tmp_path / "store.jsonl", [document])
    assert list(read_documents(tmp_path / "store.jsonl")) == [document]


def test_the_ids_of_the_corpus_are_kept(tmp_path: Path) -> None:
    path, span = tmp_path / "store.jsonl", (Span(0, 1),)
    mapped = Mention("x", span, "a", "disease", ("D1", "D2"), original_ids=("D1", "OMIM:1"))
    document = Document(
        "1", (Passage("title", 0, "a"),), (mapped, Mention("y", span, "a", "disease", ("D1",)))
    )
    write_documents(path, [document])
    assert list(read_documents(path)) == [document]
    rows = json.loads(path.read_text(encoding="utf-8"))["mentions"]
    assert [row.get("original_ids") for row in rows] == [["D1", "OMIM:1"], None]
    # The linker's copy keeps the key.
    (kept,) = read_documents(path, keep_source=True)
    assert json.loads(written("jsonl", kept))["mentions"][0] == rows[0]
    path.write_text(path.read_text(encoding="utf-8").replace('"OMIM:1"', "1"), encoding="utf-8")
    with pytest.raises(MentionError, match="original_ids"):
        list(read_documents(path))


GOOD: dict[str, Any] = {
    "id": "1",
    "passages": [{"kind": "title", "offset": 0, "text": "An ache"}],
    "mentions": [
        {
            "id": "0",
            "spans": [[3, 7]],
            "text": "ache",
            "type": "disease",
            "concept_ids": [],
            "part_texts": [],
            "role": "single",
        }
    ],
    "relations": [],
}


MENTION = GOOD["mentions"][0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"passages": [{"kind": "title", "offset": 0}]},
            r"missing required field `text` - at `passages\[0\]`",
        ),
        ({"passages": [{"offset": "0", "text": "An ache"}]}, r"got `str` - at `passages\[0\].offset`"),
        ({"passages": [{"offset": 0, "text": None}]}, r"got `null` - at `passages\[0\].text`"),
        ({"passages": [{"offset": -1, "text": "An ache"}]}, r">= 0 - at `passages\[0\].offset`"),
        ({"passages": [{"kind": 1, "offset": 0, "text": "An ache"}]}, r"at `passages\[0\].kind`"),
        ({"passages": "An ache"}, "Expected `array`, got `str` - at `document.passages`"),
        ({"passages": ["An ache"]}, r"got `str` - at `document.passages\[0\]`"),
        ({"passages": [{"offsets": [[0, 7]], "text": ["An", "ache"]}]}, "2 texts at 1 offsets"),
        ({"text": "An itch"}, "`text` and `passages` hold different texts"),
        ({"id": None}, "got `null`"),
        ({"id": True}, "got `bool`"),
        ({"id": ["1"]}, "got `array`"),
        ({"mentions": None}, "Expected `array`, got `null` - at `document.mentions`"),
        ({"mentions": "ache"}, "Expected `array`, got `str` - at `document.mentions`"),
        ({"mentions": {"0": MENTION}}, "got `object` - at `document.mentions`"),
        ({"relations": [["CID", "D1"]]}, r"length 3, got 2 - at `document.relations\[0\]`"),
        ({"relations": [["CID", "D1", 5]]}, r"got `int` - at `document.relations\[0\]"),
        ({"relations": "CID"}, "got `str` - at `document.relations`"),
    ],
)
def test_rows_that_are_no_documents_are_refused_by_line_and_field(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    path = tmp_path / "store.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{json.dumps({**GOOD, **change})}\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"line 2: .*{problem}"):
        list(read_documents(path))


@pytest.mark.parametrize(
    ("mention", "problem"),
    [
        ({"start": 3, "type": "Pain"}, r"missing required field `stop` - at `mentions\[1\]`"),
        ({"start": "3", "stop": 7, "type": "Pain"}, r"Expected `int`, got `str` - at `mentions\[1\].start`"),
        ({"start": 3.0, "stop": 7, "type": "Pain"}, r"got `float` - at `mentions\[1\].start`"),
        ({"start": False, "stop": 7, "type": "Pain"}, r"got `bool` - at `mentions\[1\].start`"),
        ({"start": -4, "stop": 7, "type": "Pain"}, r"Expected `int` >= 0 - at `mentions\[1\].start`"),
        ({"start": 3, "stop": 10**30, "type": "Pain"}, r"`int` <= 999999999 - at `mentions\[1\].stop`"),
        ({"start": 3, "stop": 900_000_000, "type": "Pain"}, r"at 3:900000000, .*\(the text ends at 7\)"),
        ({"start": 7, "stop": 3, "type": "Pain"}, "a location is empty or negative"),
        ({"spans": [], "type": "Pain"}, r"of length >= 1 - at `mentions\[1\].spans`"),
        ({"spans": [[3]], "type": "Pain"}, r"of length 2, got 1 - at `mentions\[1\].spans\[0\]`"),
        ({"spans": "37", "type": "Pain"}, r"Expected `array`, got `str` - at `mentions\[1\].spans`"),
        (
            {"spans": [[3, 7], [0, 2]], "type": "Pain"},
            r"pieces of `mentions\[1\]` overlap or are out of order",
        ),
        ({**MENTION, "id": ["0"], "type": "Pain"}, r"got `array` - at `mentions\[1\].id`"),
        ({**MENTION, "type": "Pain"}, "another annotation has this id"),
        ({**MENTION, "id": "1", "type": "Pain", "text": "cold"}, "expected 'cold' at 3:7, found 'ache'"),
        (
            {**MENTION, "type": "Pain", "concept_ids": "D000001"},
            r"got `str` - at `mentions\[1\].concept_ids`",
        ),
        ({**MENTION, "type": "Pain", "concept_ids": 1}, r"got `int` - at `mentions\[1\].concept_ids`"),
        ({**MENTION, "type": "Pain", "concept_ids": [1]}, r"got `int` - at `mentions\[1\].concept_ids\[0\]`"),
        ({**MENTION, "type": "Pain", "concept_ids": [None]}, r"got `null` - at .*concept_ids\[0\]"),
        ({**MENTION, "type": "Pain", "concept_ids": [""]}, r"at `mentions\[1\].concept_ids\[0\]"),
        ({**MENTION, "type": "Pain", "part_texts": "ab"}, r"got `str` - at `mentions\[1\].part_texts`"),
        ({**MENTION, "type": "Pain", "role": "both"}, r"'both' - at `mentions\[1\].role`"),
        ({**MENTION, "type": "Pain", "role": ["part"]}, r"got `array` - at `mentions\[1\].role`"),
        ({**MENTION, "type": 5}, r"got `int` - at `mentions\[1\].type`"),
        ([3, 7], r"got 2 - at `mentions\[1\]`"),
        ("ache", r"Expected `object`, got `str` - at `mentions\[1\]`"),
        (None, r"got `null` - at `mentions\[1\]`"),
    ],
)
def test_a_mention_of_a_wrong_form_costs_that_mention(tmp_path: Path, mention: object, problem: str) -> None:
    path = tmp_path / "store.jsonl"
    path.write_text(json.dumps({**GOOD, "mentions": [MENTION, mention]}), encoding="utf-8")
    with pytest.raises(MentionError, match=problem):
        list(open_corpus(path, "jsonl"))
    skipped: list[InputError] = []
    (document,) = open_corpus(path, "jsonl").documents(skipped.append)
    assert [mention.text for mention in document.mentions] == ["ache"]
    (error,) = skipped
    assert isinstance(error, MentionError)
    assert error.type == ("pain" if "'type': 'Pain'" in str(mention) else "")
    # The mention stays in the file, and what is linked is the sound one.
    sound = LinkedMention(document.mentions[0], (), ("D000002",))
    (first, second) = json.loads(written("jsonl", LinkedDocument(document, (sound,))))["mentions"]
    assert (first["links"]["predicted"], second) == (["D000002"], mention)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": 1, "text": "x", "a": NaN}', "NaN is no number"),
        ('{"id": 1, "text": "x", "a": [-Infinity]}', "-Infinity is no number"),
        ('{"id": 1, "text": "x", "a": {"b": 1e400}}', "1e400 is no number"),
        ('{"id": 1, "text": "x", "text": "y"}', "the key 'text' stands twice"),
        ('{"id": 1, "text": "x", "mentions": [{"start": 0, "stop": 1, "start": 0}]}', "'start' stands twice"),
        ('{"id": 1, "text": "x", "a": {"": 1, "": 2}}', "the key '' stands twice"),
        ('{"id": 1, "text": "x", "\\udfff": 1}', r"half a surrogate pair \(\\udfff\)"),
        ('{"id": 1, "text": "\\ud83d x"}', r"half a surrogate pair \(\\ud83d\)"),
        ('{"id": 1, "text": "x", "a": [{"b": "\\uDE00\\uD83D"}]}', "half a surrogate pair"),
        ('{"id": 1, "text": "x", "a": ' + "[" * 101 + "]" * 101 + "}", "nested too deep"),
        ('{"id": 1, "text": "x", "a": ' + '{"b": ' * 500 + "1" + "}" * 501, "nested too deep"),
        ("[" * 1_000_000, "nested too deep"),
        ('{"a":' * 1_000_000, "nested too deep"),
        ('{"id": 1, "text": "x', "not JSON"),
        ('["x"]', "not a JSON object"),
        ('[{"id": 1, "text": "x"}]', "not a JSON object.*without a list around them"),
        ('{"id": 1, "title": "x"}', r"neither `text` nor `passages` \(its keys: id, title\)"),
        ("{}", "its keys: none"),
        ('{"document": "1", "mention": "0", "text": "x", "predicted": []}', "a line of links"),
        ('{"id": 1, "text": "x\x00"}', "a NUL byte at byte 31 of the file"),
        ('{"id": 1,\x00\x00\x00 "text": "x"}', "the first of 3 NUL bytes at byte 20 of the file"),
    ],
)
def test_a_line_that_is_no_document_costs_that_line(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "in.jsonl"
    # Arrays of the usual depth are read.
    good = ['{"text":0}', '{"id": 0, "text": "x", "a": ' + "[" * 99 + "]" * 99 + "}", '{"text": "y"}']
    path.write_text("\n".join([*good[:1], line, *good[1:]]), encoding="utf-8")
    skipped: list[InputError] = []
    documents = list(open_corpus(path, "jsonl").documents(skipped.append))
    assert [document.id for document in documents] == ["0", "line-4"]
    assert len(skipped) == 2
    assert re.search(f"in.jsonl: line 2: .*{problem}", str(skipped[1]))


@pytest.mark.parametrize("blank", ["\u00a0", "\u0085 ", "\u2028", "\ufeff", "\x1c\t", " \r"])
def test_blank_lines_are_no_documents(tmp_path: Path, blank: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(f'{blank}\n{{"text": "x"}}\n{blank}\n\n\ufeff{{"text": "y"}}\n{blank}'.encode())
    assert [document.id for document in open_corpus(path)] == ["line-2", "line-5"]


def test_a_mention_without_an_id_takes_none_that_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    mentions = [{"start": 0, "stop": 2}, {"start": 3, "stop": 7, "id": "0"}, {"start": 0, "stop": 7, "id": 1}]
    path.write_text(json.dumps({"id": "1", "text": "An ache", "mentions": mentions}), encoding="utf-8")
    (document,) = open_corpus(path)
    assert [(mention.id, mention.text) for mention in document.mentions] == [
        ("2", "An"),
        ("1", "An ache"),
        ("0", "ache"),
    ]


def test_a_text_that_moved_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    path.write_text(json.dumps(GOOD).replace("An ache", "The ache") + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="document 1, annotation 0: expected 'ache'"):
        list(read_documents(path))


def test_a_document_may_come_with_less(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [
        {"id": 7, "text": "A 😀 ache"},
        {
            "text": "A 😀 ache",
            "id": "8",
            "mentions": [{"start": 4, "stop": 8}, {"id": "x", "spans": [[0, 1]]}],
        },
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    first, second = read_documents(path)
    assert (first.id, first.text, first.mentions) == ("7", "A 😀 ache", ())
    assert second.mentions == (
        Mention("x", (Span(0, 1),), "A", ""),
        Mention("0", (Span(4, 8),), "ache", ""),
    )


def test_links_are_added_and_all_other_keys_kept(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    row = {"more": {"a": [1.5, None]}, "text": "An ache", "id": 7}
    mention = {"start": 3, "stop": 7, "type": "Pain", "note": "é", "links": "of an earlier run"}
    path.write_text(json.dumps({**row, "mentions": [mention]}), encoding="utf-8")
    (document,) = open_corpus(path)
    link = Link("D000002", "Pain", 0.75, "ache")
    found = LinkedMention(Mention("0", (Span(0, 2),), "An", "chemical"), (), ())
    linked = LinkedDocument(
        document, (LinkedMention(document.mentions[0], (link,), ("D000002",), "search", 0.75), found)
    )
    candidate = {"id": "D000002", "name": "Pain", "score": 0.75, "matched_name": "ache"}
    links = {"predicted": ["D000002"], "decided_by": "search", "margin": 0.75, "candidates": [candidate]}
    new = {
        "id": "1",
        "spans": [[0, 2]],
        "text": "An",
        "type": "chemical",
        "links": {"predicted": [], "decided_by": "", "margin": 0.0, "candidates": []},
    }
    assert json.loads(written("jsonl", linked)) == {**row, "mentions": [{**mention, "links": links}, new]}


@pytest.mark.parametrize("text", ["A cold.\nNo ache.", "A cold. No ache.\n", ""])
def test_a_text_beside_passages_may_have_other_blanks(tmp_path: Path, text: str) -> None:
    passages = [{"offset": 0, "text": "A cold."}, {"offset": 8, "text": "No ache."}]
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"text": text, "passages": passages}), encoding="utf-8")
    (document,) = read_documents(path)
    assert document.text == "A cold. No ache."
