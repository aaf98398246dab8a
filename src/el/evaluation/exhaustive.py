"""Scores every name with every q-net. A search is measured against the exact rankings of this module.

On a CPU, names are read from the index in blocks that fit into the CPU's cache. On a GPU, all names stay in
the GPU's memory, in the precision in which they are scored. Blocks are large there, and `torch.compile` makes
one kernel of all operations between two matrix products. The tests run the GPU's code on a CPU, where it
gives the same rankings. Its speed on a GPU has not been measured: `python -m el.benchmark.exhaustive`
measures it.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from el.base.errors import ElError, first_line
from el.base.progress import progress
from el.index.exact import merge_best
from el.index.vectors import NameVectors
from el.linking.ranking import Ranking, rank_concepts
from el.models.base import supports_bf16
from el.models.hypencoder import Hypencoder
from el.models.qnet import QNetConfig, QNets
from el.ontology.ontology import Ontology

# How many q-nets score together. With more, the layers' outputs do not fit into a CPU's cache.
QUERY_BATCH = 32
# How many names a CPU scores together. With more, the layers' outputs do not fit into its cache.
_NAME_BLOCK = 256
# How many names a GPU scores together, if its memory allows. With fewer, the GPU waits between two kernels.
# With more, it needs more memory.
_GPU_BLOCK = 1 << 16
# The most tensors of the size of a layer's output that are in a GPU's memory together. It is used to estimate
# how large a block the memory allows; a larger value gives smaller blocks.
_OUTPUTS = 6
# How many names are copied to a GPU together. More need more memory on both sides.
_READ = 1 << 14
# How many of the best names of each q-net are scored again in float32. With more, fewer names are lost by the
# rounding of bf16, and the ranking takes longer.
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
    """Ranks concepts by the q-nets' scores of all names, without a first stage.

    Where the device multiplies bf16 in hardware, all names are scored in bf16, and the best 256 names of each
    query again in float32.

    Args:
        model: makes the q-nets.
        vectors: the names' vectors.
        ontology: gives the concept of each name.
        texts: the texts of the queries.
        k: the most concepts of a ranking.
        description: shown with the progress; "" shows none.

    Returns:
        A ranking for each text.

    Raises:
        ElError: a GPU's memory is too small.
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
    """Scores all names, and reads their vectors from the index block by block. A CPU uses this class.

    Args:
        device: where q-nets score: in bf16 if the device multiplies bf16 in hardware, otherwise in float32.
        vectors: the vectors of N names, N > 0.
        block: the number of names that are scored together.
    """

    def __init__(self, device: torch.device, vectors: NameVectors, block: int) -> None:
        self.device = device
        self.precision = torch.bfloat16 if supports_bf16(device) else torch.float32
        self.vectors = vectors
        self.block = min(block, len(vectors))

    def filled(self, texts: list[str]) -> list[str]:
        """Returns up to `QUERY_BATCH` texts, repeated to the number of q-nets that scores fastest."""
        return texts

    @torch.inference_mode()
    def best(self, qnets: QNets, k: int) -> Tensor:
        """Finds the names that q-nets score best.

        Args:
            qnets: B q-nets, on the device.
            k: the number of names to find; all N if there are fewer.

        Returns:
            (B, k) int64 name rows, best first, on the CPU.
        """
        fast, count = qnets.to(self.precision), len(self.vectors)
        best = torch.full((len(qnets), min(k, count)), -torch.inf, device=self.device)
        found = torch.zeros(best.shape, dtype=torch.int64, device=self.device)
        for start in range(0, count, self.block):
            scores = self._scores(fast, start)
            # The last block may hold padding after the last name.
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
    """Scores all names, and holds their vectors in the device's memory. A GPU uses this class.

    Scoring is compiled for blocks of one size and for `QUERY_BATCH` q-nets. Another number of q-nets needs
    another compilation. The arguments are those of `AllNames`.
    """

    def __init__(self, device: torch.device, vectors: NameVectors, block: int) -> None:
        super().__init__(device, vectors, block)
        count, width = len(vectors), vectors.vectors.shape[1]
        padded = -(-count // self.block) * self.block
        self._held = torch.zeros(padded, width, dtype=self.precision, device=device)
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
    """Returns all names in the form that the device scores fastest.

    Args:
        device: where q-nets score.
        vectors: the names' vectors. Layers of the q-nets must not be wider.

    Raises:
        ElError: a GPU's memory is too small.
    """
    if device.type != "cuda":
        return AllNames(device, vectors, _NAME_BLOCK)
    width = vectors.vectors.shape[1]
    # The free memory once the names are there: in float32, their largest form.
    free = torch.cuda.mem_get_info(device)[0] - 4 * len(vectors) * width
    block = min(_GPU_BLOCK, free // (_OUTPUTS * 4 * QUERY_BATCH * width))
    if block < _NAME_BLOCK:
        raise ElError(
            f"{len(vectors):,} names do not fit into the GPU's memory. Close other programs on the GPU, or "
            "use the CPU"
        )
    return HeldNames(device, vectors, block)


def _score(weights: list[Tensor], biases: list[Tensor], config: QNetConfig, names: Tensor) -> Tensor:
    """Returns (B, M) float32 scores of (M, D) names, equal to those of `QNets`.

    The last product is written as a sum, so that it is compiled into one kernel with the layer before.
    """
    x = names * config.input_scale
    for layer, bias in enumerate(biases):
        x = config.finish_layer(layer, torch.matmul(x, weights[layer]) + bias.unsqueeze(1), x)
    return (x * weights[-1].mT).sum(dim=-1, dtype=torch.float32)


class _Compiled:
    """A function compiled for the shapes of its arguments.

    If compiling fails, a note is printed to stderr and the function runs uncompiled.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._compiled: Callable[..., Tensor] | None = torch.compile(function, dynamic=False)

    def __call__(self, *arguments: Any) -> Tensor:
        if self._compiled is not None:
            try:
                return self._compiled(*arguments)
            except torch.OutOfMemoryError:
                raise
            # The errors for a missing compiler and for a missing Triton derive from RuntimeError.
            except RuntimeError as error:
                print(
                    "note: all names are scored without torch.compile, because it failed: "
                    f"{first_line(error)}",
                    file=sys.stderr,
                )
                self._compiled = None
        return self._function(*arguments)
