"""A flat search by FAISS over the stored vectors of a graph. Benchmarks compare the other indexes with it."""

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from el.index.contract import Neighbours
from el.index.vectors import NameVectors


class FlatIndex:
    """Compares queries with every name that may be found. A single query uses one thread.

    Args:
        names: names opened from a folder, so that they have a graph. Its stored vectors are read.
    """

    def __init__(self, names: NameVectors) -> None:
        assert names.graph is not None
        self._names = names
        self._storage: Any = faiss.downcast_index(names.graph.index.storage)

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> Neighbours:
        """See `VectorIndex.search`."""
        names = self._names.names_of_vectors
        places = self._names.places if rows is None else self._names.places_of(rows)
        k = min(k, len(self._names) if rows is None else len(rows))
        parameters = None
        if places is not None:
            # faiss has no type annotations for these constructors.
            selector: Any = faiss.IDSelectorBatch
            selected: Any = faiss.SearchParameters
            parameters = selected(sel=selector(places))
        similarities, found = self._storage.search(vectors, k, params=parameters)
        return similarities, found if names is None else names[found]
