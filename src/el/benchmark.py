"""Timing of linking by name: one mention at a time, and in batches.

Every system retrieves with the same kind of FAISS index and runs in the same process with the same
threads, so that ratios between systems hold where absolute times do not.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt
import torch

from el.errors import ConfigError
from el.index.vectors import NameVectors
from el.models import RetrievalModel
from el.progress import progress

_HNSW_NEIGHBOURS = 16
_HNSW_SEARCH = 256
_WARM_UP = 10
_RECALL_MENTIONS = 100


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is timed.

    Attributes:
        mentions: how many distinct ones, one at a time and in batches.
        batch: mentions at once in the second timing.
        index: "flat" compares with every name, "hnsw" walks a graph of neighbours.
        candidates: names that are retrieved and scored.
    """

    mentions: int
    batch: int
    index: Literal["flat", "hnsw"]
    candidates: int

    def __post_init__(self) -> None:
        if min(self.mentions, self.batch, self.candidates) < 1:
            raise ConfigError(
                f"mentions is {self.mentions}, batch {self.batch}, candidates {self.candidates}; each must "
                "be 1 or more"
            )


@dataclass(frozen=True)
class TimedIndex:
    """A FAISS index over names, and what it costs.

    Attributes:
        index: the index.
        build_s: seconds that building it took.
        megabytes: its size on disk, vectors included.
    """

    index: faiss.Index
    build_s: float
    megabytes: float


def build_index(vectors: NameVectors, kind: str) -> TimedIndex:
    """Builds a FAISS index over names."""
    start = time.perf_counter()
    width = vectors.vectors.shape[1]
    index: Any = faiss.IndexFlatIP(width)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, _HNSW_NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = _HNSW_SEARCH
    index.add(vectors.vectors.astype(np.float32))
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        faiss.write_index(index, str(path))
        return TimedIndex(index, seconds, path.stat().st_size / 1e6)


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


@torch.inference_mode()
def time_model(
    model: RetrievalModel,
    vectors: NameVectors,
    index: faiss.Index,
    mentions: Sequence[str],
    config: BenchmarkConfig,
    description: str,
) -> dict[str, float]:
    """Times one model.

    Returns:
        For each of encode (tower and, for a Hypencoder, generating the q-net), search, score and
        total: p50 and p95 in milliseconds a mention, one at a time; mentions_per_second in batches;
        and index_recall@10, the share of the 10 truly nearest names that the index finds.
    """
    for mention in mentions[:_WARM_UP]:
        _time_once(model, vectors, index, [mention], config.candidates)
    singles = []
    with progress(description, len(mentions)) as advance:
        for mention in mentions:
            singles.append(_time_once(model, vectors, index, [mention], config.candidates))
            advance(1)
    steps = np.array(singles) * 1000
    batches = [mentions[i : i + config.batch] for i in range(0, len(mentions), config.batch)]
    start = time.perf_counter()
    for batch in batches:
        _time_once(model, vectors, index, batch, config.candidates)
    seconds = time.perf_counter() - start
    columns = {"encode": steps[:, 0], "search": steps[:, 1], "score": steps[:, 2], "total": steps.sum(axis=1)}
    figures = {
        f"{name}_{label}_ms": round(float(np.percentile(values, percent)), 3)
        for name, values in columns.items()
        for label, percent in (("p50", 50), ("p95", 95))
    }
    return figures | {
        "mentions_per_second": round(len(mentions) / seconds, 1),
        "index_recall@10": round(_index_recall(model, vectors, index, mentions[:_RECALL_MENTIONS]), 4),
    }


def _index_recall(
    model: RetrievalModel, vectors: NameVectors, index: faiss.Index, mentions: Sequence[str]
) -> float:
    encoding = model.tokenize(mentions)
    queries = model.first_stage(encoding["input_ids"], encoding["attention_mask"])
    _, exact = vectors.nearest(queries, 10)
    _, found = index.search(queries.numpy(), 10)
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))


def _time_once(
    model: RetrievalModel, vectors: NameVectors, index: faiss.Index, mentions: Sequence[str], candidates: int
) -> tuple[float, float, float]:
    clock = [time.perf_counter()]
    encoding = model.tokenize(mentions)
    queries, first_stage = model.encode_mentions(encoding["input_ids"], encoding["attention_mask"])
    clock.append(time.perf_counter())
    _, rows = index.search(first_stage.numpy(), candidates)
    clock.append(time.perf_counter())
    if model.kind == "hypencoder":
        # A bi-encoder's search has scored its names already.
        queries(vectors.gather(_valid(rows)))
    clock.append(time.perf_counter())
    return clock[1] - clock[0], clock[2] - clock[1], clock[3] - clock[2]


def _valid(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # A graph search may find fewer names than asked for and fills up with -1.
    return np.maximum(rows, 0)
