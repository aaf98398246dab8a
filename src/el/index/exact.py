"""Exact search over names' vectors, block by block. It needs PyTorch, which a search by graph does not."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from el.base.progress import progress
from el.index.contract import Neighbours
from el.index.vectors import NameVectors

# Names whose vectors are in memory at once, as float32. Memory grows with this number.
_BLOCK = 1 << 16
# Queries that are compared with a block at once. 1,024 x 65,536 products take 268 MB; a larger number takes
# more.
_QUERY_BATCH = 1024


class ExactIndex:
    """Compares queries with every name.

    Args:
        names: the names and their vectors.
        description: shown with the progress; "" shows none.
        query_batch: queries that are compared with a block at once. Memory grows with this number.
    """

    def __init__(self, names: NameVectors, description: str = "", query_batch: int = _QUERY_BATCH) -> None:
        self._names = names
        self._description = description
        self._query_batch = query_batch

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64] | None = None
    ) -> Neighbours:
        """See `VectorIndex.search`."""
        total = len(self._names) if rows is None else len(rows)
        k = min(k, total)
        queries = torch.from_numpy(vectors)
        best = torch.full((len(queries), k), -torch.inf)
        found = torch.zeros((len(queries), k), dtype=torch.int64)
        with progress(self._description, total) as advance:
            for start in range(0, total, _BLOCK):
                stop = min(start + _BLOCK, total)
                block_rows = np.arange(start, stop) if rows is None else rows[start:stop]
                block = torch.from_numpy(self._names.gather(block_rows))
                numbers = torch.from_numpy(np.ascontiguousarray(block_rows))
                for first in range(0, len(queries), self._query_batch):
                    part = slice(first, first + self._query_batch)
                    products = queries[part] @ block.T
                    best[part], found[part] = merge_best(best[part], found[part], products, numbers)
                advance(stop - start)
        return best.numpy(), found.numpy()


def merge_best(best: Tensor, found: Tensor, scores: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Merges the best scores so far with those of a block.

    Args:
        best: (B, K) the best scores so far.
        found: (B, K) int64, their rows.
        scores: (B, M) the scores of the block.
        rows: (M,) int64, the rows of the block.

    Returns:
        (B, K) the best of all these scores, best first, and (B, K) their rows.
    """
    k = best.shape[1]
    values, columns = scores.topk(min(k, scores.shape[1]), dim=1)
    values, rows = torch.cat([best, values], dim=1), torch.cat([found, rows[columns]], dim=1)
    best, columns = values.topk(k, dim=1)
    return best, rows.gather(1, columns)
