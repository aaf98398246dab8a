"""Rankings of concepts, and the contract of everything that ranks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from el.linking.query import Query


@dataclass(frozen=True, slots=True)
class Ranking:
    """Concepts of one query, best first; equal scores in the order of their ids, each id once.

    Attributes:
        concept_ids: the concepts' ids; may be empty.
        scores: one each, higher is better; comparable within one ranking only.
    """

    concept_ids: tuple[str, ...]
    scores: tuple[float, ...]


class Ranker(Protocol):
    """Whatever ranks concepts for queries."""

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts, without looking at `query.gold`."""
        ...


def rank_concepts(
    name_rows: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    concept_of_name: npt.NDArray[np.int64],
    ids: Sequence[str],
    k: int,
) -> list[Ranking]:
    """Turns scored names into ranked concepts; a concept scores as its best name does.

    Args:
        name_rows: (B, K) int64, name rows in any order; negative where a search found fewer than K.
        scores: (B, K) float32, higher is better.
        concept_of_name: (N,) int64, the concept row of each name row.
        ids: the C concepts' ids.
        k: the most concepts to return a query.

    Returns:
        B rankings, equal scores in the order of the ids.
    """
    return [
        _rank_row(concept_of_name[rows[rows >= 0]], row_scores[rows >= 0], ids, k)
        for rows, row_scores in zip(name_rows, scores, strict=True)
    ]


def _rank_row(
    concepts: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], ids: Sequence[str], k: int
) -> Ranking:
    unique, position = np.unique(concepts, return_inverse=True)
    best = np.full(len(unique), -np.inf, dtype=scores.dtype)
    np.maximum.at(best, position, scores)
    return rank_scores(unique, best, ids, k)


def rank_scores(
    concept_rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], ids: Sequence[str], k: int
) -> Ranking:
    """Ranks (n,) int64 distinct concept rows by their (n,) float32 scores and keeps the first `k`."""
    if len(concept_rows) > k:
        # All that tie with the k-th stay until the ids have decided.
        kept = scores >= np.partition(scores, -k)[-k]
        concept_rows, scores = concept_rows[kept], scores[kept]
    return make_ranking(
        {ids[row]: score for row, score in zip(concept_rows.tolist(), scores.tolist(), strict=True)}, k
    )


def make_ranking(scores: dict[str, float], k: int) -> Ranking:
    """Ranks concept ids by score, equal scores in the order of the ids, and keeps the first `k`."""
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
    return Ranking(tuple(concept_id for concept_id, _ in ranked), tuple(score for _, score in ranked))
