"""Texts to vectors, in batches of similar length."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from el.models.base import RetrievalModel, inference_precision
from el.progress import progress

BATCH = 256


def encode_texts(
    model: RetrievalModel, texts: Sequence[str], description: str = ""
) -> npt.NDArray[np.float16]:
    """Encodes passages. Returns (M, D) float16, in the order of the texts."""
    vectors = np.empty((len(texts), model.passage_tower.width), dtype=np.float16)
    with progress(description, len(texts)) as advance:
        for rows, batch in _encode_in_batches(model, texts):
            vectors[rows] = batch
            advance(len(rows))
    return vectors


def by_length(texts: Sequence[str], batch: int) -> list[npt.NDArray[np.int64]]:
    """Splits text rows into batches of similar length, so that little padding is computed."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    return [order[start : start + batch] for start in range(0, len(order), batch)]


@torch.inference_mode()
def _encode_in_batches(
    model: RetrievalModel, texts: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]:
    model.eval()
    with inference_precision(model.device):
        for rows in by_length(texts, BATCH):
            encoding = model.tokenize([texts[row] for row in rows])
            vectors = model.encode_passages(encoding["input_ids"], encoding["attention_mask"])
            yield rows, vectors.to("cpu", torch.float16).numpy()
