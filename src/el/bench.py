"""`python -m el.bench`: how fast the trained systems link by name on this machine, in one run.

One mention at a time, then in batches; all systems in turn with each mention, so that ratios hold where
absolute times do not. All retrieve from the same kind of index in the same process. Beside the bi-encoder
and the Hypencoders, each in turn with the bi-encoder on fewer mentions: the bi-encoder that compares with
every name (`bi_encoder_flat`), and the shallowest Hypencoder by the published graph search
(`graph_search`). Every q-net is generated and scored; nothing is cached.
"""

import itertools
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import torch

from el.cli import load_section, run_stage
from el.errors import ConfigError
from el.evaluation.protocol import load_protocol
from el.evaluation.queries import Query
from el.evaluation.rankings import Ranking, rank_concepts
from el.evaluation.run import load_split, split_queries
from el.files import atomic_folder, read_json, write_json
from el.index.graph import NameGraph
from el.index.vectors import NameVectors
from el.models import Hypencoder, RetrievalModel, load_model
from el.models.base import supports_bf16
from el.ontology import Ontology
from el.progress import progress
from el.rankers import ModelRanker, distinct_inputs
from el.search.compiling import make_engine
from el.search.engine import Engine
from el.search.exhaustive import rank_exhaustively
from el.search.neighbours import GraphSearch, lowest_level
from el.stages.common import FLAT, GRAPH_SEARCH, METRICS, Workspace
from el.stages.evaluate import PROTOCOLS
from el.stages.machine import MACHINE

_WARM_UP = 10
# Of what is slow, so many mentions are enough for a median.
_SLOW_MENTIONS = 20
# PyTorch's threads wait actively for a while, in the way of what is timed next.
_PAUSE_SECONDS = 0.01
_COMPARED = 10
# What `dvc metrics` shows of each system.
_SHOWN = (
    ("ms", "total_p50_ms"),
    ("ratio", "total_p50_ratio"),
    ("mentions_per_second", "mentions_per_second"),
)

# (1, D) vectors to (1, K) rows.
Search = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is timed.

    Attributes:
        mentions: how many distinct ones, one at a time and in batches.
        batch: mentions at once in the second timing.
        candidates: names that are retrieved and scored.
        exhaustive: mentions for which q-nets also score all names, to see what the search loses.
    """

    mentions: int
    batch: int
    candidates: int
    exhaustive: int

    def __post_init__(self) -> None:
        if min(self.mentions, self.batch, self.candidates) < 1 or self.exhaustive < 0:
            raise ConfigError(
                f"mentions is {self.mentions}, batch {self.batch}, candidates {self.candidates}; each must "
                f"be 1 or more; exhaustive is {self.exhaustive}; it must be 0 or more"
            )


@dataclass(frozen=True, eq=False)
class Timed:
    """A system that is timed.

    Attributes:
        name: such as "hypencoder_2".
        model: as it was trained.
        engine: the same, as it runs.
        vectors: of the ontology's names.
        search: finds candidates.
    """

    name: str
    model: RetrievalModel
    engine: Engine
    vectors: NameVectors
    search: Search


class Benchmark:
    """Times the systems of a run on the same mentions.

    Args:
        space: the run whose models are timed.
        config: what is timed.
        queries: mentions of dev, equal ones once.
    """

    def __init__(self, space: Workspace, config: BenchmarkConfig, queries: Sequence[Query]) -> None:
        self.space = space
        self.config = config
        self.queries = queries
        self.texts = distinct_inputs(queries)[0]
        self.figures: dict[str, float] = {}
        self._rankings: dict[str, list[Ranking]] = {}
        self.systems = [self._load(name) for name in space.trained_systems]

    def run(self) -> dict[str, float]:
        """Returns all figures, by "<system>/<figure>"."""
        self._singles()
        self._batches()
        self._towers()
        for system in self.systems:
            assert system.vectors.folder is not None
            size = sum(path.stat().st_size for path in system.vectors.folder.iterdir())
            self._add(system.name, {"index_mb": round(size / 1e6, 1)})
            if isinstance(system.model, Hypencoder):
                self._add(system.name, self._against_exhaustive(system))
        self._flat()
        self._graph_search()
        # Of the whole run, with all models in memory.
        return self.figures | {"peak_memory_mb": round(peak_memory_mb(), 1)}

    def _load(self, name: str) -> Timed:
        model = load_model(self.space.finetuned(name))
        vectors = self.space.vectors(model)
        return Timed(
            name, model, make_engine(model), vectors, partial(_by_graph, vectors, self.config.candidates)
        )

    def _ranker(self, system: Timed) -> ModelRanker:
        return ModelRanker(system.engine, system.vectors, self.space.ontology, self.config.candidates)

    def _singles(self) -> None:
        figures = time_singles(self.systems, self.texts, "time mentions one by one")
        for name in figures:
            self._add(name, figures[name] | {"total_p50_ratio": _ratio(figures, name)})

    def _batches(self) -> None:
        rankers = {system.name: self._ranker(system) for system in self.systems}
        for name, rate in time_batches(rankers, self.texts, self.config.batch).items():
            self._add(name, {"mentions_per_second": rate})

    def _towers(self) -> None:
        bi_encoder = self.systems[0]
        plain, compiled = time_towers(bi_encoder.model, bi_encoder.engine, self.texts)
        self._add("tower", {"torch_fp32_p50_ms": plain, "p50_ms": compiled})

    def _against_exhaustive(self, system: Timed) -> dict[str, float]:
        """What the search loses: recall@10 of the concepts, and accuracy@1 of both."""
        queries = self.queries[: self.config.exhaustive]
        if not queries:
            return {}
        exact = self._exact(system)
        found = self._ranker(system).rank(queries, _COMPARED)
        figures = {"exhaustive_mentions": float(len(queries)), "recall@10": _recall(found, exact)}
        for name, rankings in (("accuracy@1", found), ("exhaustive_accuracy@1", exact)):
            right = [r.concept_ids[0] in q.gold for q, r in zip(queries, rankings, strict=True)]
            figures[name] = round(float(np.mean(right)), 4)
        return figures

    def _exact(self, system: Timed) -> list[Ranking]:
        """The rankings of all names by a system's q-nets; kept, for they take long."""
        if system.name not in self._rankings:
            assert isinstance(system.model, Hypencoder)
            self._rankings[system.name] = rank_exhaustively(
                system.model,
                system.vectors,
                self.space.ontology,
                self.texts[: self.config.exhaustive],
                _COMPARED,
                f"score all names by {system.name}",
            )
        return self._rankings[system.name]

    def _flat(self) -> None:
        bi_encoder = self.systems[0]
        assert bi_encoder.vectors.graph is not None
        search = partial(_by_comparison, bi_encoder.vectors.graph, self.config.candidates)
        flat = replace(bi_encoder, name=FLAT, search=search)
        figures = time_singles([bi_encoder, flat], self.texts[:_SLOW_MENTIONS], f"time {FLAT}")
        self._add(FLAT, figures[FLAT])
        self._add(FLAT, {"total_p50_ratio": _ratio(figures, FLAT)})

    def _graph_search(self) -> None:
        """Times the published search of the shallowest q-nets, in PyTorch, in turn with the bi-encoder."""
        bi_encoder = self.systems[0]
        qnets = [(s.model.head.config.depth, s) for s in self.systems if isinstance(s.model, Hypencoder)]
        system = min(qnets, key=lambda pair: pair[0])[1]
        assert system.vectors.graph is not None
        neighbours = lowest_level(system.vectors.graph)
        seconds, base, scored, found = [], [], [], []
        with progress(f"time {GRAPH_SEARCH}", _SLOW_MENTIONS) as advance:
            for text in self.texts[:_SLOW_MENTIONS]:
                base.append(sum(_time_once(bi_encoder, text)))
                start = time.perf_counter()
                ranking, count = graph_search(system, self.space.ontology, neighbours, text)
                seconds.append(time.perf_counter() - start)
                time.sleep(_PAUSE_SECONDS)
                scored.append(count)
                found.append(ranking)
                advance(1)
        figures = {
            "total_p50_ms": _milliseconds(seconds, 50),
            "total_p95_ms": _milliseconds(seconds, 95),
            "total_p50_ratio": round(float(np.median(seconds) / np.median(base)), 3),
            "names_scored": round(float(np.median(scored))),
        }
        if self.config.exhaustive:
            exact = self._exact(system)[:_SLOW_MENTIONS]
            figures["recall@10"] = _recall(found[: len(exact)], exact)
        self._add(GRAPH_SEARCH, figures)

    def _add(self, system: str, figures: dict[str, float]) -> None:
        self.figures |= {f"{system}/{name}": value for name, value in figures.items()}


def _by_graph(vectors: NameVectors, k: int, queries: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return vectors.search(queries, k)[1]


def _by_comparison(graph: NameGraph, k: int, queries: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    storage: Any = faiss.downcast_index(graph.index.storage)
    rows: npt.NDArray[np.int64] = storage.search(queries, k)[1]
    return rows


def time_singles(
    systems: Sequence[Timed], texts: Sequence[str], description: str
) -> dict[str, dict[str, float]]:
    """Times one mention at a time, by all systems in turn.

    Returns:
        For each system and each of encode (tokens and tower), search, score (names are fetched; a
        Hypencoder's q-net is generated and applied; a bi-encoder's search has scored already) and total:
        p50 and p95 in milliseconds.
    """
    for text in texts[:_WARM_UP]:
        for system in systems:
            _time_once(system, text)
    turns = list(systems)
    seconds: dict[str, list[tuple[float, ...]]] = {system.name: [] for system in systems}
    with progress(description, len(texts)) as advance:
        for text in texts:
            for system in turns:
                seconds[system.name].append(_time_once(system, text))
            # What ran before is in the processor's cache: each comes first, and after each other, as often.
            turns.append(turns.pop(0))
            advance(1)
    return {name: _percentiles(np.array(steps)) for name, steps in seconds.items()}


def _percentiles(steps: npt.NDArray[np.float64]) -> dict[str, float]:
    columns = {"encode": steps[:, 0], "search": steps[:, 1], "score": steps[:, 2], "total": steps.sum(axis=1)}
    return {
        f"{name}_p{percent}_ms": _milliseconds(values, percent)
        for name, values in columns.items()
        for percent in (50, 95)
    }


def _time_once(system: Timed, text: str) -> tuple[float, ...]:
    clock = [time.perf_counter()]
    encoded = system.engine.encode([text])
    clock.append(time.perf_counter())
    rows = system.search(encoded.vectors)
    clock.append(time.perf_counter())
    if system.engine.kind == Hypencoder.kind:
        system.engine.score(encoded, system.vectors.gather(rows))
    clock.append(time.perf_counter())
    return tuple(stop - start for start, stop in itertools.pairwise(clock))


def time_batches(rankers: Mapping[str, ModelRanker], texts: Sequence[str], batch: int) -> dict[str, float]:
    """Mentions a second of each ranker, in batches, in turn."""
    for ranker in rankers.values():
        ranker.retrieve(texts[:batch])
    seconds = dict.fromkeys(rankers, 0.0)
    with progress("time batches", len(texts)) as advance:
        for first in range(0, len(texts), batch):
            part = texts[first : first + batch]
            for name, ranker in rankers.items():
                start = time.perf_counter()
                ranker.retrieve(part)
                seconds[name] += time.perf_counter() - start
            advance(len(part))
    return {name: round(len(texts) / taken, 1) for name, taken in seconds.items()}


@torch.inference_mode()
def time_towers(model: RetrievalModel, engine: Engine, texts: Sequence[str]) -> tuple[float, float]:
    """Milliseconds, p50, that plain float32 PyTorch and an engine take to encode a mention, in turn."""
    seconds = []
    for text in [*texts[:_WARM_UP], *texts]:
        start = time.perf_counter()
        encoding = model.tokenize([text])
        model.first_stage(encoding["input_ids"], encoding["attention_mask"])
        plain = time.perf_counter() - start
        time.sleep(_PAUSE_SECONDS)
        start = time.perf_counter()
        engine.encode([text])
        seconds.append((plain, time.perf_counter() - start))
    columns = np.array(seconds[-len(texts) :]).T
    return _milliseconds(columns[0], 50), _milliseconds(columns[1], 50)


@torch.inference_mode()
def graph_search(
    system: Timed, ontology: Ontology, neighbours: npt.NDArray[np.int32], text: str
) -> tuple[Ranking, int]:
    """The best concepts of a text by the published search, and how many names it scored.

    In PyTorch; scored in bf16 where the machine multiplies it in hardware.
    """
    model, search = system.model, GraphSearch()
    assert isinstance(model, Hypencoder)
    precision = torch.bfloat16 if supports_bf16(model.device) else torch.float32
    encoding = model.tokenize([text])
    qnet = model.encode_queries(encoding["input_ids"], encoding["attention_mask"]).to(precision)

    def score(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        passages = torch.from_numpy(system.vectors.gather(rows))
        scores: npt.NDArray[np.float32] = qnet(passages.to(precision))[0].float().numpy()
        return scores

    rows, count = search.find(score, neighbours, search.kept, np.random.default_rng(0))
    found = rank_concepts(rows[None], score(rows)[None], ontology.concept_of_name, ontology.ids, _COMPARED)
    return found[0], count


def _recall(found: Sequence[Ranking], exact: Sequence[Ranking]) -> float:
    """The share of the exact rankings' concepts that were found."""
    each = [np.isin(e.concept_ids, f.concept_ids).mean() for e, f in zip(exact, found, strict=True)]
    return round(float(np.mean(each)), 4)


def _ratio(figures: Mapping[str, Mapping[str, float]], name: str) -> float:
    """What a system takes in relation to the bi-encoder, in the same turns."""
    return round(figures[name]["total_p50_ms"] / figures["bi_encoder"]["total_p50_ms"], 3)


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in megabytes; files that are mapped count too."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _milliseconds(seconds: Sequence[float] | npt.NDArray[np.float64], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)) * 1000, 3)


def _sample(space: Workspace, count: int) -> list[Query]:
    """Mentions of dev, equal inputs once, drawn at random."""
    protocol = load_protocol(PROTOCOLS / "full.yaml")
    split = load_split(space.data / "corpus", "dev")
    queries = split_queries(split, protocol, space.inputs.context_characters)
    _, places = distinct_inputs(queries)
    first = dict(zip(reversed(places), reversed(queries), strict=True))
    drawn = np.random.default_rng(0).permutation(sorted(first))[:count]
    return [first[place] for place in drawn.tolist()]


def main() -> None:
    space = Workspace.here()
    config = load_section(BenchmarkConfig, space.params, "benchmark")
    figures = Benchmark(space, config, _sample(space, config.mentions)).run()
    write_json(METRICS / "latency.json", figures)
    with atomic_folder(METRICS / "latency") as out:
        for system in space.trained_systems:
            write_json(out / f"{system}.json", {name: figures[f"{system}/{key}"] for name, key in _SHOWN})
    write_json(METRICS / "latency_machine.json", read_json(MACHINE))


if __name__ == "__main__":
    run_stage(main, __doc__)
