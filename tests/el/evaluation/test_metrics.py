import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from el.evaluation.metrics import (
    bootstrap_means,
    flat_metrics,
    gold_ranks,
    hits,
    paired_bootstrap,
    reciprocal_ranks,
)
from el.evaluation.predictions import Prediction
from tests.tiny import tiny_protocol

PROTOCOL = dataclasses.replace(
    tiny_protocol(("all", "chemical"), bootstrap_samples=50), retrieved=6, cutoffs=(1, 2, 6)
)

IDS = [f"D{i}" for i in range(8)]


@st.composite
def predictions_of(draw: st.DrawFn) -> list[Prediction]:
    count = draw(st.integers(1, 12))
    return [
        Prediction(
            query_id=f"q{number}",
            document_id=draw(st.sampled_from(["a", "b", "c"])),
            gold=tuple(draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True))),
            rows=draw(st.sampled_from([("all",), ("all", "chemical")])),
            ranked=tuple(draw(st.lists(st.sampled_from(IDS), max_size=8, unique=True))),
            scores=(),
        )
        for number in range(count)
    ]


def prediction(gold: str, ranked: str, document: str = "a") -> Prediction:
    return Prediction("q", document, tuple(gold.split()), ("all",), tuple(ranked.split()), ())


def plain_reciprocal_rank(p: Prediction) -> float:
    retrieved = p.ranked[: PROTOCOL.retrieved]
    ranks = [retrieved.index(concept_id) + 1 for concept_id in p.gold if concept_id in retrieved]
    return 1 / min(ranks) if ranks else 0.0


def test_the_rank_is_that_of_the_first_gold_id() -> None:
    predictions = [
        prediction("D1", "D1 D2"),
        prediction("D1 D2", "D3 D2 D1"),
        prediction("D1", "D2 D3 D4 D1"),
        prediction("D1", ""),
    ]
    assert gold_ranks(predictions, 3).tolist() == [1, 2, 0, 0]
    assert gold_ranks(predictions, 4).tolist() == [1, 2, 4, 0]


def test_hits_and_reciprocal_ranks() -> None:
    ranks = np.array([1, 2, 0, 4])
    assert hits(ranks, 1).tolist() == [1, 0, 0, 0]
    assert hits(ranks, 2).tolist() == [1, 1, 0, 0]
    assert reciprocal_ranks(ranks).tolist() == [1, 0.5, 0, 0.25]


@given(predictions_of())
@settings(max_examples=30)
def test_metrics_agree_with_plain_ones(predictions: list[Prediction]) -> None:
    metrics = flat_metrics(PROTOCOL, "naive", predictions)
    for row in PROTOCOL.rows:
        members = [p for p in predictions if row in p.rows]
        assert metrics[f"full/naive/{row}/count"] == len(members)
        if not members:
            assert f"full/naive/{row}/mrr" not in metrics
            continue
        for k in PROTOCOL.cutoffs:
            accuracy = sum(bool(set(p.gold) & set(p.ranked[:k])) for p in members) / len(members)
            assert metrics[f"full/naive/{row}/accuracy@{k}"] == pytest.approx(accuracy, abs=1e-6)
        total = sum(plain_reciprocal_rank(p) for p in members)
        assert metrics[f"full/naive/{row}/mrr"] == pytest.approx(total / len(members), abs=1e-6)


@given(predictions_of())
@settings(max_examples=30)
def test_accuracy_grows_with_k_and_bounds_the_mean_reciprocal_rank(predictions: list[Prediction]) -> None:
    metrics = flat_metrics(PROTOCOL, "s", predictions)
    first, second, last = (metrics[f"full/s/all/accuracy@{k}"] for k in (1, 2, 6))
    assert 0 <= first <= second <= last <= 1
    assert first <= metrics["full/s/all/mrr"] <= last


@given(predictions_of(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_queries_does_not_matter(predictions: list[Prediction], shuffler: random.Random) -> None:
    shuffled = list(predictions)
    shuffler.shuffle(shuffled)
    assert flat_metrics(PROTOCOL, "s", shuffled) == pytest.approx(
        flat_metrics(PROTOCOL, "s", predictions), abs=2e-6
    )


@given(predictions_of())
@settings(max_examples=30)
def test_intervals_lie_between_the_worst_and_the_best_document(predictions: list[Prediction]) -> None:
    metrics = flat_metrics(PROTOCOL, "s", predictions)
    by_document: dict[str, list[float]] = {}
    for p in predictions:
        by_document.setdefault(p.document_id, []).append(float(p.ranked[:1] in [(g,) for g in p.gold]))
    means = [sum(values) / len(values) for values in by_document.values()]
    lo, hi = metrics["full/s/all/accuracy@1_lo"], metrics["full/s/all/accuracy@1_hi"]
    assert min(means) - 1e-6 <= lo <= hi <= max(means) + 1e-6


def test_keys_and_repeatability() -> None:
    predictions = [prediction("D1", "D1", "a"), prediction("D1", "D2", "b"), prediction("D1", "D2 D1", "c")]
    metrics = flat_metrics(PROTOCOL, "bi_encoder", predictions)
    names = ["accuracy@1", "accuracy@2", "accuracy@6", "mrr"]
    assert set(metrics) == {"full/bi_encoder/chemical/count"} | {
        f"full/bi_encoder/all/{name}"
        for name in ["count", *(f"{name}{end}" for name in names for end in ("", "_lo", "_hi"))]
    }
    assert metrics["full/bi_encoder/all/accuracy@1"] == 0.333333
    assert metrics["full/bi_encoder/all/mrr"] == 0.5
    assert (
        metrics["full/bi_encoder/all/accuracy@1_lo"] < 0.333333 < metrics["full/bi_encoder/all/accuracy@1_hi"]
    )
    assert flat_metrics(PROTOCOL, "bi_encoder", predictions) == metrics


def test_resamples_draw_whole_documents() -> None:
    values = np.array([[1.0], [1.0], [1.0], [0.0]])
    means = bootstrap_means(values, ["a", "a", "a", "b"], 200, 0)
    # Twice "a", twice "b", or one of each with their four values.
    assert means.shape == (200, 1)
    assert set(np.round(means[:, 0], 6)) == {0.0, 0.75, 1.0}


def test_resampling_has_the_spread_of_a_mean_of_documents() -> None:
    generator = np.random.default_rng(1)
    values = generator.random(400)
    documents = [str(number) for number in range(400)]
    means = bootstrap_means(values[:, np.newaxis], documents, 4000, 0)[:, 0]
    assert means.mean() == pytest.approx(values.mean(), abs=0.002)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_the_seed_decides_the_resamples() -> None:
    values = np.arange(20.0)[:, np.newaxis]
    documents = [str(number) for number in range(20)]
    assert np.array_equal(
        bootstrap_means(values, documents, 10, 3), bootstrap_means(values, documents, 10, 3)
    )
    assert not np.array_equal(
        bootstrap_means(values, documents, 10, 3), bootstrap_means(values, documents, 10, 4)
    )


def test_paired_bootstrap_finds_a_clear_difference() -> None:
    better, worse = np.ones(60), np.tile([1.0, 0.0], 30)
    documents = [str(number // 3) for number in range(60)]
    found = paired_bootstrap(better, worse, documents, samples=999)
    assert found.difference == 0.5
    assert 0 < found.lo < 0.5 < found.hi < 1
    assert found.p == pytest.approx(2 / 1000)
    mirrored = paired_bootstrap(worse, better, documents, samples=999)
    assert (mirrored.difference, mirrored.lo, mirrored.hi) == (-found.difference, -found.hi, -found.lo)
    assert mirrored.p == found.p


def test_paired_bootstrap_of_equal_systems() -> None:
    values = np.array([1.0, 0.0, 1.0])
    found = paired_bootstrap(values, values, ["a", "b", "c"], samples=100)
    assert (found.difference, found.lo, found.hi, found.p) == (0, 0, 0, 1)


def test_paired_bootstrap_counts_documents_not_mentions() -> None:
    # One document makes all the difference, with however many mentions.
    a, b = np.ones(101), np.concatenate([np.zeros(100), np.ones(1)])
    documents = ["large"] * 100 + ["small"]
    assert paired_bootstrap(a, b, documents).p > 0.2
