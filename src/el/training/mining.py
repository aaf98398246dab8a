"""Hard negatives: for each query the names that a model finds nearest."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError
from el.index.encode import encode_texts
from el.index.exact import ExactIndex
from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.ontology.ontology import Ontology
from el.training.pairs import Item, ItemType, Pair


@dataclass(frozen=True)
class MiningConfig:
    """How names are mined.

    Attributes:
        names: the first so many name pairs are mined for.
        nearest: names kept for each query, gold or not.
        positives: at most so many names of the query's own concepts are kept besides, nearest first.
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
    """Finds names near a query, and makes them a pair's items.

    Args:
        model: encodes the queries' mentions; made the vectors.
        vectors: of all names.
        ontology: the names.
        config: how many.
        texts: what the passage tower reads for each name row, from `name_inputs`.
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
        """Yields pairs with names of their own concepts, nearest first, then the nearest others.

        Args:
            pairs: the queries.
            description: shown with the progress.
            names: whether queries are names of the ontology; then they are no positives of their own, and
                a pair whose concept has no other name is left out.
        """
        queries, scores, rows = self._nearest(pairs, description)
        for number, pair in enumerate(pairs):
            own = np.array([row for id_ in pair.concept_ids for row in self.ontology.name_rows(id_)])
            fit = own[[self.ontology.name_texts[row] != pair.mention for row in own]] if names else own
            if not len(fit):
                continue
            own_scores = self.vectors.gather(fit) @ queries[number]
            order = np.argsort(-own_scores, kind="stable")[: self.config.positives]
            other = ~np.isin(rows[number], own)
            yield self._with_items(
                pair,
                np.concatenate([fit[order], rows[number][other]]),
                np.concatenate([own_scores[order], scores[number][other]]),
            )

    def for_selection(self, pairs: Sequence[Pair], description: str) -> Iterator[Pair]:
        """Yields pairs with just their nearest names, as retrieval finds them."""
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
