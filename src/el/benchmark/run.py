"""Runs a benchmark: times the systems in turn, evaluates their answers, and collects the figures."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from el.base.progress import progress
from el.benchmark.config import COMPACT, FLAT, GRAPH_SEARCH, SLOW_MENTIONS, BenchmarkConfig
from el.benchmark.memory import peak_memory_mb
from el.benchmark.published_search import GraphSearch, lowest_level
from el.benchmark.scaling import scaled_vectors
from el.benchmark.timing import (
    PAUSE_SECONDS,
    Timed,
    milliseconds,
    ratio,
    time_batches,
    time_once,
    time_singles,
    time_towers,
)
from el.evaluation.exhaustive import rank_exhaustively
from el.index.build import compact_name_vectors
from el.index.flat import FlatIndex
from el.index.graph_index import open_index
from el.linking.query import Query
from el.linking.rankers import distinct_inputs
from el.linking.ranking import Ranking, rank_concepts
from el.models.base import supports_bf16
from el.models.hypencoder import Hypencoder
from el.ontology.ontology import Ontology

_BI_ENCODER = "bi_encoder"
# k of recall@k: the number of concepts that are compared with an exhaustive ranking.
_COMPARED = 10


class Benchmark:
    """Times systems on the same mentions.

    Args:
        systems: the bi-encoder first, then Hypencoders.
        untrained: systems that are timed, but whose answers are not evaluated.
        ontology: the ontology whose names they rank.
        config: what to time.
        queries: mentions with distinct inputs.
        scratch: a folder for the indexes that only the benchmark needs; they are kept.
    """

    def __init__(
        self,
        systems: Sequence[Timed],
        untrained: Sequence[Timed],
        ontology: Ontology,
        config: BenchmarkConfig,
        queries: Sequence[Query],
        scratch: Path,
    ) -> None:
        self.systems = systems
        self.untrained = untrained
        self.ontology = ontology
        self.config = config
        self.queries = queries
        self.texts = distinct_inputs(queries)[0]
        self.scratch = scratch
        self.figures: dict[str, float] = {}
        self.bi_encoder = systems[0]
        self.shallowest = next(system for system in systems if system.generates)
        self._rankings: dict[str, list[Ranking]] = {}

    def run(self) -> dict[str, float]:
        """Times all systems. Returns the figures, by "<system>/<figure>"."""
        compact = self._compact()
        every = [*self.systems, compact, *self.untrained]
        self._singles(every)
        rankers = {system.name: system.ranker(self.ontology) for system in every}
        for name, rate in time_batches(rankers, self.texts, self.config.batch).items():
            self._add(name, {"mentions_per_second": rate})
        plain, compiled = time_towers(self.bi_encoder.model, self.bi_encoder.engine, self.texts)
        self._add("tower", {"torch_fp32_p50_ms": plain, "p50_ms": compiled})
        for system in [*self.systems, compact]:
            self._answers(system)
        self._flat()
        self._graph_search()
        if self.config.sizes:
            self._sizes()
        # The peak memory is that of the whole run, with all models in memory.
        return self.figures | {"names": len(self.ontology.name_texts), "peak_memory_mb": peak_memory_mb()}

    def _compact(self) -> Timed:
        """Returns the system with the shallowest q-nets, with compact vectors."""
        system, folder = self.shallowest, self.scratch / COMPACT
        vectors = compact_name_vectors(system.vectors, self.ontology, folder)
        return replace(system, name=f"{system.name}_{COMPACT}", vectors=vectors, index=open_index(vectors))

    def _singles(self, systems: Sequence[Timed]) -> None:
        figures = time_singles(systems, self.texts, "time mentions one by one")
        for name in figures:
            self._add(name, figures[name] | {"total_p50_ratio": ratio(figures, name, _BI_ENCODER)})

    def _answers(self, system: Timed) -> None:
        """Adds a system's accuracy, and for q-nets the comparison with a ranking of all names."""
        folder = system.vectors.folder
        assert folder is not None
        size = sum(path.stat().st_size for path in folder.iterdir())
        found = system.ranker(self.ontology).rank(self.queries, _COMPARED)
        self._add(
            system.name, {"index_mb": round(size / 1e6, 1), "accuracy@1": _accuracy(found, self.queries)}
        )
        count = self.config.exhaustive
        if system.generates and count:
            queries, exact = self.queries[:count], self._exact(system)
            compared = {
                "exhaustive_mentions": float(len(queries)),
                "recall@10": _recall(found[:count], exact),
                "sample_accuracy@1": _accuracy(found[:count], queries),
                "exhaustive_accuracy@1": _accuracy(exact, queries),
            }
            self._add(system.name, compared)

    def _exact(self, system: Timed) -> list[Ranking]:
        """Returns rankings of all names by a system's q-nets. They are computed once, because they take long.

        A compact system shares the rankings of its model with vectors in half precision.
        """
        name = system.name.removesuffix(f"_{COMPACT}")
        if name not in self._rankings:
            assert isinstance(system.model, Hypencoder)
            self._rankings[name] = rank_exhaustively(
                system.model,
                system.vectors,
                self.ontology,
                self.texts[: self.config.exhaustive],
                _COMPARED,
                f"score all names by {name}",
            )
        return self._rankings[name]

    def _flat(self) -> None:
        flat = replace(self.bi_encoder, name=FLAT, index=FlatIndex(self.bi_encoder.vectors))
        figures = time_singles([self.bi_encoder, flat], self.texts[:SLOW_MENTIONS], f"time {FLAT}")
        self._add(FLAT, figures[FLAT] | {"total_p50_ratio": ratio(figures, FLAT, _BI_ENCODER)})

    def _graph_search(self) -> None:
        """Times the published search of the shallowest q-nets, in PyTorch, in turn with our search."""
        system = self.shallowest
        assert system.vectors.graph is not None
        neighbours = lowest_level(system.vectors.graph)
        seconds, base, ours, scored, found = [], [], [], [], []
        with progress(f"time {GRAPH_SEARCH}", SLOW_MENTIONS) as advance:
            for text in self.texts[:SLOW_MENTIONS]:
                base.append(sum(time_once(self.bi_encoder, text)))
                ours.append(sum(time_once(system, text)))
                start = time.perf_counter()
                ranking, count = graph_search(system, self.ontology, neighbours, text)
                seconds.append(time.perf_counter() - start)
                time.sleep(PAUSE_SECONDS)
                scored.append(count)
                found.append(ranking)
                advance(1)
        figures = {
            "total_p50_ms": milliseconds(seconds, 50),
            "total_p95_ms": milliseconds(seconds, 95),
            "total_p50_ratio": round(float(np.median(seconds) / np.median(base)), 3),
            "against_ours": round(float(np.median(seconds) / np.median(ours)), 3),
            "names_scored": round(float(np.median(scored))),
        }
        if self.config.exhaustive:
            exact = self._exact(system)[:SLOW_MENTIONS]
            figures["recall@10"] = _recall(found[: len(exact)], exact)
        self._add(GRAPH_SEARCH, figures)

    def _sizes(self) -> None:
        """Times the bi-encoder and the shallowest q-net at several numbers of names, all in turn."""
        ontology_size = len(self.shallowest.vectors)
        every = {
            count: scaled_vectors(self.shallowest.vectors, count, self.scratch) for count in self.config.sizes
        }
        systems = [
            replace(system, name=f"{system.name}_at_{count}", vectors=vectors, index=open_index(vectors))
            for count, vectors in sorted({**every, ontology_size: self.shallowest.vectors}.items())
            for system in (self.bi_encoder, self.shallowest)
        ]
        figures = time_singles(systems, self.texts, "time other numbers of names")
        for name in figures:
            base = f"{_BI_ENCODER}_at_{name.rpartition('_')[2]}"
            self._add(name, figures[name] | {"total_p50_ratio": ratio(figures, name, base)})

    def _add(self, system: str, figures: dict[str, float]) -> None:
        self.figures |= {f"{system}/{name}": value for name, value in figures.items()}


@torch.inference_mode()
def graph_search(
    system: Timed, ontology: Ontology, neighbours: npt.NDArray[np.int32], text: str
) -> tuple[Ranking, int]:
    """Returns the best concepts of a text by the published search, and the number of names that it scored.

    It runs in PyTorch, with scores in bf16 if the hardware supports bf16.

    Args:
        system: a Hypencoder.
        ontology: the ontology of its names.
        neighbours: (N, n) int32, as `lowest_level` returns them.
        text: the input of a mention.
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


def _accuracy(found: Sequence[Ranking], queries: Sequence[Query]) -> float:
    right = [ranking.concept_ids[0] in query.gold for ranking, query in zip(found, queries, strict=True)]
    return round(float(np.mean(right)), 4)


def _recall(found: Sequence[Ranking], exact: Sequence[Ranking]) -> float:
    """Returns the share of the exact rankings' concepts that were found, averaged over mentions."""
    each = [np.isin(e.concept_ids, f.concept_ids).mean() for e, f in zip(exact, found, strict=True)]
    return round(float(np.mean(each)), 4)


def distinct_sample(queries: Sequence[Query], count: int) -> list[Query]:
    """Draws up to `count` mentions with distinct inputs at random."""
    _, places = distinct_inputs(queries)
    first = dict(zip(reversed(places), reversed(queries), strict=True))
    drawn = np.random.default_rng(0).permutation(sorted(first))[:count]
    return [first[place] for place in drawn.tolist()]
