"""Rankers of models against brute force over all names."""

import numpy as np
import pytest
import torch

from el.evaluation import exhaustive
from el.evaluation.exhaustive import rank_exhaustively
from el.index.vectors import NameVectors
from el.linking.query import Query
from el.linking.rankers import ModelRanker, distinct_inputs
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.tower import EncoderSource
from el.ontology.ontology import Ontology
from el.runtime.compile import make_engine
from tests.tiny import tiny_encoder, tiny_hypencoder, tiny_ontology, tiny_vectors

TEXTS = ["paracetamol", "acute liver failure", "colds", "lead poisoning", "headaches"]


def query(text: str, expanded: str = "", left: str = "", right: str = "") -> Query:
    return Query(text, "document", text, "disease", ("D0",), expanded or text, left, right)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return tiny_ontology()


@pytest.fixture(scope="module")
def vectors(
    source: EncoderSource, ontology: Ontology, tmp_path_factory: pytest.TempPathFactory
) -> NameVectors:
    return tiny_vectors(source, ontology, tmp_path_factory.mktemp("vectors"))


@pytest.fixture(params=["bi_encoder", "hypencoder"])
def model(request: pytest.FixtureRequest, source: EncoderSource) -> RetrievalModel:
    if request.param == "bi_encoder":
        return BiEncoder.from_encoder(source).eval()
    return tiny_hypencoder(source).eval()


@torch.inference_mode()
def scores_of(model: RetrievalModel, vectors: NameVectors, text: str) -> np.ndarray:  # type: ignore[type-arg]
    batch = model.tokenize([text])
    every = torch.from_numpy(vectors.gather(np.arange(len(vectors.vectors))))
    scores: np.ndarray = model.encode_queries(batch["input_ids"], batch["attention_mask"])(every)[0].numpy()  # type: ignore[type-arg]
    return scores


@torch.inference_mode()
def first_stage(model: RetrievalModel, vectors: NameVectors, text: str, k: int, rows: list[int]) -> list[int]:
    batch = model.tokenize([text])
    query_vector = model.encode_passages(batch["input_ids"], batch["attention_mask"])[0].numpy()
    similar = vectors.vectors[rows].astype(np.float32) @ query_vector
    return [rows[place] for place in np.argsort(-similar, kind="stable")[:k]]


def best_concepts(ontology: Ontology, scores: np.ndarray, rows: list[int]) -> dict[str, float]:  # type: ignore[type-arg]
    best: dict[str, float] = {}
    for row in rows:
        concept = ontology.ids[ontology.concept_of_name[row]]
        best[concept] = max(best.get(concept, -np.inf), float(scores[row]))
    return best


@pytest.mark.parametrize("candidates", [None, {"D000082", "D007854", "D003139", "D017114", "unknown"}])
def test_ranks_the_retrieved_names_by_the_models_scores(
    model: RetrievalModel, vectors: NameVectors, ontology: Ontology, candidates: set[str] | None
) -> None:
    ranker = ModelRanker(make_engine(model), vectors, ontology, 8, candidates)
    rankings = ranker.rank([query(text) for text in TEXTS], 5)
    rows = [
        row
        for row in range(len(ontology.name_texts))
        if candidates is None or ontology.ids[ontology.concept_of_name[row]] in candidates
    ]
    for text, ranking in zip(TEXTS, rankings, strict=True):
        retrieved = first_stage(model, vectors, text, 8, rows)
        best = best_concepts(ontology, scores_of(model, vectors, text), retrieved)
        assert len(ranking.concept_ids) == min(5, len(best))
        expected = sorted(best.values(), reverse=True)[:5]
        # Queries are encoded in bf16 where the machine has it.
        np.testing.assert_allclose(ranking.scores, expected, atol=0.05)
        for concept_id, score in zip(ranking.concept_ids, ranking.scores, strict=True):
            assert score == pytest.approx(best[concept_id], abs=0.05)


def test_values_do_not_depend_on_the_other_texts(
    source: EncoderSource, vectors: NameVectors, ontology: Ontology
) -> None:
    ranker = ModelRanker(make_engine(tiny_hypencoder(source).eval()), vectors, ontology, 8)
    # Of one length and of several, few and more than a batch holds.
    texts = ["cold", "c" * 20, "common cold", "a", *("x" * (number % 13 + 1) + "y" for number in range(40))]
    together = ranker.retrieve(texts)
    for part in (texts[:1], texts[:3], texts[2::-1], texts[5:30]):
        found = ranker.retrieve(part)
        places = [texts.index(text) for text in part]
        for ours, every in (
            (found.name_rows, together.name_rows),
            (found.similarities, together.similarities),
            (found.scores, together.scores),
        ):
            assert np.array_equal(ours, every[places])
    # Alone, values may differ in the last digits, and always in the same way.
    alone = ranker.retrieve(texts[:3], alone={0, 2})
    np.testing.assert_allclose(alone.scores, together.scores[:3], atol=0.05)
    assert np.array_equal(alone.scores[1], together.scores[1])
    assert np.array_equal(ranker.retrieve(texts[:1], alone={0}).scores[0], alone.scores[0])


def test_exhaustive_ranking_needs_no_first_stage(
    source: EncoderSource, vectors: NameVectors, ontology: Ontology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhaustive, "_NAME_BLOCK", 7)
    monkeypatch.setattr(exhaustive, "QUERY_BATCH", 2)
    model = tiny_hypencoder(source).eval()
    rankings = rank_exhaustively(model, vectors, ontology, TEXTS, 20)
    for text, ranking in zip(TEXTS, rankings, strict=True):
        best = best_concepts(ontology, scores_of(model, vectors, text), [*range(len(ontology.name_texts))])
        assert set(ranking.concept_ids) == set(best)
        np.testing.assert_allclose(ranking.scores, sorted(best.values(), reverse=True), atol=1e-3)


def test_exhaustive_ranking_keeps_the_best_of_each_block(
    source: EncoderSource, vectors: NameVectors, ontology: Ontology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhaustive, "_NAME_BLOCK", 7)
    # bf16 may swap the best with what scores nearly the same; not with the fifth.
    monkeypatch.setattr(exhaustive, "_RESCORED", 5)
    model = tiny_hypencoder(source).eval()
    rankings = rank_exhaustively(model, vectors, ontology, TEXTS, 1)
    for text, ranking in zip(TEXTS, rankings, strict=True):
        scores = scores_of(model, vectors, text)
        assert ranking.concept_ids == (ontology.ids[ontology.concept_of_name[scores.argmax()]],)


def test_answers_are_in_the_order_of_the_queries(
    model: RetrievalModel, vectors: NameVectors, ontology: Ontology
) -> None:
    ranker = ModelRanker(make_engine(model), vectors, ontology, 30)
    together = ranker.rank([query(text) for text in [*TEXTS, *TEXTS[::-1]]], 3)
    assert together[:5] == together[:4:-1]
    assert ranker.rank([query(text) for text in TEXTS[:3]], 3) == together[:3]


def test_equal_inputs_are_one() -> None:
    queries = [query("AKI", "acute kidney injury"), query("ARF"), query("acute kidney injury"), query("AKI")]
    texts, places = distinct_inputs(queries)
    assert texts == ["acute kidney injury", "ARF", "AKI"]
    assert places == [0, 1, 0, 2]
    texts, _ = distinct_inputs([query("AKI", "acute kidney injury", "with", "today")])
    assert texts == ["acute kidney injury : with [ acute kidney injury ] today"]


def test_gold_is_not_looked_at(model: RetrievalModel, vectors: NameVectors, ontology: Ontology) -> None:
    ranker = ModelRanker(make_engine(model), vectors, ontology, 5)
    one = ranker.rank([query("cold")], 3)
    other = ranker.rank([Query("q", "d", "cold", "other", ("D003080",), "cold")], 3)
    assert one == other


def test_proposed_names_are_scored_in_any_case(
    model: RetrievalModel, vectors: NameVectors, ontology: Ontology
) -> None:
    ranker = ModelRanker(make_engine(model), vectors, ontology, 5)
    plain = ranker.retrieve(["lead"]).name_rows[0].tolist()
    absent = [row for row in range(len(ontology.name_texts)) if row not in plain]
    # They come first, in their order, one that was retrieved too.
    proposed = np.array([absent[3], plain[-1], absent[0]])
    found = ranker.retrieve(["lead"], [proposed])
    assert found.name_rows[0].tolist() == [absent[3], plain[-1], absent[0], *plain[:2]]
    every = scores_of(model, vectors, "lead")
    np.testing.assert_allclose(found.scores[0], every[found.name_rows[0]], rtol=2e-2, atol=2e-2)
    batch = model.tokenize(["lead"])
    with torch.inference_mode():
        vector = model.retrieval_tower(batch["input_ids"], batch["attention_mask"])[0].numpy()
    expected = vectors.vectors[found.name_rows[0]].astype(np.float32) @ vector
    np.testing.assert_allclose(found.similarities[0], expected, rtol=1e-4, atol=1e-5)
    # More than there are places: the first of them.
    found = ranker.retrieve(["lead"], [np.array(absent)])
    assert found.name_rows[0].tolist() == absent[:5]


def test_a_ranker_among_some_names(model: RetrievalModel, vectors: NameVectors, ontology: Ontology) -> None:
    ranker = ModelRanker(make_engine(model), vectors, ontology, 5)
    preferred = ontology.first_name[:-1]
    found = ranker.among(preferred).retrieve(["cold"]).name_rows[0]
    assert set(found) <= set(preferred.tolist())
    # What was excluded before stays so, and the ranker itself is as it was.
    few = ModelRanker(make_engine(model), vectors, ontology, 5, {"D003139"}).among(preferred)
    assert few.retrieve(["cold"]).name_rows[0].tolist() == [ontology.name_rows("D003139")[0]]
    assert ranker.rows is None
