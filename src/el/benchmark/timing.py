"""Times systems: one mention at a time, in batches, and the tower alone."""

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
# The number of mentions before the clock starts. Engines compile networks for common input shapes during the
# first mentions; fewer may leave some of that for the timed ones.
_WARM_UP = 40
# The number of mentions of a system before the next system's turn. It is large enough that the weights of the
# system are in the processor's cache, as if it ran alone. At a larger value, a slow phase of the machine
# falls on one system.
_TURN = 60
# The number of timed rounds of batches, whose median is reported.
_ROUNDS = 5
# The pause after PyTorch ran, in seconds. Its threads wait actively for a while and disturb the next timing.
PAUSE_SECONDS = 0.01


@dataclass(frozen=True, eq=False)
class Timed:
    """A system that is timed.

    Attributes:
        name: a name such as "hypencoder_2".
        model: the model in PyTorch.
        engine: the model, compiled.
        vectors: the vectors of the ontology's names.
        candidates: number of names that are retrieved, and scored by a q-net, per mention.
        index: finds the nearest of the vectors.
    """

    name: str
    model: RetrievalModel
    engine: Engine
    vectors: NameVectors
    candidates: int
    index: VectorIndex

    @property
    def generates(self) -> bool:
        """Whether the system generates q-nets, which score its candidates."""
        return self.engine.kind == Hypencoder.kind

    def score(self, encoded: Encoded, found: Neighbours) -> npt.NDArray[np.float32]:
        """Returns (B, K) float32 scores of (B, K) candidates."""
        return self.engine.score(encoded, self.vectors.gather_half(found[1]))

    def ranker(self, ontology: Ontology) -> ModelRanker:
        """Returns the system as a ranker of concepts."""
        return ModelRanker(self.engine, self.vectors, ontology, self.candidates)


def timed_model(name: str, model: RetrievalModel, vectors: NameVectors, candidates: int) -> Timed:
    """Makes a system from a model: compiles it, and opens the index of the names' vectors."""
    return Timed(name, model, make_engine(model), vectors, candidates, open_index(vectors))


def time_singles(
    systems: Sequence[Timed], texts: Sequence[str], description: str
) -> dict[str, dict[str, float]]:
    """Times one mention at a time. The systems take turns, each with a few mentions.

    Returns:
        For each system and step, and for their total, p50 and p95 in milliseconds. The steps are:
        encode: tokens and tower, and the output weights if the model retrieves by them;
        search: names are found in the index;
        generate: the rest of generating the q-net, which runs in parallel with the search, when that is done;
        score: vectors of names are read and the q-net is applied; nothing for a bi-encoder, whose search
        computes its scores.
    """
    for system in systems:
        for text in texts[:_WARM_UP]:
            time_once(system, text)
    # With few mentions turns are shorter, so that each system still comes first, second and so on.
    turn = max(min(_TURN, len(texts) // len(systems)), 1)
    turns = list(systems)
    seconds: dict[str, list[tuple[float, ...]]] = {system.name: [] for system in systems}
    with progress(description, len(texts)) as advance:
        for start in range(0, len(texts), turn):
            mentions = texts[start : start + turn]
            for system in turns:
                seconds[system.name] += [time_once(system, text) for text in mentions]
            # Rotated, because the speed of the machine varies: each system comes equally often at each place.
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
    """Returns the seconds that each of the `STEPS` takes for a mention."""
    clock = [time.perf_counter()]
    encoded = system.engine.encode(system.engine.tokenize([text]), alone=True)
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
    """Returns mentions per second of each ranker, in batches, in turn: the median of `_ROUNDS` rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in rankers}
    with progress("time batches", (_ROUNDS + 1) * len(texts)) as advance:
        # The first round is a warm-up and is not counted.
        for _ in range(_ROUNDS + 1):
            taken = dict.fromkeys(rankers, 0.0)
            for first in range(0, len(texts), batch):
                part = texts[first : first + batch]
                for name, ranker in rankers.items():
                    start = time.perf_counter()
                    ranker.retrieve(part)
                    taken[name] += time.perf_counter() - start
                advance(len(part))
            for name, of_round in taken.items():
                seconds[name].append(of_round)
    return {name: round(len(texts) / float(np.median(rounds[1:])), 1) for name, rounds in seconds.items()}


@torch.inference_mode()
def time_towers(model: RetrievalModel, engine: Engine, texts: Sequence[str]) -> tuple[float, float]:
    """Returns the p50, in milliseconds, of encoding a mention: in float32 PyTorch, and by an engine."""
    seconds = []
    for text in [*texts[:_WARM_UP], *texts]:
        start = time.perf_counter()
        encoding = model.tokenize([text])
        model.retrieval_tower(encoding["input_ids"], encoding["attention_mask"])
        plain = time.perf_counter() - start
        time.sleep(PAUSE_SECONDS)
        start = time.perf_counter()
        engine.encode(engine.tokenize([text]), alone=True)
        seconds.append((plain, time.perf_counter() - start))
    columns = np.array(seconds[-len(texts) :]).T
    return milliseconds(columns[0], 50), milliseconds(columns[1], 50)


def ratio(figures: Mapping[str, Mapping[str, float]], name: str, base: str) -> float:
    """Returns the p50 of a system divided by the p50 of another, which took turns with it."""
    return round(figures[name]["total_p50_ms"] / figures[base]["total_p50_ms"], 3)


def milliseconds(seconds: Sequence[float] | npt.NDArray[np.float64], percent: int) -> float:
    """Returns a percentile of times in seconds, in milliseconds."""
    return round(float(np.percentile(seconds, percent)) * 1000, 3)
