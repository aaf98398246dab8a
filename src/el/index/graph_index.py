"""A vector index over the graph of the names: fast, but it misses a few names."""

import numpy as np
import numpy.typing as npt

from el.index.contract import Neighbours, VectorIndex
from el.index.vectors import NameVectors


class GraphIndex:
    """Walks the graph that is stored with the names' vectors. A search among given rows is exact.

    Args:
        names: names opened from a folder, so that they have a graph.
    """

    def __init__(self, names: NameVectors) -> None:
        assert names.graph is not None
        self._names = names
        self._graph = names.graph

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> Neighbours:
        """See `VectorIndex.search`."""
        if rows is not None:
            return _exact(self._names).search(vectors, k, rows)
        similarities, places = self._graph.search(vectors, min(k, len(self._names)))
        names = self._names.names_of_vectors
        return similarities, places if names is None else names[places]


def open_index(names: NameVectors) -> VectorIndex:
    """Returns the fastest index of names: their graph, or an exact search if they have no graph."""
    return _exact(names) if names.graph is None else GraphIndex(names)


def _exact(names: NameVectors) -> VectorIndex:
    # Imported here because it imports PyTorch, which a linker does not need.
    from el.index.exact import ExactIndex

    return ExactIndex(names)
