"""The base class of both kinds of models: what training, search and evaluation use of a model.

It is apart so that these users need not know which kind of model they have.
"""

import abc
import contextlib
import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BatchEncoding, PreTrainedTokenizerBase

from el.base.instructions import is_limited
from el.models.scorer import Scorer
from el.models.tower import Tower, fingerprint


class RetrievalModel(nn.Module, abc.ABC):
    """A query tower, a passage tower (the same one if shared) and a way to score.

    Args:
        query_tower: encodes queries.
        passage_tower: encodes passages; None if the query tower encodes both.
        tokenizer: for the methods that take text; None if the checkpoint has no tokenizer.
    """

    kind: str

    def __init__(
        self, query_tower: Tower, passage_tower: Tower | None, tokenizer: PreTrainedTokenizerBase | None
    ) -> None:
        super().__init__()
        self.query_tower = query_tower
        self.own_passage_tower = passage_tower
        self.tokenizer = tokenizer

    @property
    def passage_tower(self) -> Tower:
        return self.own_passage_tower or self.query_tower

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def fingerprint(self) -> str:
        """A checksum of all weights."""
        return fingerprint(self.state_dict())

    def settings(self) -> str:
        """Returns everything but the weights that the scores depend on, as text for a checksum."""
        towers = [(tower.pooling, tower.normalize) for tower in (self.query_tower, self.passage_tower)]
        length = self.tokenizer.model_max_length if self.tokenizer is not None else None
        return f"{self.kind} {towers} {length}"

    def split_towers(self) -> None:
        """Copies a shared tower, so that queries and passages have separate towers."""
        if self.own_passage_tower is None:
            self.own_passage_tower = copy.deepcopy(self.query_tower)

    def freeze_passage_tower(self) -> None:
        """Excludes the passage tower from training.

        Raises:
            ValueError: the tower is shared.
        """
        if self.own_passage_tower is None:
            raise ValueError("a shared tower cannot be frozen for passages alone; call split_towers first")
        self.own_passage_tower.requires_grad_(False)

    def freeze_word_embeddings(self) -> None:
        """Excludes the towers' token embeddings, half the weights of a small tower, from training."""
        for tower in {self.query_tower, self.passage_tower}:
            tower.transformer.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]

    def train(self, mode: bool = True) -> "RetrievalModel":
        """Switches dropout on or off. A frozen passage tower never has dropout."""
        super().train(mode)
        if self.own_passage_tower is not None and not any(
            p.requires_grad for p in self.own_passage_tower.parameters()
        ):
            self.own_passage_tower.eval()
        return self

    @abc.abstractmethod
    def encode_queries(self, input_ids: Tensor, attention_mask: Tensor) -> Scorer:
        """Encodes B queries: (B, S) int64 token ids and their mask. Returns their scorer."""

    @property
    def retrieval_tower(self) -> Tower:
        """The tower whose query vectors are trained to be near the vectors of the right passages."""
        return self.query_tower

    def vector_encoder(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns the function that maps queries to the vectors that retrieve their candidates.

        The function takes (B, S) int64 token ids and their mask, and returns (B, D) float32 vectors. It is
        valid as long as the weights do not change.
        """
        return self.retrieval_tower

    @abc.abstractmethod
    def encode_with_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Scorer, Tensor]:
        """Encodes queries for training. If one tower makes the scorer and the vectors, it runs once.

        Args:
            input_ids: (B, S) int64.
            attention_mask: (B, S), 0 where padded.

        Returns:
            The scorer, and (B, D) float32 vectors of the retrieval tower.
        """

    @abc.abstractmethod
    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model atomically, in the layout that `load_model` reads."""

    def encode_passages(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (M, D) float32 passage vectors for (M, S) int64 token ids and mask."""
        vectors: Tensor = self.passage_tower(input_ids, attention_mask)
        return vectors

    def encode_queries_text(self, texts: Sequence[str]) -> Scorer:
        """Encodes B texts as queries. Each text is cut to the tokenizer's maximal length."""
        return self.encode_queries(**self.tokenize(texts))

    def encode_passages_text(self, texts: Sequence[str]) -> Tensor:
        """Returns (M, D) float32 passage vectors of texts, each cut to the tokenizer's maximal length."""
        return self.encode_passages(**self.tokenize(texts))

    def tokenize(self, texts: Sequence[str]) -> BatchEncoding:
        """Returns padded input_ids and attention_mask, (B, S) int64, on the model's device.

        Raises:
            ValueError: the model has no tokenizer.
        """
        encoding: BatchEncoding = self._tokenizer()(
            list(texts), padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False
        )
        return encoding.to(self.device)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of the tokens that `tokenize` keeps of each text, with special tokens.

        Raises:
            ValueError: the model has no tokenizer.
        """
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer()(list(texts), truncation=True)["input_ids"]
        return ids

    def _tokenizer(self) -> PreTrainedTokenizerBase:
        if self.tokenizer is None:
            raise ValueError("this model has no tokenizer; set model.tokenizer to its backbone's tokenizer")
        return self.tokenizer


def inference_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Returns an autocast to bf16. It has no effect on devices that do not multiply bf16 in hardware."""
    if not supports_bf16(device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def supports_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        if is_limited():
            return False
        # torch has no public function for these two.
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False
