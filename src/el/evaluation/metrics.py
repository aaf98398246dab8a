"""Accuracy@k, mean reciprocal rank, and bootstrap intervals over documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.evaluation.predictions import Prediction
from el.evaluation.protocol import Protocol

# The ends of a 95 % percentile interval, in percent.
_PERCENTILES = (2.5, 97.5)
# Metrics are rounded to this number of decimals. Another value changes the files of results.
METRIC_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The difference between two systems on the same queries.

    Attributes:
        difference: the mean of the first system minus the mean of the second.
        lo: the lower end of the 95 % percentile interval.
        hi: the upper end of the interval.
        p: the two-sided p value of the hypothesis "no difference".
    """

    difference: float
    lo: float
    hi: float
    p: float


def gold_ranks(predictions: Sequence[Prediction], retrieved: int) -> npt.NDArray[np.int64]:
    """Returns the rank of the first gold id among the first `retrieved` ids of each prediction.

    Returns:
        (n,) int64, ranks from 1; 0 for a prediction without a gold id.
    """
    return np.array(
        [_gold_rank(prediction.gold, prediction.ranked[:retrieved]) for prediction in predictions],
        dtype=np.int64,
    )


def _gold_rank(gold: Sequence[str], ranked: Sequence[str]) -> int:
    return next((place for place, concept_id in enumerate(ranked, start=1) if concept_id in gold), 0)


def hits(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Returns (n,) float64: 1 for a rank from 1 to `k`, otherwise 0. The mean is accuracy@k."""
    return ((ranks >= 1) & (ranks <= k)).astype(np.float64)


def reciprocal_ranks(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns (n,) float64: 1 / rank; 0 for rank 0. The mean is the mean reciprocal rank."""
    return np.divide(1.0, ranks, out=np.zeros(len(ranks)), where=ranks > 0)


def bootstrap_means(
    values: npt.NDArray[np.float64], documents: Sequence[str], samples: int, seed: int
) -> npt.NDArray[np.float64]:
    """Returns means over resamples of whole documents (the bootstrap for clustered data).

    Mentions of one document are not independent, so the bootstrap draws documents instead of mentions. A
    resample has as many documents as there are, drawn with replacement, and all values of each (Efron &
    Tibshirani 1993, chapters 6 and 8).

    Args:
        values: (n, M) float64, M quantities of each of n queries, n > 0.
        documents: the document id of each query.
        samples: the number of resamples, S.
        seed: the seed of the resampling.

    Returns:
        (S, M) float64. The order of the queries changes it by rounding only.
    """
    unique, position = np.unique(np.asarray(documents), return_inverse=True)
    sums = np.zeros((len(unique), values.shape[1]))
    np.add.at(sums, position, values)
    counts = np.bincount(position, minlength=len(unique))
    generator = np.random.default_rng(seed)
    # (S, number of documents): how often each resample draws each document.
    draws = generator.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=samples)
    means: npt.NDArray[np.float64] = (draws @ sums) / (draws @ counts)[:, np.newaxis]
    return means


def paired_bootstrap(
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    documents: Sequence[str],
    samples: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """Compares two systems on the same queries by a paired bootstrap over documents.

    The p value is twice the smaller of two shares of resamples: those whose difference is 0 or less, and
    those whose difference is 0 or more. One is added to numerator and denominator, so that p is never 0
    (Davison & Hinkley 1997, section 4.2). Hence p is at least 2 / (samples + 1).

    Args:
        a: (n,) float64, the first system's value for each query, such as `hits`; n > 0.
        b: (n,) float64, the second system's values, in the same order.
        documents: the document id of each query.
        samples: the number of resamples.
        seed: the seed of the resampling.
    """
    differences = bootstrap_means((a - b)[:, np.newaxis], documents, samples, seed)[:, 0]
    lo, hi = np.percentile(differences, _PERCENTILES)
    tail = min(np.sum(differences <= 0), np.sum(differences >= 0))
    p = min(1.0, 2 * float(tail + 1) / (samples + 1))
    return PairedDifference(float(np.mean(a - b)), float(lo), float(hi), p)


def flat_metrics(protocol: Protocol, system: str, predictions: Sequence[Prediction]) -> dict[str, float]:
    """Returns the figures of one system, as `results/*/test.json` keeps them.

    Args:
        protocol: gives the rows, the cut-offs and the resampling.
        system: the system's name, such as "bi_encoder".
        predictions: the system's predictions for all queries of the protocol.

    Returns:
        For each row "<protocol>/<system>/<row>/count". For rows that are not empty also "accuracy@<k>" for
        each cut-off and "mrr", each with "_lo" and "_hi", the ends of its 95 % interval. An interval
        resamples the documents that have a query in the row. Values are rounded to 6 decimals.
    """
    metrics: dict[str, float] = {}
    for row in protocol.rows:
        members = [prediction for prediction in predictions if row in prediction.rows]
        for metric, value in _row_metrics(protocol, members).items():
            metrics[f"{protocol.name}/{system}/{row}/{metric}"] = value
    return metrics


def _row_metrics(protocol: Protocol, predictions: Sequence[Prediction]) -> dict[str, float]:
    metrics: dict[str, float] = {"count": len(predictions)}
    if not predictions:
        return metrics
    ranks = gold_ranks(predictions, protocol.retrieved)
    columns = {f"accuracy@{k}": hits(ranks, k) for k in protocol.cutoffs}
    columns["mrr"] = reciprocal_ranks(ranks)
    values = np.column_stack(list(columns.values()))
    documents = [prediction.document_id for prediction in predictions]
    means = bootstrap_means(values, documents, protocol.bootstrap_samples, protocol.bootstrap_seed)
    lows, highs = np.percentile(means, _PERCENTILES, axis=0)
    for metric, value, lo, hi in zip(columns, values.mean(axis=0), lows, highs, strict=True):
        metrics[metric] = round(float(value), METRIC_DECIMALS)
        metrics[f"{metric}_lo"] = round(float(lo), METRIC_DECIMALS)
        metrics[f"{metric}_hi"] = round(float(hi), METRIC_DECIMALS)
    return metrics
