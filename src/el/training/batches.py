"""Plans which pairs make which batch.

The plan is made before training. It depends on the pairs and a seed only, so that every model and every
resumed training sees the same batches.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.training.pairs import Pair


@dataclass(frozen=True)
class Source:
    """Pairs, and how many of them a batch takes.

    Attributes:
        pairs: the pairs. They are taken in a shuffled order, epoch after epoch.
        per_batch: how many pairs a batch takes.
        neighbours: (n, k) int64, for each pair the numbers of the pairs nearest to it, nearest first. They
            follow the pair, usually into the same batch, as negatives that are hard to tell apart. None for
            the shuffled order.
        repeated: whether an epoch has a pair for n mentions about sqrt(n) times instead of once. Frequent
            forms are then learned well, and rare forms still occur often enough.
    """

    pairs: Sequence[Pair]
    per_batch: int
    neighbours: npt.NDArray[np.int64] | None = None
    repeated: bool = False


def plan_batches(sources: Sequence[Source], steps: int, seed: int) -> list[list[Pair]]:
    """Fills `steps` batches so that no two queries of a batch share a concept.

    A pair that shares a concept with its batch waits for the next batch. A source with too few concepts gives
    smaller batches.

    Args:
        sources: the pairs, and how many of each source a batch takes.
        steps: the number of batches.
        seed: the seed of the shuffling.

    Returns:
        A list of pairs for each step.
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
    """An endless stream of shuffled pairs. Pairs can be put back to its front."""

    def __init__(self, source: Source, generator: np.random.Generator) -> None:
        self.pairs = source.pairs
        self.neighbours = source.neighbours
        self.generator = generator
        times = [round(math.sqrt(pair.count)) if source.repeated else 1 for pair in source.pairs]
        self.epoch = np.repeat(np.arange(len(source.pairs)), times)
        # The rest of the shuffled epoch, and the pairs that go before it.
        self.rest: deque[int] = deque()
        self.ahead: deque[int] = deque()
        # The pairs of this epoch that were taken in its order, and those that follow them as neighbours.
        self.leaders: set[int] = set()
        self.followers: set[int] = set()

    def take(self, count: int, taken: set[str]) -> list[Pair]:
        """Takes up to `count` pairs that share no concept with `taken`; their concepts are added to it."""
        batch: list[Pair] = []
        waiting: list[int] = []
        seen: set[int] = set()
        # Once all pairs have been tried, no pair is left that fits.
        while len(batch) < count and len(seen) < len(self.pairs):
            number = self._next()
            seen.add(number)
            pair = self.pairs[number]
            if taken.isdisjoint(pair.concept_ids):
                taken.update(pair.concept_ids)
                batch.append(pair)
            else:
                waiting.append(number)
        self.ahead.extendleft(reversed(waiting))
        return batch

    def _next(self) -> int:
        if self.ahead:
            return self.ahead.popleft()
        while True:
            if not self.rest:
                self.rest.extend(self.generator.permutation(self.epoch).tolist())
                self.leaders.clear()
                self.followers.clear()
            number = self.rest.popleft()
            if number not in self.followers:
                break
        if self.neighbours is not None:
            self.leaders.add(number)
            near = self.neighbours[number].tolist()
            free = [one for one in near if one not in self.leaders and one not in self.followers]
            self.followers.update(free)
            self.ahead.extend(free)
        return number
