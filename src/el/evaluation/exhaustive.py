"""Every name scored by every q-net: what a search is measured against.

On a CPU, blocks of names are read from the index, small enough for its cache. On a GPU, all names stay in its
memory, in the precision in which they are scored, blocks are large, and `torch.compile` makes one kernel of
all that is between two products. No GPU was at hand: that path is tested on a CPU, where it gives the same;
how fast it is was not measured, which `python -m el.benchmark.exhaustive` does.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from el.base.errors import ElError
from el.base.progress import progress
from el.index.exact import merge_best
from el.index.vectors import NameVectors
from el.linking.ranking import Ranking, rank_concepts
from el.models.base import supports_bf16
from el.models.hypencoder import Hypencoder
from el.models.qnet import QNetConfig, QNets
from el.ontology.ontology import Ontology

# Mentions whose q-nets score at once. With more, what lies between the layers leaves the cache.
QUERY_BATCH = 32
# Names that a batch of q-nets scores at once: what lies between the layers then stays in the cache.
_NAME_BLOCK = 256
# The same on a GPU, which waits for the next kernel where there are fewer; less where its memory is small.
_GPU_BLOCK = 1 << 16
# So many tensors as large as a layer's output are there at once, at most.
_OUTPUTS = 6
# Names that are put on a GPU at once.
_READ = 1 << 14
# Of these, so many are scored once more, exactly.
_RESCORED = 256


@torch.inference_mode()
def rank_exhaustively(
    model: Hypencoder,
    vectors: NameVectors,
    ontology: Ontology,
    texts: Sequence[str],
    k: int,
    description: str = "",
) -> list[Ranking]:
    """Ranks all names by the q-nets' scores, without a first stage: what a search is measured against.

    Where the machine multiplies bf16 in hardware, all names are scored in bf16, and the best of them
    once more in float32.
    """
    rankings: list[Ranking] = []
    every = names_on(model.device, vectors)
    with progress(description, len(texts)) as advance:
        for start in range(0, len(texts), QUERY_BATCH):
            batch = list(texts[start : start + QUERY_BATCH])
            encoding = model.tokenize(every.filled(batch))
            qnets = model.encode_queries(encoding["input_ids"], encoding["attention_mask"])
            names = every.best(qnets, _RESCORED)[: len(batch)].numpy()
            passages = torch.from_numpy(vectors.gather(names)).to(model.device)
            scores = qnets[: len(batch)](passages).cpu().numpy()
            rankings += rank_concepts(names, scores, ontology.concept_of_name, ontology.ids, k)
            advance(len(batch))
    return rankings


class AllNames:
    """All names' vectors, read from the index block by block: what a CPU scores.

    Args:
        device: where q-nets score; in bf16 where it multiplies that in hardware, otherwise in float32.
        vectors: of N names, 1 or more.
        block: names that are scored at once.
    """

    def __init__(self, device: torch.device, vectors: NameVectors, block: int) -> None:
        self.device = device
        self.precision = torch.bfloat16 if supports_bf16(device) else torch.float32
        self.vectors = vectors
        self.block = min(block, len(vectors))

    def filled(self, texts: list[str]) -> list[str]:
        """Up to `QUERY_BATCH` texts, and maybe some more: as many q-nets as score fastest."""
        return texts

    @torch.inference_mode()
    def best(self, qnets: QNets, k: int) -> Tensor:
        """Finds the names that q-nets score best.

        Args:
            qnets: B, on the device.
            k: how many; fewer are returned where there are fewer names.

        Returns:
            (B, k) int64 name rows, best first, on the CPU.
        """
        fast, count = qnets.to(self.precision), len(self.vectors)
        best = torch.full((len(qnets), min(k, count)), -torch.inf, device=self.device)
        found = torch.zeros(best.shape, dtype=torch.int64, device=self.device)
        for start in range(0, count, self.block):
            scores = self._scores(fast, start)
            # The last block may be filled up.
            scores[:, count - start :] = -torch.inf
            rows = torch.arange(start, start + scores.shape[1], device=self.device)
            best, found = merge_best(best, found, scores, rows)
        return found.cpu()

    def _scores(self, qnets: QNets, start: int) -> Tensor:
        """Returns (B, M) float32 scores of the block that begins at a name row."""
        return qnets(self._read(start, self.block)).float()

    def _read(self, start: int, count: int) -> Tensor:
        rows = np.arange(start, min(start + count, len(self.vectors)))
        return torch.from_numpy(self.vectors.gather(rows)).to(self.device, self.precision)


class HeldNames(AllNames):
    """All names' vectors in the device's memory, in blocks of one size: what a GPU scores.

    Scoring is compiled for that size and for `QUERY_BATCH` q-nets; for another number it is compiled anew.
    Args as of `AllNames`.
    """

    def __init__(self, device: torch.device, vectors: NameVectors, block: int) -> None:
        super().__init__(device, vectors, block)
        count, width = len(vectors), vectors.vectors.shape[1]
        whole = -(-count // self.block) * self.block
        self._held = torch.zeros(whole, width, dtype=self.precision, device=device)
        for start in range(0, count, _READ):
            part = self._read(start, _READ)
            self._held[start : start + len(part)] = part
        self._compiled = _Compiled(_score)

    def filled(self, texts: list[str]) -> list[str]:
        return texts + texts[-1:] * (QUERY_BATCH - len(texts))

    def _scores(self, qnets: QNets, start: int) -> Tensor:
        return self._compiled(
            qnets.weights, qnets.biases, qnets.config, self._held[start : start + self.block]
        )


def names_on(device: torch.device, vectors: NameVectors) -> AllNames:
    """All names, as a device scores them fastest, by layers that are not wider than their vectors.

    Raises:
        ElError: a GPU's memory is too small.
    """
    if device.type != "cuda":
        return AllNames(device, vectors, _NAME_BLOCK)
    width = vectors.vectors.shape[1]
    # What they take in float32, at most.
    free = torch.cuda.mem_get_info(device)[0] - 4 * len(vectors) * width
    block = min(_GPU_BLOCK, free // (_OUTPUTS * 4 * QUERY_BATCH * width))
    if block < _NAME_BLOCK:
        raise ElError(
            f"{len(vectors):,} names do not fit into the GPU's memory. Close other programs, or use the CPU"
        )
    return HeldNames(device, vectors, block)


def _score(weights: list[Tensor], biases: list[Tensor], config: QNetConfig, names: Tensor) -> Tensor:
    """Returns (B, M) float32 scores of (M, D) names, as `QNets` does.

    The last product is written as a sum, which is compiled into one kernel with the layer before it.
    """
    x = names * config.input_scale
    for layer, bias in enumerate(biases):
        x = config.finish_layer(layer, torch.matmul(x, weights[layer]) + bias.unsqueeze(1), x)
    return (x * weights[-1].mT).sum(dim=-1, dtype=torch.float32)


class _Compiled:
    """A function compiled for the shapes of its arguments; as it is, with a note, where that fails."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._compiled: Callable[..., Tensor] | None = torch.compile(function, dynamic=False)

    def __call__(self, *arguments: Any) -> Tensor:
        if self._compiled is not None:
            try:
                return self._compiled(*arguments)
            except torch.OutOfMemoryError:
                raise
            # What a missing compiler or Triton raises derives from it.
            except RuntimeError as error:
                reason = str(error).strip().partition("\n")[0]
                print(f"note: all names are scored without torch.compile ({reason})", file=sys.stderr)
                self._compiled = None
        return self._function(*arguments)
