"""The contract of a vector index: the names whose vectors are nearest to a query's.

Three implement it, in a file each: a graph (`el.index.graph_index`), which is fast and misses a few; an exact
search in blocks (`el.index.exact`); and a flat search by FAISS (`el.index.flat`), to compare with.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

# (B, k) float32 dot products, best first, and (B, k) int64 name rows.
Neighbours = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


class VectorIndex(Protocol):
    """Finds names by the dot product of their vectors with a query's."""

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> Neighbours:
        """Finds the names with the largest dot products.

        Args:
            vectors: (B, D), the queries'.
            k: how many names; fewer are returned where there are fewer.
            rows: (n,) the only name rows that may be found, ascending; None for all.

        Returns:
            (B, k) dot products, best first, and (B, k) name rows.
        """
