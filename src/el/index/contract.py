"""The contract of a vector index: it finds the names whose vectors are nearest to a query's vector.

There are three indexes, in a module each: a graph (`el.index.graph_index`), which is fast and misses a few
names; an exact search in blocks (`el.index.exact`); and a flat search by FAISS (`el.index.flat`), which
benchmarks compare with.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

# (B, k) float32 dot products, best first, and (B, k) int64 name rows.
Neighbours = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


class VectorIndex(Protocol):
    """Finds names by the dot product of their vectors with a query's vector."""

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> Neighbours:
        """Finds the names with the largest dot products.

        Args:
            vectors: (B, D), the vectors of the queries.
            k: how many names to find. If there are fewer, all are returned.
            rows: (n,) the name rows that may be found, ascending; None for all.

        Returns:
            (B, k) float32 dot products, best first, and (B, k) int64 name rows.
        """
