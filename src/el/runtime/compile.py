"""Makes engines: it compiles the query side of a model with OpenVINO, or runs the model in PyTorch.

It is apart from `el.runtime.engine`, which runs compiled models without PyTorch.
"""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from el.base.files import atomic_folder, sampled_sha256, write_json
from el.base.lengths import by_length
from el.models.base import RetrievalModel, inference_precision
from el.models.biencoder import BiEncoder
from el.models.folded import FoldedGenerator, FoldedQNets
from el.models.hypencoder import Hypencoder
from el.models.low_rank import LowRankGenerator, LowRankQNets, OutputWeights
from el.models.tower import Tower
from el.runtime.engine import (
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
from el.runtime.openvino import save_compiled

# The texts that the networks are traced with.
_EXAMPLES = ["cold", "acute liver failure"]
# The number of mentions that PyTorch encodes and scores at once. A larger number takes more memory.
_BATCH = 32


class TorchEngine:
    """Runs any model in PyTorch. It encodes mentions for their vectors, and again for each call of `score`.

    See `Engine` for the methods.

    Args:
        model: the model, in evaluation mode.
    """

    def __init__(self, model: RetrievalModel) -> None:
        self.model = model
        self.kind = model.kind
        self.passage_tower = model.passage_tower.fingerprint()
        self._retrieve = model.vector_encoder()

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return self.model.token_ids(texts)

    def batches(self, tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        return [rows.tolist() for rows in by_length([len(text) for text in tokens], _BATCH)]

    @torch.inference_mode()
    def encode(self, tokens: Sequence[Sequence[int]], alone: bool = False) -> Encoded:
        del alone
        assert self.model.tokenizer is not None
        # Padding is masked, so any id will do if the tokenizer has none for it.
        padding = self.model.tokenizer.pad_token_id or 0
        ids = pad_sequence([torch.tensor(text) for text in tokens], batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(text) for text in tokens])
        mask = (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()
        inputs = ids.to(self.model.device), mask.to(self.model.device)
        return Encoded(self._retrieve(*inputs).cpu().numpy(), inputs)

    def wait(self, encoded: Encoded) -> None:
        """Returns at once: `encode` does not begin to generate q-nets."""

    @torch.inference_mode()
    def score(self, encoded: Encoded, passages: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        with inference_precision(self.model.device):
            queries = self.model.encode_queries(*encoded.others)
        scores = queries(torch.from_numpy(passages).to(self.model.device).float())
        found: npt.NDArray[np.float32] = scores.float().cpu().numpy()
        return found


def make_engine(model: RetrievalModel) -> Engine:
    """Returns the fastest engine for a model: compiled on a CPU, PyTorch on other devices."""
    if not isinstance(model, BiEncoder | Hypencoder) or model.device.type != "cpu":
        return TorchEngine(model)
    with tempfile.TemporaryDirectory() as scratch:
        compile_model(model, Path(scratch) / "compiled")
        return CompiledEngine(Path(scratch) / "compiled")


def compile_model(model: RetrievalModel, folder: Path) -> None:
    """Writes the query side of a model for `CompiledEngine`, with weights in half precision.

    Args:
        model: a bi-encoder or a Hypencoder with a tokenizer, in evaluation mode, on the CPU.
        folder: the folder to write, atomically.
    """
    assert isinstance(model, BiEncoder | Hypencoder)
    assert model.tokenizer is not None
    with atomic_folder(folder) as temporary, torch.no_grad():
        # Each network gets two examples. A dimension whose sizes differ in them may have any size.
        tokens, others = _examples(model)
        low_rank = isinstance(model, Hypencoder) and model.scores_at_low_rank()
        query = _query_side(model, low_rank)
        _save(query, tokens, others, temporary / QUERY)
        if isinstance(model, Hypencoder):
            generator, qnets = _generator_and_qnets(model, low_rank)
            inputs, other_inputs = ((*query(*example)[1:], example[1]) for example in (tokens, others))
            _save(generator, inputs, other_inputs, temporary / GENERATOR)
            names, other_names = (
                torch.randn(len(ids), 2 + len(ids), model.passage_tower.width).half()
                for ids, _ in (tokens, others)
            )
            inputs, other_inputs = (names, *generator(*inputs)), (other_names, *generator(*other_inputs))
            _save(qnets, inputs, other_inputs, temporary / SCORER)
        (temporary / TOKENIZER).write_text(model.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        manifest = {
            "format": FORMAT,
            "kind": model.kind,
            "model": model.fingerprint(),
            "passage_tower": model.passage_tower.fingerprint(),
            "weights": {path.name: sampled_sha256(path) for path in sorted(temporary.glob("*.bin"))},
            "factor": 1.0 / model.temperature if isinstance(model, BiEncoder) else 1.0,
            "max_tokens": model.tokenizer.model_max_length,
            "padding": model.tokenizer.pad_token_id,
        }
        write_json(temporary / MANIFEST, manifest)


def save_passage_tower(model: RetrievalModel, path: Path) -> None:
    """Writes the network from (B, S) int64 token ids and mask to the (B, D) vectors of passages.

    Args:
        model: a model with a tokenizer, on the CPU. It is not changed.
        path: the file to write, .xml. Its weights are written beside it, in full precision.
    """
    with torch.no_grad():
        _save(_Vectors(model.passage_tower).eval(), *_examples(model), path, half=False)


def _examples(model: RetrievalModel) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Returns token ids and mask of two inputs that differ in both sizes."""
    first, second = (tuple(model.tokenize(texts).values()) for texts in (_EXAMPLES, _EXAMPLES[:1]))
    return first, second


def _query_side(model: BiEncoder | Hypencoder, low_rank: bool) -> nn.Module:
    """Returns the network from (B, S) token ids and mask to retrieving vectors and the generator's inputs.

    The vectors are (B, D). A bi-encoder has no generator, and so no inputs for it.
    """
    if not isinstance(model, Hypencoder):
        return _Vectors(model.query_tower).eval()
    if low_rank:
        return _OutputWeights(model).eval()
    return _VectorsAndTokens(model).eval()


def _generator_and_qnets(model: Hypencoder, low_rank: bool) -> tuple[nn.Module, nn.Module]:
    """Returns the networks that generate q-nets and that score with them."""
    if low_rank:
        return LowRankGenerator(model.head).eval(), LowRankQNets(model.head).eval()
    return FoldedGenerator(model.head).eval(), FoldedQNets(model.head).eval()


def _save(
    module: nn.Module, example: tuple[Tensor, ...], other: tuple[Tensor, ...], path: Path, half: bool = True
) -> None:
    """Writes a network. The dimensions whose sizes differ between two examples may have any size."""
    shapes = [
        [size if size == another else -1 for size, another in zip(one.shape, two.shape, strict=True)]
        for one, two in zip(example, other, strict=True)
    ]
    save_compiled(module, example, shapes, path, half)


class _Traceable(nn.Module):
    """A copy of a tower that can be traced for inputs of any shape."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = copy.deepcopy(tower)
        self.tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, S, D) token vectors."""
        # `Tower.hidden` checks its input, which cannot be traced.
        hidden: Tensor = self.tower.transformer(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return hidden


class _Vectors(nn.Module):
    """Returns a tower's (B, D) vectors."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = _Traceable(tower)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return (self.tower.tower.pool(self.tower(input_ids, attention_mask), attention_mask),)


class _VectorsAndTokens(nn.Module):
    """Returns the retrieval tower's (B, D) vectors and the query tower's (B, S, D) token vectors."""

    def __init__(self, model: Hypencoder) -> None:
        super().__init__()
        self.tower = self.retrieval_tower = _Traceable(model.query_tower)
        if model.retrieval_tower is not model.query_tower:
            self.retrieval_tower = _Traceable(model.retrieval_tower)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        hidden = to_pool = self.tower(input_ids, attention_mask)
        if self.retrieval_tower is not self.tower:
            to_pool = self.retrieval_tower(input_ids, attention_mask)
        return self.retrieval_tower.tower.pool(to_pool, attention_mask), hidden


class _OutputWeights(nn.Module):
    """Returns the q-nets' output weights and the (B, S, D) token vectors.

    The output weights come twice: scaled to length 1, (B, D), and as generated, (B, 1, D).
    """

    def __init__(self, model: Hypencoder) -> None:
        super().__init__()
        self.tower = _Traceable(model.query_tower)
        self.output = OutputWeights(model.head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        hidden = self.tower(input_ids, attention_mask)
        output = self.output(hidden, attention_mask)
        return functional.normalize(output.squeeze(1), dim=-1), output, hidden
