"""Benchmarks a linker: its Hypencoder, its first stage as a bi-encoder, and untrained q-nets."""

import copy
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from el.base.errors import ElError, InputError
from el.base.extras import MissingExtraError
from el.base.files import atomic_folder, write_json
from el.benchmark.config import BenchmarkConfig
from el.benchmark.linking import time_linker, with_context
from el.benchmark.machine import describe_machine
from el.benchmark.page import WHOLE, latency_page, size_curves, systems_of
from el.benchmark.run import Benchmark, distinct_sample
from el.benchmark.timing import timed_model
from el.corpus.formats import open_corpus
from el.corpus.types import Document
from el.evaluation.queries import full_queries
from el.linking.linker import Linker
from el.linking.mentions import FindMentions
from el.linking.rankers import distinct_inputs
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.loading import load_model
from el.models.straightening import straighten

# The number of documents that are timed with context, where a document takes long. More take more time.
_CONTEXT_DOCUMENTS = 150
# The factor from the cosine to the score of an untrained q-net; 1 / temperature, as in training.
_SCALE = 20.0


def bench_linker(
    folder: Path,
    corpus: Sequence[Path],
    config: BenchmarkConfig,
    depths: Sequence[int],
    output: Path | None,
    scratch: Path,
) -> None:
    """Benchmarks a linker on the mentions of a corpus. Prints a table; writes figures, table and plot.

    Args:
        folder: the linker; its model must be a Hypencoder.
        corpus: files with gold mentions.
        config: what to time.
        depths: the depths of untrained q-nets that are timed too.
        output: the folder to write; it is replaced as a whole. None prints the table only.
        scratch: a folder for the indexes that only the benchmark needs; they are kept.

    Raises:
        ElError: the linker's model is no Hypencoder, or the corpus cannot be used.
    """
    documents = [document for path in corpus for document in open_corpus(path)]
    queries = full_queries(documents)
    if not queries:
        raise InputError(corpus[0], "", "no mention has an id", "Give an annotated corpus")
    linker = Linker.load(folder)
    model = load_model(folder / "model")
    if not isinstance(model, Hypencoder):
        raise ElError(f"{folder}: its model is a {model.kind}, not a Hypencoder. Give another linker")
    vectors, ontology, trained_depth = linker.ranker.vectors, linker.ontology, model.head.config.depth
    bi_encoder = BiEncoder(model.retrieval_tower, None, model.tokenizer)
    systems = [
        timed_model("bi_encoder", bi_encoder, vectors, config.candidates),
        timed_model(f"hypencoder_{trained_depth}", model, vectors, config.candidates),
    ]
    sample = distinct_sample(queries, config.mentions)
    # What is timed, where the corpus has fewer mentions than are asked for.
    config = replace(config, mentions=len(sample), exhaustive=min(config.exhaustive, len(sample)))
    texts = distinct_inputs(sample)[0]
    untrained = [
        timed_model(
            f"hypencoder_{depth}_untrained", _of_depth(model, depth, texts), vectors, config.candidates
        )
        for depth in depths
        if depth != trained_depth
    ]
    figures = Benchmark(systems, untrained, ontology, config, sample, scratch / folder.name).run()
    for system, (find, characters) in WHOLE.items():
        used, timed = folder, documents
        if characters:
            used = with_context(folder, characters, scratch / folder.name)
            timed = documents[:_CONTEXT_DOCUMENTS]
        figures |= {f"{system}/{name}": value for name, value in _whole(used, timed, find).items()}
    machine = describe_machine()
    table = latency_page(
        figures, config, machine, systems_of(figures), ", ".join(path.name for path in corpus)
    ).markdown()
    print(table)
    if output is None:
        return
    with atomic_folder(output) as out:
        write_json(out / "latency.json", figures)
        write_json(out / "machine.json", machine)
        (out / "latency.md").write_text(table, encoding="utf-8")
        if config.sizes:
            _write_plot(figures, out / "sizes.svg")


def _write_plot(figures: dict[str, float], path: Path) -> None:
    try:
        from el.report.plots import size_plot
    except MissingExtraError as error:
        print(f"{path.name} is left out: {error}", file=sys.stderr)
        return
    path.write_text(size_plot(size_curves(figures), "Time against the number of names"), encoding="utf-8")


def _of_depth(model: Hypencoder, depth: int, texts: Sequence[str]) -> Hypencoder:
    """Returns a Hypencoder on the same towers with a fresh head of another depth, straightened.

    The head starts as the dot product. With a random head, the search would have to score all names, where a
    trained q-net scores a few; its times would not be those of a trained q-net.
    """
    trained = model.head.config
    qnet = replace(trained, vector_dimensions=(*[trained.vector_dimensions[0]] * (depth + 1), 1))
    fresh = Hypencoder.from_tower(
        copy.deepcopy(model.query_tower), qnet, model.tokenizer, "", shared_encoder=True
    )
    fresh.initialise_as_dot_product(_SCALE, texts)
    fresh.eval()
    straighten(fresh, texts)
    return fresh


def _whole(folder: Path, documents: Sequence[Document], find: FindMentions) -> dict[str, float]:
    """Returns figures of the whole linker, timed in a new process without the models of the benchmark."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(time_linker, folder, documents, find).result()
