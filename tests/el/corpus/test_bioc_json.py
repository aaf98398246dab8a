import json
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import InputError
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
        ({"documents": [{"id": "1", "passages": [{"offset": "0", "text": "x"}]}]}, "Expected `int`, got `str`"),
        ({"documents": [{**DOCUMENT, "annotations": [{**ANNOTATION, "locations": []}]}]}, "has no location"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        list(read(tmp_path, value))
