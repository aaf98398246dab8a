"""The bi-encoder: a query and a passage are one vector each, their score is the dot product.

On disk it is a `SentenceTransformer`, which anybody can load without this project.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Router, Transformer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from el.errors import InputError
from el.files import atomic_folder
from el.models.base import RetrievalModel
from el.models.tower import EncoderSource, Tower, load_tokenizer, load_tower


@dataclass(frozen=True, eq=False)
class DotProducts:
    """B query vectors; called on passage vectors it returns scaled dot products.

    Attributes:
        vectors: (B, D).
        scale: a factor on the products; 1 / temperature.
    """

    vectors: Tensor
    scale: float = 1.0

    def __call__(self, passages: Tensor) -> Tensor:
        """Scores (M, D) shared or (B, M, D) own passages: (B, M)."""
        if passages.dim() == 2:
            return self.vectors @ passages.T * self.scale
        return torch.matmul(passages, self.vectors.unsqueeze(-1)).squeeze(-1) * self.scale

    def __len__(self) -> int:
        return int(self.vectors.shape[0])

    def __getitem__(self, index: slice) -> "DotProducts":
        return DotProducts(self.vectors[index], self.scale)


class BiEncoder(RetrievalModel):
    """Two towers, or one that is shared, and the dot product of their vectors.

    Args:
        query_tower: encodes queries.
        passage_tower: encodes passages; None where the query tower does both.
        tokenizer: cuts texts to the towers' length; needed to save the model.
        temperature: scores are divided by it; it matters for losses, not for rankings.
    """

    kind = "bi_encoder"

    def __init__(
        self,
        query_tower: Tower,
        passage_tower: Tower | None,
        tokenizer: PreTrainedTokenizerBase | None,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(query_tower, passage_tower, tokenizer)
        self.temperature = temperature

    @classmethod
    def from_encoder(
        cls, source: EncoderSource, normalize: bool = True, temperature: float = 0.05
    ) -> "BiEncoder":
        """Starts from a pretrained encoder with its own pooling, one tower for both sides."""
        tokenizer = load_tokenizer(source.resolve(), source.max_tokens)
        return cls(load_tower(source, normalize), None, tokenizer, temperature)

    def settings(self) -> str:
        return f"{super().settings()} {self.temperature}"

    def encode_queries(self, input_ids: Tensor, attention_mask: Tensor) -> DotProducts:
        return DotProducts(self.query_tower(input_ids, attention_mask), 1.0 / self.temperature)

    def first_stage(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.encode_queries(input_ids, attention_mask).vectors

    def encode_mentions(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[DotProducts, Tensor]:
        queries = self.encode_queries(input_ids, attention_mask)
        return queries, queries.vectors

    def save_pretrained(self, folder: Path) -> None:
        """Writes a SentenceTransformer; with two towers, one that routes queries and documents."""
        with tempfile.TemporaryDirectory() as scratch:
            query = self._modules_of(self.query_tower, Path(scratch) / "query")
            if self.own_passage_tower is None:
                model = SentenceTransformer(modules=query, device="cpu")
            else:
                document = self._modules_of(self.own_passage_tower, Path(scratch) / "document")
                router = Router.for_query_document(query_modules=query, document_modules=document)
                model = SentenceTransformer(modules=[router], device="cpu")
            with atomic_folder(folder) as temporary:
                model.save_pretrained(str(temporary), create_model_card=False)

    def _modules_of(self, tower: Tower, scratch: Path) -> list[Any]:
        # SentenceTransformer's own Transformer module reads a folder, and so it gets one.
        tower.transformer.save_pretrained(scratch)  # type: ignore[operator]
        assert self.tokenizer is not None
        self.tokenizer.save_pretrained(scratch)
        modules: list[Any] = [
            Transformer(str(scratch), max_seq_length=self.tokenizer.model_max_length),
            Pooling(tower.width, pooling_mode=tower.pooling),
        ]
        return [*modules, Normalize()] if tower.normalize else modules

    @classmethod
    def from_pretrained(cls, folder: Path, temperature: float = 0.05) -> "BiEncoder":
        """Loads any SentenceTransformer that is a transformer with CLS or mean pooling.

        Raises:
            InputError: the folder holds something else.
        """
        try:
            model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(
                folder, "", f"not a SentenceTransformer ({error})", "Train or fetch it again"
            ) from error
        first: Any = model[0]
        if isinstance(first, Router):
            routes: Any = first.sub_modules
            query, passage = (list(routes[route]) for route in ("query", "document"))
            return cls(_tower(folder, query), _tower(folder, passage), query[0].tokenizer, temperature)
        return cls(_tower(folder, list(model)), None, model.tokenizer, temperature)


def _tower(folder: Path, modules: list[Any]) -> Tower:
    transformer, *rest = modules
    pooling = [module for module in rest if isinstance(module, Pooling)]
    others = [module for module in rest if not isinstance(module, Pooling | Normalize)]
    if not isinstance(transformer, Transformer) or len(pooling) != 1 or others:
        kinds = ", ".join(type(module).__name__ for module in modules)
        raise InputError(
            folder, "", f"modules {kinds}", "A Transformer, a Pooling and at most a Normalize are needed"
        )
    normalize = any(isinstance(module, Normalize) for module in rest)
    return Tower(transformer.auto_model, pooling[0].pooling_mode, normalize)
