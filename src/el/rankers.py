"""Rankers made of a model: retrieve names by vector, then let the model score them."""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.evaluation.queries import Query
from el.evaluation.rankings import Ranking, rank_concepts
from el.index.lengths import by_length
from el.index.vectors import NameVectors
from el.inputs import query_input
from el.ontology import Ontology
from el.progress import progress
from el.search.engine import Engine, Generated

# Mentions that are encoded and scored at once. With more, what lies between the layers leaves the cache.
_QUERY_BATCH = 32
# More names are scored where one of them may be of one of as many of the best concepts.
_SURE = 10
# Of what names of a similarity score, so many standard deviations above the mean are thought possible.
_DEVIATIONS = 2.0


@dataclass(frozen=True)
class Retrieved:
    """What the first stage and the model made of B queries.

    Attributes:
        name_rows: (B, K) int64, the names that were retrieved.
        similarities: (B, K) float32, the dot products by which they were.
        scores: (B, K) float32, what the model scored them; -inf where it did not.
    """

    name_rows: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


class ModelRanker:
    """Ranks concepts by a model's scores of the names that its own vectors retrieve.

    For a bi-encoder the score is the dot product by which names were retrieved. For a Hypencoder it is
    the q-net's alone. `rank` encodes and scores equal inputs once.

    Args:
        engine: encodes and scores.
        vectors: of the ontology's names, made by the model's passage tower.
        ontology: the concepts.
        retrieved: K, the names that the first stage retrieves.
        first: how many of them are scored in any case, more where it takes them; see `score_in_steps`.
            All are, if None.
        candidates: the only ids that may be ranked, by an exact search; None for all, by the graph.
        description: shown with the progress; silent where "".
    """

    def __init__(
        self,
        engine: Engine,
        vectors: NameVectors,
        ontology: Ontology,
        retrieved: int,
        candidates: Collection[str] | None = None,
        description: str = "",
        first: int | None = None,
    ) -> None:
        self.engine = engine
        self.vectors = vectors
        self.ontology = ontology
        self.retrieved = retrieved
        self.rows = None if candidates is None else ontology.rows_of_names(candidates)
        self.description = description
        self.first = max(min(first or retrieved, retrieved), 1)

    def among(self, rows: npt.NDArray[np.int64]) -> "ModelRanker":
        """Returns this ranker for some of its names: (n,) int64 rows, ascending."""
        ranker = copy.copy(self)
        ranker.rows = rows if self.rows is None else np.intersect1d(rows, self.rows)
        return ranker

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts."""
        texts, positions = distinct_inputs(queries)
        found = self.retrieve(texts)
        scored = np.where(np.isfinite(found.scores), found.name_rows, -1)
        rankings = rank_concepts(scored, found.scores, self.ontology.concept_of_name, self.ontology.ids, k)
        return [rankings[position] for position in positions]

    def retrieve(
        self, texts: Sequence[str], proposed: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Retrieved:
        """Retrieves names for texts, as `query_input` gives them, and scores them.

        Args:
            texts: B inputs.
            proposed: for each text, distinct name rows that are to be scored in any case, the most important
                first. They come first; those retrieved last make room, so that the number stays the same.
        """
        width = min(self.retrieved, len(self.vectors) if self.rows is None else len(self.rows))
        names = np.empty((len(texts), width), dtype=np.int64)
        similarities, scores = (np.empty(names.shape, dtype=np.float32) for _ in range(2))
        with progress(self.description, len(texts)) as advance:
            for rows in by_length([len(text) for text in texts], _QUERY_BATCH):
                encoded = self.engine.encode([texts[row] for row in rows])
                near, found = self._nearest(encoded.vectors)
                if proposed is not None:
                    for place, row in enumerate(rows):
                        self._propose(encoded.vectors[place], proposed[row], found[place], near[place])
                similarities[rows], names[rows] = near, found
                generated = self.engine.generate(encoded)
                scores[rows] = score_in_steps(
                    self.engine,
                    self.vectors,
                    generated,
                    found,
                    self.ontology.concept_of_name[found],
                    near,
                    self.first,
                )
                advance(len(rows))
        return Retrieved(names, similarities, scores)

    def _nearest(
        self, vectors: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        if self.rows is None:
            return self.vectors.search(vectors, self.retrieved)
        return self.vectors.nearest(vectors, self.retrieved, self.rows)

    def _propose(
        self,
        vector: npt.NDArray[np.float32],
        proposed: npt.NDArray[np.int64],
        names: npt.NDArray[np.int64],
        similarities: npt.NDArray[np.float32],
    ) -> None:
        """Puts proposed names first, in place; the last of (K,) retrieved names make room for new ones."""
        proposed = proposed[: self.first]
        others = np.flatnonzero(~np.isin(names, proposed))[: len(names) - len(proposed)]
        names[:] = np.concatenate([proposed, names[others]])
        products = self.vectors.gather(proposed) @ vector
        similarities[:] = np.concatenate([products, similarities[others]])


def score_in_steps(
    engine: Engine,
    vectors: NameVectors,
    generated: Generated,
    names: npt.NDArray[np.int64],
    concepts: npt.NDArray[np.int64],
    similarities: npt.NDArray[np.float32],
    first: int,
) -> npt.NDArray[np.float32]:
    """Scores retrieved names, the later ones only where the scores of those before say that they may be best.

    A line is fitted to scores by similarity. Where even a name well above the line at the next similarity
    would be of none of the ten best concepts so far, scoring ends; otherwise as many names more are scored,
    and so on.

    Args:
        engine: scores.
        vectors: of the names.
        generated: for B mentions.
        names: (B, K) int64 name rows, the most similar first.
        concepts: (B, K) int64, the concept row of each.
        similarities: (B, K) float32, theirs.
        first: names that are scored in any case.

    Returns:
        (B, K) float32 scores, -inf for names that were not scored.
    """
    scores = np.full(names.shape, -np.inf, dtype=np.float32)
    unsure, start, stop = np.arange(len(names)), 0, min(first, names.shape[1])
    while True:
        own = generated if len(unsure) == len(names) else generated.of(unsure)
        scores[unsure, start:stop] = engine.score(own, vectors.gather(names[unsure, start:stop]))
        if stop == names.shape[1]:
            return scores
        possible = _possible(scores[unsure, :stop], similarities[unsure, : stop + 1])
        worst = [_last_of_best(scores[row, :stop], concepts[row, :stop]) for row in unsure]
        unsure = unsure[possible >= np.array(worst)]
        if not len(unsure):
            return scores
        start, stop = stop, min(2 * stop, names.shape[1])


def _last_of_best(scores: npt.NDArray[np.float32], concepts: npt.NDArray[np.int64]) -> float:
    """The score of the last of the best concepts, of (M,) names; -inf where there are fewer concepts."""
    seen: set[int] = set()
    for place in np.argsort(-scores).tolist():
        seen.add(int(concepts[place]))
        if len(seen) == _SURE:
            return float(scores[place])
    return -np.inf


def _possible(
    scores: npt.NDArray[np.float32], similarities: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """What the next name may score, (B,); given (B, M) scores and (B, M + 1) similarities, its own last."""
    known = similarities[:, :-1]
    mean, middle = scores.mean(axis=1), known.mean(axis=1)
    x, y = known - middle[:, None], scores - mean[:, None]
    xx, xy, yy = (np.einsum("bm,bm->b", *pair) for pair in ((x, x), (x, y), (y, y)))
    # Equal similarities tell nothing of a slope.
    slopes = xy / np.maximum(xx, np.finfo(np.float32).tiny)
    deviations = np.sqrt(np.maximum(yy - slopes * xy, 0) / y.shape[1])
    possible: npt.NDArray[np.float32] = (
        mean + slopes * (similarities[:, -1] - middle) + _DEVIATIONS * deviations
    )
    return possible


def distinct_inputs(queries: Sequence[Query]) -> tuple[list[str], list[int]]:
    """Returns the distinct inputs of queries, and for each query the place of its own among them.

    A mention that its document introduces as an abbreviation is written out.
    """
    texts = [query_input(query.expanded, query.left, query.right) for query in queries]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(places), [places[text] for text in texts]
