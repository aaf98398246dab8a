"""The query side of a model compiled by OpenVINO, for `CompiledEngine` to run, or run as it is."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from el.files import atomic_folder, sampled_sha256, write_json
from el.models.base import RetrievalModel, inference_precision
from el.models.biencoder import BiEncoder
from el.models.folded import FoldedGenerator, FoldedQNets
from el.models.hypencoder import Hypencoder
from el.search.engine import (
    FORMAT,
    GENERATOR,
    MANIFEST,
    QUERY,
    SCORER,
    TOKENIZER,
    CompiledEngine,
    Encoded,
    Engine,
)
from el.search.saving import save_compiled

# Shapes that tracing sees; all but the width are free afterwards.
_EXAMPLE_TEXTS = ["acute liver failure", "cold"]
_EXAMPLE_PASSAGES = 3


class TorchEngine:
    """Any model as it is. Encodes mentions for their vectors, and once more whenever it scores."""

    def __init__(self, model: RetrievalModel) -> None:
        self.model = model
        self.kind = model.kind
        self.passage_tower = model.passage_tower.fingerprint()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Encoded:
        encoding = self.model.tokenize(texts)
        tokens = encoding["input_ids"], encoding["attention_mask"]
        return Encoded(self.model.first_stage(*tokens).cpu().numpy(), tokens)

    def wait(self, encoded: Encoded) -> None:
        """Nothing has begun."""

    @torch.inference_mode()
    def score(self, encoded: Encoded, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with inference_precision(self.model.device):
            queries = self.model.encode_queries(*encoded.tokens)
        scores = queries(torch.from_numpy(passages).to(self.model.device))
        found: npt.NDArray[np.float32] = scores.float().cpu().numpy()
        return found


def make_engine(model: RetrievalModel) -> Engine:
    """The fastest engine there is for a model."""
    if not isinstance(model, BiEncoder | Hypencoder) or model.device.type != "cpu":
        return TorchEngine(model)
    with tempfile.TemporaryDirectory() as scratch:
        compile_model(model, Path(scratch) / "compiled")
        return CompiledEngine(Path(scratch) / "compiled")


def compile_model(model: RetrievalModel, folder: Path) -> None:
    """Writes the query side of a model for `CompiledEngine`, weights in half precision.

    Args:
        model: a bi-encoder or a Hypencoder with a tokenizer; in evaluation mode, on the CPU.
        folder: where to; whole or not at all.
    """
    assert isinstance(model, BiEncoder | Hypencoder)
    assert model.tokenizer is not None
    module = _QuerySide(model)
    encoding = model.tokenize(_EXAMPLE_TEXTS)
    tokens = encoding["input_ids"], encoding["attention_mask"]
    width = model.passage_tower.width
    with atomic_folder(folder) as temporary, torch.no_grad():
        save_compiled(module, tokens, [[-1, -1], [-1, -1]], temporary / QUERY)
        if isinstance(model, Hypencoder):
            hidden = module(*tokens)[1]
            generator, qnets = FoldedGenerator(model.head).eval(), FoldedQNets(model.head).eval()
            generated = generator(hidden, tokens[1])
            passages = torch.randn(len(hidden), _EXAMPLE_PASSAGES, width)
            save_compiled(
                generator, (hidden, tokens[1]), [[-1, -1, hidden.shape[-1]], [-1, -1]], temporary / GENERATOR
            )
            shapes = [[-1, -1, width], *([-1, *part.shape[1:]] for part in generated)]
            save_compiled(qnets, (passages, *generated), shapes, temporary / SCORER)
        (temporary / TOKENIZER).write_text(model.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        manifest = {
            "format": FORMAT,
            "kind": model.kind,
            "model": model.fingerprint(),
            "passage_tower": model.passage_tower.fingerprint(),
            "weights": {path.name: sampled_sha256(path) for path in sorted(temporary.glob("*.bin"))},
            "factor": 1.0 / model.temperature if isinstance(model, BiEncoder) else 1.0,
            "max_tokens": model.tokenizer.model_max_length,
            "padding": [model.tokenizer.pad_token_id, model.tokenizer.pad_token],
        }
        write_json(temporary / MANIFEST, manifest)


class _QuerySide(nn.Module):
    """Token ids and mask, (B, S), to first-stage vectors (B, D) and, for q-nets, token vectors (B, S, D)."""

    def __init__(self, model: BiEncoder | Hypencoder) -> None:
        super().__init__()
        self.tower = copy.deepcopy(model.query_tower).eval()
        self.retrieving = self.tower
        if isinstance(model, Hypencoder) and model.retrieving_tower() is not model.query_tower:
            self.retrieving = copy.deepcopy(model.retrieving_tower()).eval()
        self.with_tokens = isinstance(model, Hypencoder)
        for tower in {self.tower, self.retrieving}:
            # Can be traced for any shape.
            tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        hidden = _hidden(self.tower.transformer, input_ids, attention_mask)
        retrieving = hidden
        if self.retrieving is not self.tower:
            retrieving = _hidden(self.retrieving.transformer, input_ids, attention_mask)
        vectors = self.retrieving.pool(retrieving, attention_mask)
        return (vectors, hidden) if self.with_tokens else (vectors,)


def _hidden(transformer: nn.Module, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    # Not `Tower.hidden`: its checks of the input cannot be traced.
    hidden: Tensor = transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    return hidden
