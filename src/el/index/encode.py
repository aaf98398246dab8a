"""Texts to vectors, in batches of similar length."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from el.base.progress import progress
from el.index.lengths import by_length
from el.models.base import RetrievalModel, supports_bf16
from el.models.tower import Tower

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


@torch.inference_mode()
def _encode_in_batches(
    model: RetrievalModel, texts: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]:
    tower = _fast_copy(model.passage_tower, model.device)
    # Characters say too little: of names of equal length one may have thrice the tokens of another.
    for rows in by_length([len(ids) for ids in model.token_ids(texts)], BATCH):
        encoding = model.tokenize([texts[row] for row in rows])
        vectors = tower(encoding["input_ids"], encoding["attention_mask"])
        yield rows, vectors.to("cpu", torch.float16).numpy()


def _fast_copy(tower: Tower, device: torch.device) -> Tower:
    """A tower's copy for encoding many texts: bf16 throughout, twice as fast as autocast on a CPU."""
    tower = copy.deepcopy(tower).eval()
    if supports_bf16(device):
        tower.to(torch.bfloat16)
    if device.type == "cpu":
        # The fused attention is made for long inputs; on names the plain one is faster.
        tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]
    return tower
