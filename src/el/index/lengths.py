"""Batches of texts of similar length."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def by_length(lengths: Sequence[int], batch: int) -> list[npt.NDArray[np.int64]]:
    """Splits rows into batches of similar length, so that little padding is computed."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch] for start in range(0, len(order), batch)]
