"""A system's figures: what is asked of it, what it retrieves, and what it does with NIL mentions."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from el.corpus.types import Document, Mention, Passage, Span
from el.evaluation.rows import Seen
from el.evaluation.run import Split, evaluate
from el.linking.query import Query
from el.linking.ranking import Ranking
from tests.tiny import tiny_protocol

TEXT = "aspirin, fever, ache, thing"
FULL = tiny_protocol(bootstrap_samples=10)
MESH_IDS = replace(FULL, name="mesh_ids", mentions="mesh_ids")


def mention(number: int, text: str, *gold: str) -> Mention:
    start = TEXT.index(text)
    return Mention(str(number), (Span(start, start + len(text)),), text, "chemical", gold)


class Fixed:
    """Answers from a table; nothing where the table has nothing."""

    def __init__(self, answers: dict[str, tuple[str, ...]]) -> None:
        self.answers = answers
        self.asked: list[int] = []
        self.texts: list[str] = []

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        self.asked.append(k)
        self.texts += [query.text for query in queries]
        found = [self.answers.get(query.text, ())[:k] for query in queries]
        return [Ranking(ids, tuple(-float(place) for place in range(len(ids)))) for ids in found]


@pytest.fixture
def split() -> Split:
    mentions = (
        mention(1, "aspirin", "D1"),
        mention(2, "fever", "D2"),
        mention(3, "ache"),
        mention(4, "thing"),
    )
    document = Document("7", (Passage("title", 0, TEXT),), mentions)
    return Split("test", [document], Seen(frozenset(), frozenset()))


def test_recall_is_of_all_that_was_retrieved(split: Split) -> None:
    ranker = Fixed({"aspirin": ("D1",), "fever": ("D7", "D8", "D9", "D2")})
    metrics, predictions = evaluate("s", lambda _: ranker, split, FULL, 0, 4)
    assert ranker.asked[0] == 4
    # The fourth of the retrieved is found, but no hit among the first two.
    assert metrics["full/s/all/recall@4"] == 1.0
    assert metrics["full/s/all/accuracy@2"] == 0.5
    assert [prediction.gold for prediction in predictions] == [("D1",), ("D2",)]
    metrics, _ = evaluate("s", lambda _: ranker, split, FULL, 0, 3)
    assert metrics["full/s/all/recall@3"] == 0.5
    metrics, _ = evaluate("s", lambda _: ranker, split, FULL, 0)
    assert not any("recall" in key for key in metrics)


def test_nil_mentions_are_scored_apart(split: Split) -> None:
    metrics, predictions = evaluate("s", lambda _: Fixed({"ache": ("D3",)}), split, FULL, 0)
    assert metrics["full/s/nil/count"] == 2
    assert metrics["full/s/nil/accuracy@1"] == 0.5
    assert len(predictions) == metrics["full/s/all/count"] == 2


def test_a_system_sees_mentions_that_the_protocol_does_not_score(split: Split) -> None:
    (document,) = split.documents
    aspirin, fever, *nil = document.mentions
    ids = replace(aspirin, concept_ids=("D000001",)), replace(fever, concept_ids=("OMIM:104300",))
    split = replace(split, documents=[replace(document, mentions=(*ids, *nil))])
    ranker = Fixed({"aspirin": ("D000001",), "ache": ("D3",)})
    metrics, predictions = evaluate("s", lambda _: ranker, split, MESH_IDS, 0, 4)
    assert ranker.texts == ["aspirin", "ache", "thing", "fever"]
    assert [prediction.gold for prediction in predictions] == [("D000001",)]
    assert (metrics["mesh_ids/s/all/count"], metrics["mesh_ids/s/all/accuracy@1"]) == (1, 1.0)
    assert (metrics["mesh_ids/s/nil/count"], metrics["mesh_ids/s/nil/accuracy@1"]) == (2, 0.5)


def test_without_mentions_there_are_no_shares(split: Split) -> None:
    protocol = replace(MESH_IDS, rows=("all", "chemical"))
    metrics, predictions = evaluate("s", lambda _: Fixed({}), replace(split, documents=[]), protocol, 0, 4)
    assert metrics == {"mesh_ids/s/all/count": 0, "mesh_ids/s/chemical/count": 0}
    assert predictions == []
