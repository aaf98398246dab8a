import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import InputError
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


GOOD = {
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


@pytest.mark.parametrize(
    "change",
    [
        {"passages": [{"kind": "title", "offset": 0}]},
        {"passages": [{"kind": "title", "offset": "0", "text": "An ache"}]},
        {"passages": [{"kind": "title", "offset": 0, "text": None}]},
        {"id": None},
        {"id": True},
        {"mentions": [{**GOOD["mentions"][0], "spans": []}]},  # type: ignore[dict-item]
        {"mentions": [{**GOOD["mentions"][0], "spans": [[3]]}]},  # type: ignore[dict-item]
        {"relations": [["CID", "D1"]]},
        {"mentions": None},
    ],
)
def test_rows_that_are_no_documents_are_refused_by_line(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "store.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{json.dumps({**GOOD, **change})}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: not a document"):
        list(read_documents(path))


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
