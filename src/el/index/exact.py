"""Exact search over names' vectors, block by block."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from el.base.progress import progress

if TYPE_CHECKING:
    from el.index.vectors import NameVectors

_BLOCK = 1 << 16


def nearest(
    vectors: "NameVectors",
    queries: npt.NDArray[np.float32],
    k: int,
    rows: npt.NDArray[np.int64] | None,
    description: str,
    query_batch: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Finds the names with the largest dot product. Args and returns as `NameVectors.nearest`."""
    total = len(vectors) if rows is None else len(rows)
    k = min(k, total)
    asked = torch.from_numpy(queries)
    best = torch.full((len(queries), k), -torch.inf)
    found = torch.zeros((len(queries), k), dtype=torch.int64)
    with progress(description, total) as advance:
        for start in range(0, total, _BLOCK):
            stop = min(start + _BLOCK, total)
            block_rows = np.arange(start, stop) if rows is None else rows[start:stop]
            block = torch.from_numpy(vectors.gather(block_rows))
            numbers = torch.from_numpy(np.ascontiguousarray(block_rows))
            for first in range(0, len(queries), query_batch):
                part = slice(first, first + query_batch)
                products = asked[part] @ block.T
                best[part], found[part] = merge_best(best[part], found[part], products, numbers)
            advance(stop - start)
    return best.numpy(), found.numpy()


def merge_best(best: Tensor, found: Tensor, scores: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the K best of (B, K) scores and rows so far and a block's (B, M) scores of (M,) rows."""
    k = best.shape[1]
    values, columns = scores.topk(min(k, scores.shape[1]), dim=1)
    values, rows = torch.cat([best, values], dim=1), torch.cat([found, rows[columns]], dim=1)
    best, columns = values.topk(k, dim=1)
    return best, rows.gather(1, columns)
