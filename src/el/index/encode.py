"""Encodes texts as vectors, in batches of similar length. It needs PyTorch, so it is apart from searching."""

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from el.base.lengths import by_length, padded
from el.models.base import RetrievalModel, supports_bf16
from el.runtime.compile import save_passage_tower
from el.runtime.networks import compiled_for_many, read_network

# Texts that the tower encodes at once. Larger batches need more memory and have more padding.
BATCH = 64
# With this many texts or more, a CPU runs a compiled tower. To compile it takes as long as to encode some
# thousand texts, and then saves a fifth of the time. With a smaller number, few texts take longer.
_MANY = 8192

# Rows, their (B, S) token ids and their mask.
_Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]
# Encodes batches into the rows of (M, D) float16 vectors.
_Encode = Callable[[Iterator[_Batch], npt.NDArray[np.float16]], None]


class PassageEncoder:
    """Encodes passages with a model's passage tower: on a CPU many with OpenVINO, others with PyTorch.

    Args:
        model: the model.
        count: how many texts will be encoded, about.
    """

    def __init__(self, model: RetrievalModel, count: int) -> None:
        self._model = model
        is_compiled = model.device.type == "cpu" and count >= _MANY
        self._encode: _Encode = _compiled(model) if is_compiled else _plain(model)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float16]:
        """Returns the (M, D) float16 vectors of M texts. Each is cut to the tokenizer's maximal length."""
        vectors = np.empty((len(texts), self._model.passage_tower.width), dtype=np.float16)
        self._encode(self._batches(self._model.token_ids(texts)), vectors)
        return vectors

    def _batches(self, tokens: Sequence[Sequence[int]]) -> Iterator[_Batch]:
        assert self._model.tokenizer is not None
        # Padding is masked, so any id will do if the tokenizer has none for it.
        padding = self._model.tokenizer.pad_token_id or 0
        # Tokens are counted, not characters: of two names with equally many characters, one may have three
        # times the tokens of the other.
        for rows in by_length([len(ids) for ids in tokens], BATCH):
            yield rows, *padded([tokens[row] for row in rows], padding)


def encode_texts(model: RetrievalModel, texts: Sequence[str]) -> npt.NDArray[np.float16]:
    """Returns the (M, D) float16 vectors of M texts; see `PassageEncoder`."""
    return PassageEncoder(model, len(texts)).encode(texts)


def _compiled(model: RetrievalModel) -> _Encode:
    with tempfile.TemporaryDirectory() as folder:
        save_passage_tower(model, Path(folder) / "passage.xml")
        queue = compiled_for_many(read_network(Path(folder) / "passage.xml"))

    def encode(batches: Iterator[_Batch], vectors: npt.NDArray[np.float16]) -> None:
        def store(request: Any, rows: npt.NDArray[np.int64]) -> None:
            vectors[rows] = request.get_output_tensor(0).data

        queue.set_callback(store)
        for rows, ids, mask in batches:
            queue.start_async([ids, mask], rows)
        queue.wait_all()

    return encode


def _plain(model: RetrievalModel) -> _Encode:
    tower = copy.deepcopy(model.passage_tower).eval()
    if supports_bf16(model.device):
        # All of it, which on a CPU takes half the time of autocast.
        tower.to(torch.bfloat16)
    if model.device.type == "cpu":
        # Fused attention is made for long inputs. On names, plain attention is faster.
        tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]

    @torch.inference_mode()
    def encode(batches: Iterator[_Batch], vectors: npt.NDArray[np.float16]) -> None:
        for rows, *inputs in batches:
            encoded = tower(*(torch.from_numpy(each).to(model.device) for each in inputs))
            vectors[rows] = encoded.to("cpu", torch.float16).numpy()

    return encode
