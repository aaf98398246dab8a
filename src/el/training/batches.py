"""Which pairs make which batch: decided before training, the same for every model and every resume."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from el.training.pairs import Pair


@dataclass(frozen=True)
class Source:
    """Pairs and how many of them stand in each batch.

    Attributes:
        pairs: gone through in a shuffled order, again and again.
        per_batch: how many stand in each batch.
        repeated: whether a pair that stands for several mentions comes as often as the root of their number:
            often enough to be learned well, while rare ones still come.
    """

    pairs: Sequence[Pair]
    per_batch: int
    repeated: bool = False


def plan_batches(sources: Sequence[Source], steps: int, seed: int) -> list[list[Pair]]:
    """Fills `steps` batches so that no two queries of a batch share a concept.

    Each source is gone through in a shuffled order, again and again; a pair that collides with its
    batch waits for the next. A source with too few concepts gives smaller batches.

    Args:
        sources: the pairs, and how many of each source a batch takes.
        steps: the number of batches.
        seed: of the shuffling.
    """
    generator = np.random.default_rng(seed)
    streams = [_Stream(source, generator) for source in sources]
    batches = []
    for _ in range(steps):
        taken: set[str] = set()
        batch: list[Pair] = []
        for source, stream in zip(sources, streams, strict=True):
            batch += stream.take(source.per_batch, taken)
        batches.append(batch)
    return batches


class _Stream:
    """An endless shuffled stream of pairs, in which a pair can be put back to the front."""

    def __init__(self, source: Source, generator: np.random.Generator) -> None:
        self.pairs = source.pairs
        self.generator = generator
        times = [round(math.sqrt(pair.count)) if source.repeated else 1 for pair in source.pairs]
        self.epoch = np.repeat(np.arange(len(source.pairs)), times)
        self.queue: deque[int] = deque()

    def take(self, count: int, taken: set[str]) -> list[Pair]:
        """Takes up to `count` pairs whose concepts are not in `taken`, and adds theirs to it."""
        batch: list[Pair] = []
        waiting: list[int] = []
        seen: set[int] = set()
        # Once all pairs have been seen nothing new can come.
        while len(batch) < count and len(seen) < len(self.pairs):
            number = self._next()
            seen.add(number)
            pair = self.pairs[number]
            if taken.isdisjoint(pair.concept_ids):
                taken.update(pair.concept_ids)
                batch.append(pair)
            else:
                waiting.append(number)
        self.queue.extendleft(reversed(waiting))
        return batch

    def _next(self) -> int:
        if not self.queue:
            self.queue.extend(self.generator.permutation(self.epoch).tolist())
        return self.queue.popleft()
