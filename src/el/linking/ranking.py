"""Rankings of concepts, and the contract of rankers, which evaluation relies on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from el.linking.query import Query


@dataclass(frozen=True, slots=True)
class Ranking:
    """The concepts of one query, best first. Equal scores are in the order of the ids; each id occurs once.

    Attributes:
        concept_ids: the concepts' ids; may be empty.
        scores: one score per id; higher is better. Scores of different rankings are not comparable.
    """

    concept_ids: tuple[str, ...]
    scores: tuple[float, ...]


class Ranker(Protocol):
    """The contract of everything that ranks concepts for queries."""

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking per query, of at most `k` concepts. Must not read `query.gold`."""
        ...


def rank_concepts(
    name_rows: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    concept_of_name: npt.NDArray[np.int64],
    ids: Sequence[str],
    k: int,
) -> list[Ranking]:
    """Turns scored names into ranked concepts. A concept has the score of its best name.

    Args:
        name_rows: (B, K) int64, name rows in any order; negative if a search found fewer than K names.
        scores: (B, K) float32, higher is better.
        concept_of_name: (N,) int64, the concept row of each name row.
        ids: the ids of the C concepts.
        k: the most concepts to return per query.

    Returns:
        B rankings; equal scores are in the order of the ids.
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
        # All rows that tie with the k-th are kept here; `make_ranking` chooses among them by id.
        kept = scores >= np.partition(scores, -k)[-k]
        concept_rows, scores = concept_rows[kept], scores[kept]
    return make_ranking(
        {ids[row]: score for row, score in zip(concept_rows.tolist(), scores.tolist(), strict=True)}, k
    )


def make_ranking(scores: dict[str, float], k: int) -> Ranking:
    """Ranks concept ids by score and keeps the first `k`. Equal scores are in the order of the ids."""
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
    return Ranking(tuple(concept_id for concept_id, _ in ranked), tuple(score for _, score in ranked))
