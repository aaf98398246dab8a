"""Finds the pairs whose queries are nearest to each other: the hardest negatives that a batch can have."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from el.base.progress import progress
from el.index.encode import encode_texts
from el.models.base import RetrievalModel
from el.training.pairs import Pair

# Queries that are compared with all others at once. Memory grows with this number: 512 x 100,000 products
# take 205 MB.
_QUERY_BATCH = 512


def pair_neighbours(model: RetrievalModel, pairs: Sequence[Pair], nearest: int) -> npt.NDArray[np.int64]:
    """Returns for each pair the numbers of the pairs whose queries are nearest by the dot product.

    Args:
        model: its passage tower encodes the queries. In a bi-encoder that is still one tower, it is the query
            tower too.
        pairs: n pairs.
        nearest: k, the number of neighbours.

    Returns:
        (n, k) int64, nearest first. A pair is no neighbour of itself.
    """
    vectors = torch.from_numpy(encode_texts(model, [pair.content for pair in pairs]).astype(np.float32))
    found = np.empty((len(pairs), min(nearest, len(pairs) - 1)), dtype=np.int64)
    with progress("find pairs that are hard to tell apart", len(pairs)) as advance:
        for start in range(0, len(pairs), _QUERY_BATCH):
            products = vectors[start : start + _QUERY_BATCH] @ vectors.T
            rows = torch.arange(len(products))
            products[rows, start + rows] = -torch.inf
            found[start : start + len(products)] = products.topk(found.shape[1]).indices.numpy()
            advance(len(products))
    return found
