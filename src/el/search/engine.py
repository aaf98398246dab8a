"""The query side of a model, ready to run: mentions to vectors, and scores of candidate names.

OpenVINO compiles it for the CPU that it runs on. What the models do stays in `el.models`; nothing here is
trained.
"""

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from el.errors import InputError, MismatchError
from el.files import atomic_folder, read_json, sampled_sha256, write_json
from el.models.base import RetrievalModel, inference_precision
from el.models.biencoder import BiEncoder
from el.models.folded import FoldedHead
from el.models.hypencoder import Hypencoder
from el.search.compiled import check_file, open_compiled, open_tokenizer, save_compiled

FORMAT = "el-compiled-1"
_MANIFEST, _TOKENIZER, _QUERY, _SCORER = "manifest.json", "tokenizer.json", "query.xml", "scorer.xml"
# Of the manifest, beside the format.
_KEYS = {"kind", "model", "passage_tower", "weights", "factor", "max_tokens", "padding"}
# Shapes that tracing sees; all but the width are free afterwards.
_EXAMPLE_TEXTS = ["acute liver failure", "cold"]
_EXAMPLE_PASSAGES = 3


@dataclass(frozen=True, eq=False)
class Encoded:
    """B encoded mentions.

    Attributes:
        vectors: (B, D) float32; retrieve candidates.
        tokens: what the engine keeps of them for scoring.
    """

    vectors: npt.NDArray[np.float32]
    tokens: tuple[Any, ...]


class Engine(Protocol):
    """Encodes mentions and scores names for them.

    Attributes:
        kind: the model's, such as "hypencoder".
        passage_tower: fingerprint of the tower whose vectors of names it scores.
    """

    kind: str
    passage_tower: str

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encodes B texts, as `query_input` gives them; each is cut to the model's length."""

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (B, M, D) names, each mention's own: (B, M) float32."""


class TorchEngine:
    """Any model as it is. Encodes mentions twice, for vectors and for scores."""

    def __init__(self, model: RetrievalModel) -> None:
        self.model = model
        self.kind = model.kind
        self.passage_tower = model.passage_tower.fingerprint()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Encoded:
        encoding = self.model.tokenize(texts)
        tokens = encoding["input_ids"], encoding["attention_mask"]
        return Encoded(self.model.first_stage(*tokens).cpu().numpy(), tokens)

    @torch.inference_mode()
    def score(self, encoded: Encoded, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with inference_precision(self.model.device):
            queries = self.model.encode_queries(*encoded.tokens)
        scores = queries(torch.from_numpy(passages).to(self.model.device))
        found: npt.NDArray[np.float32] = scores.float().cpu().numpy()
        return found


class CompiledEngine:
    """A Hypencoder's or bi-encoder's query side, compiled. One pass of the tower serves vectors and scores.

    Not for several threads at once.

    Args:
        folder: what `compile_model` wrote.

    Attributes:
        model: the model's fingerprint.

    Raises:
        InputError: a file is missing or broken.
        MismatchError: another version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        manifest = read_json(folder / _MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise MismatchError(f"{folder}: not {FORMAT!r}. Make the linker again")
        if missing := _KEYS - set(manifest):
            problem = f"{', '.join(sorted(missing))} is missing"
            raise InputError(folder / _MANIFEST, "", problem, "Make the linker again")
        self.kind: str = manifest["kind"]
        self.passage_tower: str = manifest["passage_tower"]
        self.model: str = manifest["model"]
        for name, expected in manifest["weights"].items():
            check_file(folder / name, expected)
        self._factor: float = manifest["factor"]
        self._tokenizer = open_tokenizer(folder / _TOKENIZER)
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        self._tokenizer.enable_padding(pad_id=manifest["padding"][0], pad_token=manifest["padding"][1])
        self._query = open_compiled(folder / _QUERY)
        self._scorer = open_compiled(folder / _SCORER) if self.kind == Hypencoder.kind else None

    def encode(self, texts: Sequence[str]) -> Encoded:
        rows = self._tokenizer.encode_batch_fast(list(texts))
        ids = np.array([row.ids for row in rows], dtype=np.int64)
        mask = np.array([row.attention_mask for row in rows], dtype=np.int64)
        outputs = self._query.infer([ids, mask])
        return Encoded(outputs[0], (outputs[1], mask) if self._scorer is not None else ())

    def score(self, encoded: Encoded, passages: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._scorer is None:
            products: npt.NDArray[np.float32] = np.matmul(passages, encoded.vectors[:, :, None])[:, :, 0]
            return products * np.float32(self._factor)
        hidden, mask = encoded.tokens
        scores: npt.NDArray[np.float32] = self._scorer.infer([hidden, mask, passages])[0]
        return scores


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
        save_compiled(module, tokens, [[-1, -1], [-1, -1]], temporary / _QUERY)
        if isinstance(model, Hypencoder):
            hidden = module(*tokens)[1]
            passages = torch.randn(len(hidden), _EXAMPLE_PASSAGES, width)
            shapes = [[-1, -1, hidden.shape[-1]], [-1, -1], [-1, -1, width]]
            save_compiled(
                FoldedHead(model.head).eval(), (hidden, tokens[1], passages), shapes, temporary / _SCORER
            )
        (temporary / _TOKENIZER).write_text(model.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
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
        write_json(temporary / _MANIFEST, manifest)


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
