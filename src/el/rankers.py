"""Rankers made of a model: retrieve names by vector, then let the model score them."""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from el.evaluation.queries import Query
from el.evaluation.rankings import Ranking, rank_concepts
from el.index.encode import by_length
from el.index.vectors import NameVectors, merge_best
from el.inputs import query_input
from el.models.base import RetrievalModel, inference_precision, supports_bf16
from el.models.qnet import QNets
from el.ontology import Ontology
from el.progress import progress

# Larger ones are slower where queries become q-nets: what lies between the steps leaves the cache.
_QUERY_BATCH = 32
# Names that a batch of q-nets scores at once, when it scores all of them: what lies between the layers
# then stays in the cache.
_NAME_BLOCK = 256
# Of these, so many are scored once more, exactly.
_RESCORED = 256


@dataclass(frozen=True)
class Retrieved:
    """What the first stage and the model made of B queries.

    Attributes:
        name_rows: (B, K) int64, the names that were retrieved.
        similarities: (B, K) float32, the dot products by which they were.
        scores: (B, K) float32, what the model scored them.
    """

    name_rows: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


class ModelRanker:
    """Ranks concepts by a model's scores of the names that its own vectors retrieve.

    For a bi-encoder the score is the dot product by which names were retrieved. For a Hypencoder it is
    the q-net's alone. Equal inputs are encoded and scored once.

    Args:
        model: encodes and scores; in evaluation mode.
        vectors: of the ontology's names, made by the model's passage tower.
        ontology: the concepts.
        retrieved: K, the names that the first stage retrieves.
        candidates: the only ids that may be ranked; None for all.
        description: shown with the progress; silent where "".
    """

    def __init__(
        self,
        model: RetrievalModel,
        vectors: NameVectors,
        ontology: Ontology,
        retrieved: int,
        candidates: Collection[str] | None = None,
        description: str = "",
    ) -> None:
        self.model = model
        self.vectors = vectors
        self.ontology = ontology
        self.retrieved = retrieved
        self.rows = None if candidates is None else ontology.rows_of_names(candidates)
        self.description = description

    def among(self, rows: npt.NDArray[np.int64]) -> "ModelRanker":
        """Returns this ranker for some of its names: (n,) int64 rows, ascending."""
        ranker = copy.copy(self)
        ranker.rows = rows if self.rows is None else np.intersect1d(rows, self.rows)
        return ranker

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts."""
        texts, positions = distinct_inputs(queries)
        found = self.retrieve(texts)
        rankings = rank_concepts(
            found.name_rows, found.scores, self.ontology.concept_of_name, self.ontology.ids, k
        )
        return [rankings[position] for position in positions]

    @torch.inference_mode()
    def retrieve(
        self, texts: Sequence[str], proposed: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Retrieved:
        """Retrieves names for texts, as `query_input` gives them, and scores them.

        Args:
            texts: B inputs.
            proposed: for each text, distinct name rows that are to be scored in any case, the most important
                first. They take the places of those retrieved last, so that the number stays the same.
        """
        batches = by_length([len(text) for text in texts], _QUERY_BATCH)
        vectors = torch.empty(len(texts), self.vectors.vectors.shape[1])
        for rows in batches:
            vectors[rows] = self.model.first_stage(*self._tokens([texts[row] for row in rows])).cpu()
        similarities, names = self.vectors.nearest(vectors, self.retrieved, self.rows, self.description)
        for query, rows in enumerate(proposed or ()):
            free = np.flatnonzero(~np.isin(names[query], rows))
            new = rows[~np.isin(rows, names[query])][: len(free)]
            places = free[len(free) - len(new) :]
            names[query, places] = new
            similarities[query, places] = (self.vectors.gather(new) @ vectors[query]).numpy()
        scores = np.empty(names.shape, dtype=np.float32)
        # Queries are encoded again, because the q-nets of all of them would fill the memory.
        for rows in batches:
            with inference_precision(self.model.device):
                queries = self.model.encode_queries(*self._tokens([texts[row] for row in rows]))
            scores[rows] = queries(self._gather(names[rows])).cpu().numpy()
        return Retrieved(names, similarities, scores)

    @torch.inference_mode()
    def rank_exhaustively(self, texts: Sequence[str], k: int) -> list[Ranking]:
        """Ranks all names by the q-nets' scores, without a first stage.

        Where the machine multiplies bf16 in hardware, all names are scored in bf16, and the best of them
        once more in float32.
        """
        rows = np.arange(len(self.vectors.vectors)) if self.rows is None else self.rows
        rankings: list[Ranking] = []
        with progress(self.description and f"{self.description}, all names", len(texts)) as advance:
            for start in range(0, len(texts), _QUERY_BATCH):
                batch = texts[start : start + _QUERY_BATCH]
                qnets = self.model.encode_queries(*self._tokens(batch))
                assert isinstance(qnets, QNets)
                names = self._best_of_all(qnets, rows)
                scores = qnets(self._gather(names)).cpu().numpy()
                rankings += rank_concepts(names, scores, self.ontology.concept_of_name, self.ontology.ids, k)
                advance(len(batch))
        return rankings

    def _best_of_all(self, qnets: QNets, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns (B, K) rows of the names that the q-nets score best."""
        precision = torch.bfloat16 if supports_bf16(self.model.device) else torch.float32
        fast = qnets.to(precision)
        best = torch.full((len(qnets), min(_RESCORED, len(rows))), -torch.inf)
        found = torch.zeros(best.shape, dtype=torch.int64)
        for start in range(0, len(rows), _NAME_BLOCK):
            block = rows[start : start + _NAME_BLOCK]
            scores = fast(self._gather(block).to(precision)).float().cpu()
            best, found = merge_best(best, found, scores, torch.from_numpy(np.ascontiguousarray(block)))
        return found.numpy()

    def _gather(self, rows: npt.NDArray[np.int64]) -> Tensor:
        return self.vectors.gather(rows).to(self.model.device)

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        encoding = self.model.tokenize(texts)
        return encoding["input_ids"], encoding["attention_mask"]


def distinct_inputs(queries: Sequence[Query]) -> tuple[list[str], list[int]]:
    """Returns the distinct inputs of queries, and for each query the place of its own among them.

    A mention that its document introduces as an abbreviation is written out.
    """
    texts = [query_input(query.expanded, query.left, query.right) for query in queries]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(places), [places[text] for text in texts]
