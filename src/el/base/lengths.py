"""Batches of texts of similar length, for encoding with PyTorch and for linking without it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def by_length(lengths: Sequence[int], batch: int) -> list[npt.NDArray[np.int64]]:
    """Splits rows into batches of similar length, so that little padding is computed.

    Args:
        lengths: the length of each row.
        batch: rows of a batch; the last one may have fewer.

    Returns:
        For each batch the int64 numbers of its rows, shortest first.
    """
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch] for start in range(0, len(order), batch)]
