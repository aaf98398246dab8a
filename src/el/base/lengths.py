"""Batches of texts of similar length, and their padding, for encoding with PyTorch and linking without it."""

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


def padded(
    tokens: Sequence[Sequence[int]], padding: int, multiple: int = 1
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pads the token ids of B texts to one length.

    Args:
        tokens: the ids of each text.
        padding: the id that fills up the shorter texts.
        multiple: the length S is the next multiple of this number.

    Returns:
        The (B, S) ids and their mask, 1 for the ids of a text and 0 for padding.
    """
    lengths = np.array([len(ids) for ids in tokens])
    rows = np.full((len(tokens), -(-lengths.max() // multiple) * multiple), padding, dtype=np.int64)
    for row, ids in zip(rows, tokens, strict=True):
        row[: len(ids)] = ids
    return rows, (np.arange(rows.shape[1]) < lengths[:, None]).astype(np.int64)
