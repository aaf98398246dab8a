"""Mines hard negatives: for each query, the names whose vectors are nearest."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError
from el.base.markers import markers
from el.index.encode import encode_texts
from el.index.exact import ExactIndex
from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.ontology.ontology import Ontology
from el.training.pairs import Item, ItemType, Pair

# The negatives with other numbers or letters than the mention that go before nearer negatives. With more, the
# nearest negatives may be left out of training.
_OF_OTHER_MARKERS = 4


@dataclass(frozen=True)
class MiningConfig:
    """How many names are mined.

    Attributes:
        names: for how many of the pairs of names negatives are mined, counted from the first.
        nearest: how many of the nearest names are found for each query, whatever their concepts.
        positives: the most names of the query's concepts that are kept for training, nearest first.
    """

    names: int
    nearest: int
    positives: int

    def __post_init__(self) -> None:
        if min(self.names, self.nearest, self.positives) < 1:
            raise ConfigError(
                f"names is {self.names}, nearest {self.nearest}, positives {self.positives}; each must be "
                "1 or more"
            )


class Miner:
    """Finds the names near a query, and makes them the items of a pair.

    Args:
        model: the model that made the vectors. It encodes the queries' mentions.
        vectors: the vectors of all names.
        ontology: gives the names and their concepts.
        config: how many names are mined.
        texts: the text that the passage tower reads for each name row, from `name_inputs`.
    """

    def __init__(
        self,
        model: RetrievalModel,
        vectors: NameVectors,
        ontology: Ontology,
        config: MiningConfig,
        texts: Sequence[str],
    ) -> None:
        self.model = model
        self.vectors = vectors
        self.ontology = ontology
        self.config = config
        self.texts = texts

    def for_training(self, pairs: Sequence[Pair], description: str, *, names: bool) -> Iterator[Pair]:
        """Yields pairs with new items: names of the pair's concepts, then negatives, both nearest first.

        A few negatives with other numbers or letters than the mention ("type 1 diabetes" for "type 2
        diabetes") go before nearer ones, because training may use the first negatives only.

        Args:
            pairs: the pairs.
            description: shown with the progress.
            names: whether the queries are names of the ontology. A name is not a positive for itself, so a
                pair whose concept has no other name is left out.
        """
        queries, scores, rows = self._nearest(pairs, description)
        for number, pair in enumerate(pairs):
            gold = np.array([row for id_ in pair.concept_ids for row in self.ontology.name_rows(id_)])
            positive = (
                gold[[self.ontology.name_texts[row] != pair.mention for row in gold]] if names else gold
            )
            if not len(positive):
                continue
            positive_scores = self.vectors.gather(positive) @ queries[number]
            order = np.argsort(-positive_scores, kind="stable")[: self.config.positives]
            negative = np.flatnonzero(~np.isin(rows[number], gold))
            negative = self._hardest_first(pair.mention, rows[number], negative)
            yield self._with_items(
                pair,
                np.concatenate([positive[order], rows[number][negative]]),
                np.concatenate([positive_scores[order], scores[number][negative]]),
            )

    def _hardest_first(
        self, mention: str, rows: npt.NDArray[np.int64], negative: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Puts `_OF_OTHER_MARKERS` negatives with other markers than a mention before the others.

        Args:
            mention: the mention.
            rows: (K,) name rows, nearest first.
            negative: (n,) the places of the negatives among them, ascending.
        """
        wanted = markers(mention)
        if not wanted:
            return negative
        known = [markers(self.ontology.name_texts[row]) for row in rows[negative].tolist()]
        others = np.flatnonzero([bool(found) and found != wanted for found in known])[:_OF_OTHER_MARKERS]
        return np.concatenate([negative[others], np.delete(negative, others)])

    def for_selection(self, pairs: Sequence[Pair], description: str) -> Iterator[Pair]:
        """Yields pairs with their nearest names as items, as retrieval finds them.

        A pair whose concepts are not among the nearest names has no positive.

        Args:
            pairs: the pairs.
            description: shown with the progress.
        """
        _, scores, rows = self._nearest(pairs, description)
        for number, pair in enumerate(pairs):
            yield self._with_items(pair, rows[number], scores[number])

    def _nearest(
        self, pairs: Sequence[Pair], description: str
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        queries = encode_texts(self.model, [pair.mention for pair in pairs]).astype(np.float32)
        return queries, *ExactIndex(self.vectors, description).search(queries, self.config.nearest)

    def _with_items(self, pair: Pair, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> Pair:
        items = tuple(
            self._item(int(row), float(score), pair) for row, score in zip(rows, scores, strict=True)
        )
        return dataclasses.replace(pair, items=items)

    def _item(self, row: int, score: float, pair: Pair) -> Item:
        concept = int(self.ontology.concept_of_name[row])
        concept_id = self.ontology.ids[concept]
        place = row - int(self.ontology.first_name[concept])
        kind: ItemType = "positive" if concept_id in pair.concept_ids else "negative"
        return Item(concept_id, place, self.texts[row], kind, score)
