"""Strict scores, counted by hand."""

import pytest

from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage, Span
from el.evaluation.mentions import figures, gold_spans, linked_tally, span_tally
from el.tagging.finder import Found

TEXT = "renal and hepatic failure by lithium, cold"


def mention(number: int, start: int, stop: int, kind: str, *ids: str, role: str = "single") -> Mention:
    return Mention(str(number), (Span(start, stop),), TEXT[start:stop], kind, ids, role=role)  # type: ignore[arg-type]


def document(*mentions: Mention) -> Document:
    return Document("d", (Passage("title", 0, TEXT),), mentions)


def linked(*mentions: tuple[Mention, str]) -> LinkedDocument:
    return LinkedDocument(document(), tuple(LinkedMention(m, (), (i,) if i else ()) for m, i in mentions))


def test_gold_is_composites_as_wholes_and_nil_too() -> None:
    own = document(
        Mention("0", (Span(0, 5), Span(18, 25)), "renal failure", "disease", ("D1",), role="part"),
        mention(1, 0, 25, "disease", "D1", "D2", role="composite"),
        mention(2, 10, 25, "disease", "D2", role="part"),
        mention(3, 29, 36, "chemical"),
        mention(4, 29, 36, "gene"),
    )
    assert gold_spans(own) == [Found(0, 25, "disease"), Found(29, 36, "chemical")]


def test_a_corpus_may_call_its_types_otherwise_and_annotate_one_kind_alone() -> None:
    own = document(mention(0, 0, 5, "specificdisease", "D1"), mention(1, 6, 9, "modifier", "D2"))
    found = mention(0, 0, 5, "disease"), mention(1, 29, 36, "chemical")
    assert gold_spans(own) == [Found(0, 5, "disease"), Found(6, 9, "disease")]
    flat = figures(span_tally([own], [found]))
    assert (flat["all/precision"], flat["all/recall"], flat["disease/f1"]) == (1.0, 0.5, flat["all/f1"])
    assert not any(key.startswith("chemical") for key in flat)
    tally = linked_tally([own], [linked((found[0], "D1"), (found[1], "D9"))])
    assert tally["mentions"].tolist() == [[2, 1, 1]]
    assert tally["documents"].tolist() == [[2, 1, 1]]


def test_start_stop_and_type_must_be_right() -> None:
    gold = [
        document(mention(0, 0, 5, "chemical"), mention(1, 6, 9, "disease")),
        document(mention(0, 0, 3, "disease")),
    ]
    found = [[mention(0, 0, 5, "disease"), mention(1, 6, 9, "disease"), mention(2, 10, 12, "chemical")], []]
    flat = figures(span_tally(gold, found))
    assert flat["all/precision"] == flat["all/recall"] == flat["all/f1"] == pytest.approx(1 / 3, abs=1e-6)
    assert (flat["disease/precision"], flat["disease/recall"]) == (0.5, 0.5)
    assert (flat["chemical/f1"], flat["all/count"]) == (0.0, 3)
    assert flat["all/f1_lo"] == 0.0 < flat["all/f1"] < flat["all/f1_hi"]


def test_documents_are_not_mixed() -> None:
    own = document(mention(0, 0, 5, "disease"))
    assert span_tally([own, document()], [[], own.mentions])["all"].tolist() == [[1, 0, 0], [0, 1, 0]]


def test_ids_of_mentions_and_documents() -> None:
    composite, cold = (
        mention(1, 0, 25, "disease", "D1", "D2", role="composite"),
        mention(2, 38, 42, "disease", "D3"),
    )
    own = document(composite, cold, mention(3, 29, 36, "chemical"))
    ours = linked(
        (mention(0, 0, 25, "disease"), "D2"),  # one of two
        (mention(1, 29, 36, "chemical"), "D4"),  # has no id
        (mention(2, 37, 42, "disease"), "D3"),  # begins too early
        (mention(3, 6, 9, "disease"), ""),  # no answer
    )
    tally = linked_tally([own], [ours])
    assert tally["mentions"].tolist() == [[2, 3, 1]]
    assert tally["documents"].tolist() == [[3, 3, 2]]
    assert tally["documents_disease"].tolist() == [[3, 2, 2]]
    assert tally["documents_chemical"].tolist() == [[0, 1, 0]]


def test_ids_of_documents_are_sets_of_one_kind() -> None:
    """A worked example of the evaluation by documents of BioCreative V: an id counts once for a document."""
    own = document(
        mention(0, 0, 5, "disease", "D1"),
        mention(1, 6, 9, "disease", "D1"),
        mention(2, 29, 36, "chemical", "D2"),
    )
    ours = linked(
        (mention(0, 10, 17, "disease"), "D1"),  # elsewhere in the document, but the right id
        (mention(1, 18, 25, "disease"), "D2"),  # right as a chemical only
        (mention(2, 29, 36, "chemical"), "D2"),
    )
    tally = linked_tally([own], [ours])
    assert tally["documents_disease"].tolist() == [[1, 2, 1]]
    assert tally["documents_chemical"].tolist() == [[1, 1, 1]]
    assert tally["documents"].tolist() == [[2, 3, 2]]


def test_of_nothing() -> None:
    assert figures(span_tally([document()], [[]]))["all/f1"] == 0.0
