"""Encodes texts as vectors, in batches of similar length. It needs PyTorch, so it is apart from searching."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from el.base.lengths import by_length
from el.base.progress import progress
from el.models.base import RetrievalModel, supports_bf16
from el.models.tower import Tower

# Texts that the tower encodes at once. Larger batches need more memory and have more padding.
BATCH = 256


def encode_texts(
    model: RetrievalModel, texts: Sequence[str], description: str = ""
) -> npt.NDArray[np.float16]:
    """Encodes passages.

    Args:
        model: the model whose passage tower encodes.
        texts: M texts. Each is cut to the tokenizer's maximal length.
        description: shown with the progress; "" shows none.

    Returns:
        (M, D) float16, in the order of the texts.
    """
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
    # Tokens are counted, not characters: of two names with equally many characters, one may have three times
    # the tokens of the other.
    for rows in by_length([len(ids) for ids in model.token_ids(texts)], BATCH):
        encoding = model.tokenize([texts[row] for row in rows])
        vectors = tower(encoding["input_ids"], encoding["attention_mask"])
        yield rows, vectors.to("cpu", torch.float16).numpy()


def _fast_copy(tower: Tower, device: torch.device) -> Tower:
    """Returns a copy of a tower for many texts. All is in bf16: on a CPU, twice as fast as autocast."""
    tower = copy.deepcopy(tower).eval()
    if supports_bf16(device):
        tower.to(torch.bfloat16)
    if device.type == "cpu":
        # Fused attention is made for long inputs. On names, plain attention is faster.
        tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]
    return tower
