"""A ranker made from a model: retrieves names by their vectors, then lets the model score them."""

import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.base.progress import progress
from el.index.graph_index import open_index
from el.index.vectors import NameVectors
from el.linking.query import Query
from el.linking.ranking import Ranking, rank_concepts
from el.ontology.ontology import Ontology
from el.runtime.engine import Engine


@dataclass(frozen=True)
class Retrieved:
    """The names that the first stage retrieved for B queries, and their scores.

    Attributes:
        name_rows: (B, K) int64, the names that were retrieved.
        similarities: (B, K) float32, the dot products by which they were retrieved.
        scores: (B, K) float32, the scores of the model.
    """

    name_rows: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


class ModelRanker:
    """Ranks concepts by a model's scores of the names that the model's vectors retrieve.

    For a bi-encoder the score is the dot product by which a name was retrieved. For a Hypencoder it is the
    output of the q-net alone. `rank` encodes and scores equal inputs once.

    Args:
        engine: the model, ready to encode and score.
        vectors: the vectors of the ontology's names, made by the model's passage tower.
        ontology: the concepts.
        retrieved: K, the number of names that the first stage retrieves.
        candidates: the only ids that may be ranked, found by an exact search; None for all ids, found by the
            graph.
        description: the text of the progress bar; "" shows none.
    """

    def __init__(
        self,
        engine: Engine,
        vectors: NameVectors,
        ontology: Ontology,
        retrieved: int,
        candidates: Collection[str] | None = None,
        description: str = "",
    ) -> None:
        self.engine = engine
        self.vectors = vectors
        self.index = open_index(vectors)
        self.ontology = ontology
        self.retrieved = retrieved
        self.rows = None if candidates is None else ontology.rows_of_names(candidates)
        self.description = description

    def among(self, rows: npt.NDArray[np.int64]) -> "ModelRanker":
        """Returns this ranker restricted to some names: (n,) int64 rows, ascending."""
        ranker = copy.copy(self)
        ranker.rows = rows if self.rows is None else np.intersect1d(rows, self.rows)
        return ranker

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking per query, of at most `k` concepts."""
        texts, positions = distinct_inputs(queries)
        found = self.retrieve(texts, alone=range(len(texts)) if len(texts) == 1 else ())
        concepts, ids = self.ontology.concept_of_name, self.ontology.ids
        rankings = rank_concepts(found.name_rows, found.scores, concepts, ids, k)
        return [rankings[position] for position in positions]

    def retrieve(
        self,
        texts: Sequence[str],
        proposed: Sequence[npt.NDArray[np.int64]] | None = None,
        alone: Collection[int] = (),
    ) -> Retrieved:
        """Retrieves names for texts and scores them.

        Args:
            texts: B inputs, as `Query.input` gives them.
            proposed: for each text, distinct name rows that are scored in any case, the most important first.
                They come first in the result and replace the names that were retrieved last, so K does not
                change.
            alone: the numbers of the texts that go through the networks alone; see `Engine.encode`.
        """
        width = min(self.retrieved, len(self.vectors) if self.rows is None else len(self.rows))
        names = np.empty((len(texts), width), dtype=np.int64)
        similarities, scores = (np.empty(names.shape, dtype=np.float32) for _ in range(2))
        with progress(self.description, len(texts)) as advance:
            tokens = self.engine.tokenize(texts)
            for rows, is_alone in self._batches(tokens, alone):
                encoded = self.engine.encode([tokens[row] for row in rows], is_alone)
                near, found = self.index.search(encoded.vectors, self.retrieved, self.rows)
                if proposed is not None:
                    for place, row in enumerate(rows):
                        self._propose(encoded.vectors[place], proposed[row], found[place], near[place])
                similarities[rows], names[rows] = near, found
                scores[rows] = self.engine.score(encoded, self.vectors.gather_half(found))
                advance(len(rows))
        return Retrieved(names, similarities, scores)

    def _batches(
        self, tokens: Sequence[Sequence[int]], alone: Collection[int]
    ) -> Iterator[tuple[list[int], bool]]:
        """Yields batches of texts, as their numbers, and whether each is a single text that goes alone."""
        yield from (([number], True) for number in alone)
        others = [number for number in range(len(tokens)) if number not in alone]
        for batch in self.engine.batches([tokens[number] for number in others]):
            yield [others[place] for place in batch], False

    def _propose(
        self,
        vector: npt.NDArray[np.float32],
        proposed: npt.NDArray[np.int64],
        names: npt.NDArray[np.int64],
        similarities: npt.NDArray[np.float32],
    ) -> None:
        """Puts proposed names first, in place. New names replace the last of the (K,) retrieved names."""
        proposed = proposed[: len(names)]
        others = np.flatnonzero(~np.isin(names, proposed))[: len(names) - len(proposed)]
        names[:] = np.concatenate([proposed, names[others]])
        products = self.vectors.gather(proposed) @ vector
        similarities[:] = np.concatenate([products, similarities[others]])


def distinct_inputs(queries: Sequence[Query]) -> tuple[list[str], list[int]]:
    """Returns the distinct inputs of queries, and for each query the place of its input among them.

    See `Query.input`.
    """
    texts = [query.input for query in queries]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(places), [places[text] for text in texts]
