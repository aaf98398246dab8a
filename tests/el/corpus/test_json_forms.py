import json
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import InputError
from el.corpus.checks import MentionError
from el.corpus.formats import open_corpus
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span
from tests.el.corpus.writing import written

TEXT = "Metformin lowers glucose in type 2 diabetes"
DRUG, DISEASE = (0, 9), (28, 43)

DOCCANO = {
    "id": 31,
    "text": TEXT,
    "entities": [
        {"id": 7, "label": "Drug", "start_offset": 0, "end_offset": 9},
        {"id": 8, "label": "Disease", "start_offset": 28, "end_offset": 43},
    ],
    "relations": [{"id": 1, "from_id": 7, "to_id": 8, "type": "treats"}],
    "Comments": [],
}
PRODIGY = {
    "text": TEXT,
    "_input_hash": -5,
    "tokens": [{"text": "Metformin", "start": 0, "end": 9, "id": 0, "ws": True}],
    "spans": [
        {"start": 28, "end": 43, "token_start": 4, "token_end": 6, "label": "Disease"},
        {"start": 0, "end": 9, "token_start": 0, "token_end": 0, "label": "Drug"},
    ],
    "relations": [{"head": 0, "child": 4, "label": "treats"}],
    "answer": "accept",
}
BIGBIO = {
    "id": "0",
    "document_id": "227508",
    "passages": [{"id": "p", "type": "title", "text": [TEXT], "offsets": [[0, 43]]}],
    "entities": [
        {
            "id": "T1",
            "type": "Drug",
            "text": ["Metformin"],
            "offsets": [[0, 9]],
            "normalized": [{"db_name": "MESH", "db_id": "D008687"}],
        },
        {
            "id": "T2",
            "type": "Disease",
            "text": ["type 2", "diabetes"],
            "offsets": [[28, 34], [35, 43]],
            "normalized": [
                {"db_name": "OMIM", "db_id": "125853"},
                {"db_name": "UMLS", "db_id": "UMLS:C0011860"},
            ],
        },
    ],
    "events": [],
    "relations": [{"id": "R1", "type": "CID", "arg1_id": "T1", "arg2_id": "T2", "normalized": []}],
}
PUBANNOTATION = {
    "sourcedb": "PubMed",
    "text": TEXT,
    "denotations": [
        {"id": "T1", "span": {"begin": 0, "end": 9}, "obj": "Drug"},
        {"id": "T2", "span": {"begin": 28, "end": 43}, "obj": "Disease"},
    ],
    "relations": [{"id": "R1", "pred": "treats", "subj": "T1", "obj": "T2"}],
}
PAIRS = [[*DRUG, "Drug"], [*DISEASE, "Disease"]]


@pytest.mark.parametrize(
    ("row", "ids", "relations"),
    [
        ({"id": 1, "text": TEXT, "label": PAIRS}, ["0", "1"], ()),
        ({"id": 1, "text": TEXT, "labels": PAIRS, "cats": {"a": 0.5}}, ["0", "1"], ()),
        (DOCCANO, ["7", "8"], (("treats", "7", "8"),)),
        (PRODIGY, ["1", "0"], ()),
        ({"text": TEXT, "entities": PAIRS}, ["0", "1"], ()),
        ([TEXT, {"entities": PAIRS}], ["0", "1"], ()),
        (
            {
                "text": TEXT,
                "ents": [dict(zip(("start", "end", "label"), pair, strict=True)) for pair in PAIRS],
            },
            ["0", "1"],
            (),
        ),
        (BIGBIO, ["T1", "T2"], (("CID", "T1", "T2"),)),
        (PUBANNOTATION, ["T1", "T2"], (("treats", "T1", "T2"),)),
        (
            {
                "text": TEXT,
                "entities": [{"start": a, "end": b, "entity_group": t, "score": 1} for a, b, t in PAIRS],
            },
            ["0", "1"],
            (),
        ),
        (
            {"text": TEXT, "label": [{"start": a, "end": b, "labels": [t]} for a, b, t in PAIRS]},
            ["0", "1"],
            (),
        ),
        (
            {"id": 2, "text": TEXT, "mentions": [{"start": a, "end": b, "type": t} for a, b, t in PAIRS]},
            ["0", "1"],
            (),
        ),
    ],
)
def test_annotations_of_other_tools_are_read_and_linked(
    tmp_path: Path, row: Any, ids: list[str], relations: tuple[tuple[str, str, str], ...]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n" + json.dumps(row), encoding="utf-8")
    (document,) = open_corpus(path)
    assert [(mention.id, mention.type) for mention in document.mentions] == list(
        zip(ids, ["drug", "disease"], strict=True)
    )
    assert [(mention.start, mention.stop) for mention in document.mentions] == [DRUG, DISEASE]
    assert [mention.text for mention in document.mentions] == ["Metformin", "type 2 diabetes"]
    assert document.relations == relations
    keys = {"text": row[0], **row[1]} if isinstance(row, list) else row
    assert document.id == str(keys.get("id", "line-2"))

    linked = all_linked(document)
    path.write_text(written("jsonl", linked), encoding="utf-8")
    (again,) = open_corpus(path)
    found = Mention(again.mentions[-1].id, (Span(17, 24),), "glucose", "drug")
    *given, last = sorted(again.mentions, key=lambda mention: mention.start == 17)
    assert (given, last.spans, last.text) == (list(document.mentions), found.spans, found.text)
    assert (again.id, again.passages, again.relations) == (document.id, document.passages, relations)
    # Its own keys are kept, and each link stands at its mention.
    new = json.loads(path.read_text(encoding="utf-8"))
    assert {key: new[key] for key in keys if key != "mentions"} == {
        k: v for k, v in keys.items() if k != "mentions"
    }
    links = {
        mention.get("id", str(number)): mention["links"] for number, mention in enumerate(new["mentions"])
    }
    assert [links[mention_id]["predicted"] for mention_id in ids] == [["D000000"], ["D000001"]]
    # What is written once more is the same.
    assert written("jsonl", LinkedDocument(again, ())) == path.read_text(encoding="utf-8")


def all_linked(document: Document) -> LinkedDocument:
    """All mentions linked, and one that the linker found."""
    mentions = [
        LinkedMention(mention, (Link(f"D00000{number}", "name", 0.5, "name"),), (f"D00000{number}",))
        for number, mention in enumerate(document.mentions)
    ]
    found = LinkedMention(Mention("0", (Span(17, 24),), "glucose", "drug"), (), ())
    return LinkedDocument(document, (*mentions, found))


@pytest.mark.parametrize(
    ("entry", "concept_ids"),
    [
        ([*DRUG, "Drug", "MESH:D008687"], ("D008687",)),
        ([*DRUG, "Drug", ""], ()),
        ({"start": 0, "end": 9, "label": "Drug", "kb_id": "D008687|D000001"}, ("D008687", "D000001")),
        ({"start": 0, "end": 9, "label": "Drug", "kb_id": ""}, ()),
        ({"start": 0, "end": 9, "label": "Drug", "concept_ids": ["D008687"]}, ("D008687",)),
        (
            {"offsets": [[0, 9]], "type": "Drug", "normalized": [{"db_name": "MeSH", "db_id": "D008687"}]},
            ("D008687",),
        ),
        ({"offsets": [[0, 9]], "type": "Drug", "normalized": [{"db_name": "MESH", "db_id": "-1"}]}, ()),
        (
            {"offsets": [[0, 9]], "type": "Drug", "normalized": [{"db_name": "CHEBI", "db_id": 6801}]},
            ("CHEBI:6801",),
        ),
    ],
)
def test_concept_ids_of_other_tools_are_read(
    tmp_path: Path, entry: Any, concept_ids: tuple[str, ...]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"text": TEXT, "entities": [entry]}), encoding="utf-8")
    (document,) = open_corpus(path)
    assert [mention.concept_ids for mention in document.mentions] == [concept_ids]


@pytest.mark.parametrize(
    ("more", "key", "type"),
    [
        ({"ner": [{"begin": 0, "end": 9, "label": "Drug"}]}, "ner", "drug"),
        ({"gold": {"chemicals": [[0, 9, "Drug"]]}}, "gold", "drug"),
        ({"entities": [{"text": "Metformin", "type": "Drug"}]}, "entities", "drug"),
        (
            {"annotations": [{"result": [{"value": {"start": 0, "end": 9, "labels": ["Drug"]}}]}]},
            "annotations",
            "drug",
        ),
        ({"spans": {"sc": [{"start": 0, "end": 9, "label": "Drug"}]}}, "spans", "drug"),
        ({"tracks": [{"denotations": [{"span": {"begin": 0, "end": 9}, "obj": "Drug"}]}]}, "tracks", "drug"),
        ({"mentions": [], "entities": PAIRS}, "entities", "drug"),
        ({"mentions": [{"start": 0, "stop": 9}], "label": PAIRS}, "label", "drug"),
        ({"entities": PAIRS[:1], "spans": PAIRS}, "spans", "drug"),
        (
            {
                "passages": [
                    {
                        "offset": 0,
                        "text": TEXT,
                        "annotations": [{"infons": {"type": "Drug"}, "locations": []}],
                    }
                ]
            },
            "passages[].annotations",
            "drug",
        ),
    ],
)
def test_other_annotations_are_reported_once(
    tmp_path: Path, more: dict[str, Any], key: str, type: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text((json.dumps({"text": TEXT, **more}) + "\n") * 3, encoding="utf-8")
    with pytest.raises(MentionError, match="looks like annotations, which are not read"):
        list(open_corpus(path))
    skipped: list[InputError] = []
    assert len(list(open_corpus(path).documents(skipped.append))) == 3
    (error,) = skipped
    assert isinstance(error, MentionError)
    assert f"line 1: the key {key!r} looks like annotations" in str(error)
    assert error.type == type


@pytest.mark.parametrize(
    "more",
    [
        {"label": "positive"},
        {"label": ["positive", "urgent"], "entities": []},
        {"labels": [[0.5, 0.25, 0.25]]},
        {"cats": {"positive": 1.0}},
        {"sentences": [{"start": 0, "end": 43}], "tokens": [{"id": 0, "start": 0, "end": 9, "tag": "NN"}]},
        {"meta": {"spans": 2, "authors": [{"name": "A", "type": "person"}]}},
        {"entities": None, "spans": "none", "annotations": 0},
        {"mentions": [{"start": 0, "stop": 9, "type": "Drug"}], "entities": PAIRS[:1]},
    ],
)
def test_other_keys_are_no_annotations(tmp_path: Path, more: dict[str, Any]) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"id": "1", "text": TEXT, **more}), encoding="utf-8")
    (document,) = open_corpus(path)
    assert len(document.mentions) == len(more.get("mentions", []))
    assert json.loads(written("jsonl", document)) == {"id": "1", "text": TEXT, **more}


@pytest.mark.parametrize(
    ("key", "entry", "problem"),
    [
        (
            "entities",
            {"start_offset": 0, "label": "Drug"},
            r"missing required field `end_offset` - at `entities\[1\]`",
        ),
        ("label", ["0", 9, "Drug"], r"Expected `int`, got `str` - at `label\[1\]\[0\]`"),
        ("label", [0, 9, 5], r"Expected `str`, got `int` - at `label\[1\]\[2\]`"),
        ("entities", [0, 9, ["Drug"]], r"Expected `str`, got `array` - at `entities\[1\]\[2\]`"),
        ("spans", {"start": 0, "end": 9, "label": ["Drug"]}, r"got `array` - at `spans\[1\].label`"),
        ("spans", {"start": 0, "end": 9, "labels": ["a", "b"]}, r"length <= 1 - at `spans\[1\].labels`"),
        ("entities", {"offsets": [0, 9], "type": "Drug"}, r"got `int` - at `entities\[1\].offsets\[0\]`"),
        ("entities", {"offsets": [[0, 9]], "normalized": "D1"}, r"got `str` - at `entities\[1\].normalized`"),
        (
            "denotations",
            {"span": {"begin": 0}, "obj": "Drug"},
            r"missing .*`end` - at `denotations\[1\].span`",
        ),
        ("denotations", {"span": [0, 9], "obj": "Drug"}, r"got `array` - at `denotations\[1\].span`"),
    ],
)
def test_an_annotation_of_a_wrong_form_costs_that_annotation(
    tmp_path: Path, key: str, entry: Any, problem: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"text": TEXT, key: [[*DISEASE, "Disease"], entry]}), encoding="utf-8")
    with pytest.raises(MentionError, match=f"line 1: .*{problem}"):
        list(open_corpus(path))
    skipped: list[InputError] = []
    (document,) = open_corpus(path).documents(skipped.append)
    assert ([mention.type for mention in document.mentions], len(skipped)) == (["disease"], 1)


@pytest.mark.parametrize("entry", [[0, 9, ["Drug"]], [0, 9, None], [0, 9, {"label": "Drug"}]])
def test_annotations_that_all_have_a_wrong_form_are_reported(tmp_path: Path, entry: Any) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"text": TEXT, "entities": [entry]}), encoding="utf-8")
    with pytest.raises(MentionError, match=r"line 1: .*at `entities\[0\]\[2\]`"):
        list(open_corpus(path))
