"""Clocks around a system: one mention at a time, in batches, and its tower alone."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from el.base.progress import progress
from el.index.contract import Neighbours, VectorIndex
from el.index.graph_index import open_index
from el.index.vectors import NameVectors
from el.linking.rankers import ModelRanker
from el.models.base import RetrievalModel
from el.models.hypencoder import Hypencoder
from el.ontology.ontology import Ontology
from el.runtime.compile import make_engine
from el.runtime.engine import Encoded, Engine

STEPS = ("encode", "search", "generate", "score")
# More than what an engine takes to compile what is met often.
_WARM_UP = 40
# Mentions of a system, then it is another's turn: enough for its own weights to be in the processor's cache,
# as they are where it is alone.
_TURN = 60
# Of batches.
_ROUNDS = 5
# PyTorch's threads wait actively for a while, in the way of what is timed next.
PAUSE_SECONDS = 0.01


@dataclass(frozen=True, eq=False)
class Timed:
    """A system that is timed.

    Attributes:
        name: such as "hypencoder_2".
        model: as it was trained.
        engine: the same, as it runs.
        vectors: of the ontology's names.
        candidates: names that are retrieved, and that a q-net scores.
        index: finds candidates among them.
    """

    name: str
    model: RetrievalModel
    engine: Engine
    vectors: NameVectors
    candidates: int
    index: VectorIndex

    @property
    def generates(self) -> bool:
        """Whether its scores are those of q-nets."""
        return self.engine.kind == Hypencoder.kind

    def score(self, encoded: Encoded, found: Neighbours) -> npt.NDArray[np.float32]:
        """Scores (B, K) candidates: (B, K) float32."""
        return self.engine.score(encoded, self.vectors.gather_half(found[1]))

    def ranker(self, ontology: Ontology) -> ModelRanker:
        return ModelRanker(self.engine, self.vectors, ontology, self.candidates)


def timed_model(name: str, model: RetrievalModel, vectors: NameVectors, candidates: int) -> Timed:
    """Makes a system of a model as it runs, with the index of names that fits it."""
    return Timed(name, model, make_engine(model), vectors, candidates, open_index(vectors))


def time_singles(
    systems: Sequence[Timed], texts: Sequence[str], description: str
) -> dict[str, dict[str, float]]:
    """Times one mention at a time, by all systems in turn, each with a few mentions.

    Returns:
        For each system and each of encode (tokens, tower, and output weights where these retrieve), search,
        generate (what is left of it when the search, beside which it runs, is done), score (names are fetched
        and the q-net is applied; a bi-encoder's search has scored already) and total: p50 and p95 in
        milliseconds.
    """
    for system in systems:
        for text in texts[:_WARM_UP]:
            time_once(system, text)
    # Where there are few mentions, each system has its turn at every place all the same.
    turn = max(min(_TURN, len(texts) // len(systems)), 1)
    turns = list(systems)
    seconds: dict[str, list[tuple[float, ...]]] = {system.name: [] for system in systems}
    with progress(description, len(texts)) as advance:
        for start in range(0, len(texts), turn):
            mentions = texts[start : start + turn]
            for system in turns:
                seconds[system.name] += [time_once(system, text) for text in mentions]
            # The machine may be slower for a while: each comes first, and after each other, as often.
            turns.append(turns.pop(0))
            advance(len(mentions))
    return {name: _percentiles(np.array(steps)) for name, steps in seconds.items()}


def _percentiles(steps: npt.NDArray[np.float64]) -> dict[str, float]:
    columns = dict(zip(STEPS, steps.T, strict=True)) | {"total": steps.sum(axis=1)}
    return {
        f"{name}_p{percent}_ms": milliseconds(values, percent)
        for name, values in columns.items()
        for percent in (50, 95)
    }


def time_once(system: Timed, text: str) -> tuple[float, ...]:
    """Seconds that each of the `STEPS` of a mention takes."""
    clock = [time.perf_counter()]
    encoded = system.engine.encode(system.engine.tokenize([text]))
    clock.append(time.perf_counter())
    found = system.index.search(encoded.vectors, system.candidates)
    clock.append(time.perf_counter())
    system.engine.wait(encoded)
    clock.append(time.perf_counter())
    if system.generates:
        system.score(encoded, found)
    clock.append(time.perf_counter())
    return tuple(stop - start for start, stop in itertools.pairwise(clock))


def time_batches(rankers: Mapping[str, ModelRanker], texts: Sequence[str], batch: int) -> dict[str, float]:
    """Mentions a second of each ranker, in batches, in turn: the median of `_ROUNDS` rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in rankers}
    with progress("time batches", (_ROUNDS + 1) * len(texts)) as advance:
        # The first warms them up.
        for _ in range(_ROUNDS + 1):
            taken = dict.fromkeys(rankers, 0.0)
            for first in range(0, len(texts), batch):
                part = texts[first : first + batch]
                for name, ranker in rankers.items():
                    start = time.perf_counter()
                    ranker.retrieve(part)
                    taken[name] += time.perf_counter() - start
                advance(len(part))
            for name, own in taken.items():
                seconds[name].append(own)
    return {name: round(len(texts) / float(np.median(own[1:])), 1) for name, own in seconds.items()}


@torch.inference_mode()
def time_towers(model: RetrievalModel, engine: Engine, texts: Sequence[str]) -> tuple[float, float]:
    """Milliseconds, p50, that plain float32 PyTorch and an engine take to encode a mention, in turn."""
    seconds = []
    for text in [*texts[:_WARM_UP], *texts]:
        start = time.perf_counter()
        encoding = model.tokenize([text])
        model.retrieval_tower(encoding["input_ids"], encoding["attention_mask"])
        plain = time.perf_counter() - start
        time.sleep(PAUSE_SECONDS)
        start = time.perf_counter()
        engine.encode(engine.tokenize([text]))
        seconds.append((plain, time.perf_counter() - start))
    columns = np.array(seconds[-len(texts) :]).T
    return milliseconds(columns[0], 50), milliseconds(columns[1], 50)


def ratio(figures: Mapping[str, Mapping[str, float]], name: str, base: str) -> float:
    """What a system takes in relation to another, in the same turns."""
    return round(figures[name]["total_p50_ms"] / figures[base]["total_p50_ms"], 3)


def milliseconds(seconds: Sequence[float] | npt.NDArray[np.float64], percent: int) -> float:
    """A percentile of seconds, in milliseconds."""
    return round(float(np.percentile(seconds, percent)) * 1000, 3)
