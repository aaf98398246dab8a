"""Stage: measures how fast the trained systems link the mentions of dev by name, in one run."""

from el.base.cli import run_command
from el.base.files import atomic_folder, read_json, write_json
from el.base.params import load_section
from el.benchmark.config import BenchmarkConfig
from el.benchmark.run import Benchmark, distinct_sample
from el.benchmark.timing import timed_model
from el.evaluation.protocol import named_protocol
from el.evaluation.run import load_split, split_queries
from el.models.loading import load_model
from el.pipeline.common import METRICS, RUNS, Workspace
from el.pipeline.machine import MACHINE

# The figures of each system that `dvc metrics` shows: (name there, name in latency.json).
_SHOWN = (
    ("ms", "total_p50_ms"),
    ("ratio", "total_p50_ratio"),
    ("mentions_per_second", "mentions_per_second"),
)


def main() -> None:
    space = Workspace.here()
    config = load_section(BenchmarkConfig, space.params, "benchmark")
    systems = []
    for name in space.trained_systems:
        model = load_model(space.finetuned(name))
        systems.append(timed_model(name, model, space.vectors(model), config.candidates))
    queries = split_queries(
        load_split(space.data / "corpus", "dev"),
        named_protocol("full"),
        space.inputs.context_characters,
    )
    benchmark = Benchmark(
        systems,
        [],
        space.ontology,
        config,
        distinct_sample(queries, config.mentions),
        RUNS / "bench" / space.label,
    )
    figures = benchmark.run()
    write_json(METRICS / "latency.json", figures)
    with atomic_folder(METRICS / "latency") as out:
        for name in space.trained_systems:
            write_json(out / f"{name}.json", {shown: figures[f"{name}/{key}"] for shown, key in _SHOWN})
    write_json(METRICS / "latency_machine.json", read_json(MACHINE))


if __name__ == "__main__":
    run_command(main, __doc__)
