"""Stage: latency of every trained system on this machine, in one run."""

import numpy as np

from el.benchmark import BenchmarkConfig, build_index, peak_memory_mb, time_model
from el.cli import load_section, run_stage
from el.evaluation.protocol import load_protocol
from el.evaluation.run import load_split, split_queries
from el.files import atomic_folder, read_json, write_json
from el.models import load_model
from el.rankers import distinct_inputs
from el.stages.common import METRICS, Workspace
from el.stages.evaluate import PROTOCOLS
from el.stages.machine import MACHINE

# What `dvc metrics` shows of each system.
_SHOWN = (
    ("ms", "total_p50_ms"),
    ("ratio", "total_p50_ratio"),
    ("mentions_per_second", "mentions_per_second"),
)


def main() -> None:
    space = Workspace.here()
    config = load_section(BenchmarkConfig, space.params, "benchmark")
    queries = split_queries(
        load_split(space.data / "corpus", "dev"),
        load_protocol(PROTOCOLS / "full.yaml"),
        space.inputs.context_characters,
    )
    texts, _ = distinct_inputs(queries)
    mentions = list(np.random.default_rng(0).permutation(np.array(texts, dtype=object))[: config.mentions])
    figures: dict[str, float] = {}
    indexes = {}
    for system in space.trained_systems:
        model = load_model(space.finetuned(system))
        vectors = space.vectors(model)
        key = vectors.manifest["model"]
        if key not in indexes:
            indexes[key] = build_index(vectors, config.index)
        timed = time_model(model, vectors, indexes[key].index, mentions, config, f"time {system}")
        figures |= {f"{system}/{name}": value for name, value in timed.items()}
        figures[f"{system}/index_build_s"] = round(indexes[key].build_s, 1)
        figures[f"{system}/index_mb"] = round(indexes[key].megabytes, 1)
    base = figures["bi_encoder/total_p50_ms"]
    for system in space.trained_systems:
        figures[f"{system}/total_p50_ratio"] = round(figures[f"{system}/total_p50_ms"] / base, 3)
    # Of the whole run, its index included.
    figures["peak_memory_mb"] = round(peak_memory_mb(), 1)
    write_json(METRICS / "latency.json", figures)
    with atomic_folder(METRICS / "latency") as out:
        for system in space.trained_systems:
            write_json(out / f"{system}.json", {name: figures[f"{system}/{key}"] for name, key in _SHOWN})
    write_json(METRICS / "latency_machine.json", read_json(MACHINE))


if __name__ == "__main__":
    run_stage(main, __doc__)
