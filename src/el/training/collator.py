"""Turns pairs into tensors: queries, candidate names, and which candidates are positive or ignored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.models.scorer import Scorer
from el.ontology.ontology import Ontology
from el.training.pairs import Item, Pair

# Which items of a batch's other queries are candidates of a query.
InBatch = Literal["none", "first", "all"]


@dataclass(frozen=True)
class Candidates:
    """Which candidates a query is trained on.

    Attributes:
        own_items: how many of the query's own items are candidates, counted from the first.
        random_names: how many names are drawn from the whole ontology. All queries of a batch share them.
        in_batch: which items of the batch's other queries are candidates too: none, their first items (which
            are positives), or all.
    """

    own_items: int
    random_names: int
    in_batch: InBatch = "first"


class Collator:
    """Builds the tensors of one batch.

    Args:
        model: the model, whose tokenizer is used.
        ontology: gives ids, names, and random names.
        candidates: which candidates a query gets.
        vectors: the names' vectors, if the passage tower is frozen. None if names are encoded as text, with
            gradients.
        seed: the seed of the random names. A step draws the same names in a resumed training.
    """

    def __init__(
        self,
        model: RetrievalModel,
        ontology: Ontology,
        candidates: Candidates,
        vectors: NameVectors | None,
        seed: int,
    ) -> None:
        self.model = model
        self.ontology = ontology
        self.candidates = candidates
        self.vectors = vectors
        self.seed = seed

    def __call__(self, step: int, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        """Returns the batch of step `step`.

        A query's candidates are its own items, then the names that all queries of the batch share.

        Returns:
            For B queries of S tokens, K own items, R shared names, and M distinct names among all of these:

            query_ids, query_mask: (B, S) int64.
            own: (B, K) int64, the query's own items, as places among the distinct names.
            own_scores: (B, K) float32, the miner's scores of the own items.
            shared: (R,) int64, the shared names, as places among the distinct names.
            positive, ignored: (B, K + R) bool.
            passage_vectors: (M, D) float32, the distinct names, if the passage tower is frozen.
            passage_ids, passage_mask: (M, S') int64, the distinct names, if they are encoded as text.
        """
        own_items = [pair.items[: self.candidates.own_items] for pair in pairs]
        shared = self._batch_items(own_items)
        shared_items = [item for _, item in shared] + self._random_items(step)
        numbers: dict[tuple[str, int], int] = {}
        distinct: list[Item] = []
        for item in [item for items in own_items for item in items] + shared_items:
            if (item.concept_id, item.place) not in numbers:
                numbers[item.concept_id, item.place] = len(distinct)
                distinct.append(item)
        query = self.model.tokenize([pair.content for pair in pairs])
        positive, ignored = self._marks(pairs, own_items, shared_items)
        for place, (owner, _) in enumerate(shared):
            # The owner has this item among its own items already.
            ignored[owner, self.candidates.own_items + place] = True
        return {
            "query_ids": query["input_ids"],
            "query_mask": query["attention_mask"],
            "own": self._own(own_items, numbers),
            "own_scores": self._own_scores(own_items),
            "shared": torch.tensor(
                [numbers[item.concept_id, item.place] for item in shared_items], dtype=torch.int64
            ),
            "positive": positive,
            "ignored": ignored,
            **self._passages(distinct),
        }

    def _batch_items(self, own_items: Sequence[Sequence[Item]]) -> list[tuple[int, Item]]:
        """Returns (number of the query, item) of the items that a query shares with the others."""
        taken = {"none": 0, "first": 1, "all": self.candidates.own_items}[self.candidates.in_batch]
        return [(query, item) for query, items in enumerate(own_items) for item in items[:taken]]

    def _random_items(self, step: int) -> list[Item]:
        generator = np.random.default_rng([self.seed, step])
        rows = generator.integers(len(self.ontology.name_texts), size=self.candidates.random_names)
        concepts = self.ontology.concept_of_name[rows]
        places = rows - self.ontology.first_name[concepts]
        return [
            Item(self.ontology.ids[concept], int(place), self.ontology.name_texts[row], "negative")
            for row, concept, place in zip(rows, concepts, places, strict=True)
        ]

    def _own(self, own_items: Sequence[Sequence[Item]], numbers: dict[tuple[str, int], int]) -> Tensor:
        own = torch.zeros((len(own_items), self.candidates.own_items), dtype=torch.int64)
        for row, items in enumerate(own_items):
            own[row, : len(items)] = torch.tensor([numbers[item.concept_id, item.place] for item in items])
        return own

    def _own_scores(self, own_items: Sequence[Sequence[Item]]) -> Tensor:
        scores = torch.zeros((len(own_items), self.candidates.own_items))
        for row, items in enumerate(own_items):
            scores[row, : len(items)] = torch.tensor([item.score for item in items])
        return scores

    def _marks(
        self, pairs: Sequence[Pair], own_items: Sequence[Sequence[Item]], shared_items: Sequence[Item]
    ) -> tuple[Tensor, Tensor]:
        width = self.candidates.own_items
        positive = torch.zeros((len(pairs), width + len(shared_items)), dtype=torch.bool)
        ignored = torch.zeros_like(positive)
        for row, (pair, items) in enumerate(zip(pairs, own_items, strict=True)):
            positive[row, : len(items)] = torch.tensor([item.type == "positive" for item in items])
            # A query with fewer than K items has empty places.
            ignored[row, len(items) : width] = True
            # A shared name of one of the query's concepts is not a negative.
            ignored[row, width:] = torch.tensor(
                [item.concept_id in pair.concept_ids for item in shared_items]
            )
        return positive, ignored

    def _passages(self, items: Sequence[Item]) -> dict[str, Tensor]:
        if self.vectors is not None:
            return {"passage_vectors": torch.from_numpy(self.vectors.gather(name_rows(self.ontology, items)))}
        encoding = self.model.tokenize([item.content for item in items])
        return {"passage_ids": encoding["input_ids"], "passage_mask": encoding["attention_mask"]}


def candidate_scores(queries: Scorer, passages: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Returns the scores of a batch's candidates, (B, K + R). Every kind of model is scored here.

    Args:
        queries: the scorer of B queries.
        passages: (M, D) vectors of the batch's distinct names.
        batch: the batch, from `Collator`.
    """
    return torch.cat([queries(passages[batch["own"]]), queries(passages[batch["shared"]])], dim=1)


def batch_scores(model: RetrievalModel, batch: dict[str, Tensor]) -> Tensor:
    """Encodes a batch with a model and returns the scores of its candidates, (B, K + R)."""
    queries = model.encode_queries(batch["query_ids"], batch["query_mask"])
    return candidate_scores(queries, passage_vectors(model, batch), batch)


def passage_vectors(model: RetrievalModel, batch: dict[str, Tensor]) -> Tensor:
    """Returns the vectors of a batch's distinct names, (M, D): stored ones, or encoded with gradients."""
    if "passage_vectors" in batch:
        return batch["passage_vectors"]
    return model.encode_passages(batch["passage_ids"], batch["passage_mask"])


def name_rows(ontology: Ontology, items: Sequence[Item]) -> npt.NDArray[np.int64]:
    """Returns the name rows of K items, (K,) int64."""
    return np.array([ontology.name_rows(item.concept_id)[item.place] for item in items], dtype=np.int64)
