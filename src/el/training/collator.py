"""From pairs to tensors: queries, candidate names, and which of these are positive or ignored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.ontology import Ontology
from el.training.pairs import Item, Pair


@dataclass(frozen=True)
class Candidates:
    """How many candidates a query is trained on.

    Attributes:
        own_items: the first so many of its own items.
        random_names: names drawn from the whole ontology, shared by the batch. They and the batch's
            first items (the positives of the other queries) are candidates of every query.
    """

    own_items: int
    random_names: int


class Collator:
    """Builds the tensors of one batch.

    Args:
        model: whose tokenizer is used.
        ontology: gives ids, names, and random names.
        candidates: how many.
        vectors: the names' vectors, where the passage tower is frozen; None where names are encoded
            as text, with gradients.
        seed: of the random names; each step draws the same, also after a resume.
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

        With B queries, K own items, R shared names and M distinct names among them: query_ids,
        query_mask (B, S) int64; own (B, K) and shared (R,) int64, rows of the distinct names;
        positive, ignored (B, K + R) bool; and the distinct names themselves, as passage_vectors
        (M, D) float32 or as passage_ids, passage_mask (M, S') int64.
        """
        own_items = [pair.items[: self.candidates.own_items] for pair in pairs]
        shared_items = [items[0] for items in own_items] + self._random_items(step)
        numbers: dict[tuple[str, int], int] = {}
        distinct: list[Item] = []
        for item in [item for items in own_items for item in items] + shared_items:
            if (item.concept_id, item.place) not in numbers:
                numbers[item.concept_id, item.place] = len(distinct)
                distinct.append(item)
        query = self.model.tokenize([pair.content for pair in pairs])
        own = self._own(own_items, numbers)
        shared = torch.tensor([numbers[item.concept_id, item.place] for item in shared_items])
        positive, ignored = self._marks(pairs, own_items, shared_items)
        return {
            "query_ids": query["input_ids"],
            "query_mask": query["attention_mask"],
            "own": own,
            "shared": shared,
            "positive": positive,
            "ignored": ignored,
            **self._passages(distinct),
        }

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

    def _marks(
        self, pairs: Sequence[Pair], own_items: Sequence[Sequence[Item]], shared_items: Sequence[Item]
    ) -> tuple[Tensor, Tensor]:
        width = self.candidates.own_items
        positive = torch.zeros((len(pairs), width + len(shared_items)), dtype=torch.bool)
        ignored = torch.zeros_like(positive)
        for row, (pair, items) in enumerate(zip(pairs, own_items, strict=True)):
            positive[row, : len(items)] = torch.tensor([item.type == "positive" for item in items])
            # Queries with fewer items than others have empty places.
            ignored[row, len(items) : width] = True
            # A shared name of the query's own concept is no negative.
            ignored[row, width:] = torch.tensor(
                [item.concept_id in pair.concept_ids for item in shared_items]
            )
        return positive, ignored

    def _passages(self, items: Sequence[Item]) -> dict[str, Tensor]:
        if self.vectors is not None:
            return {"passage_vectors": self.vectors.gather(name_rows(self.ontology, items))}
        encoding = self.model.tokenize([item.content for item in items])
        return {"passage_ids": encoding["input_ids"], "passage_mask": encoding["attention_mask"]}


def candidate_scores(model: RetrievalModel, batch: dict[str, Tensor]) -> Tensor:
    """Returns (B, K + R) scores of a batch's candidates: here, and only here, models are compared alike."""
    queries = model.encode_queries(batch["query_ids"], batch["query_mask"])
    passages = passage_vectors(model, batch)
    return torch.cat([queries(passages[batch["own"]]), queries(passages[batch["shared"]])], dim=1)


def passage_vectors(model: RetrievalModel, batch: dict[str, Tensor]) -> Tensor:
    """Returns (M, D) vectors of a batch's distinct names: looked up, or encoded with gradients."""
    if "passage_vectors" in batch:
        return batch["passage_vectors"]
    return model.encode_passages(batch["passage_ids"], batch["passage_mask"])


def name_rows(ontology: Ontology, items: Sequence[Item]) -> npt.NDArray[np.int64]:
    """Returns (K,) int64 name rows of items."""
    return np.array([ontology.name_rows(item.concept_id)[item.place] for item in items], dtype=np.int64)
