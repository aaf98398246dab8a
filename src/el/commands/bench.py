"""`el bench`: how fast systems link mentions by name on this machine, measured in one run.

All systems search the same kind of index in the same process, and they take turns. So the ratios between
systems are comparable across machines; absolute times are not. Every q-net is generated and scored, and
nothing is cached. Slow modules are imported after the arguments are read, so that --help and error messages
appear at once.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from el.base.cli import command_parser
from el.base.params import load_params, load_section
from el.base.places import cache_folder, writable_folder
from el.commands.arguments import (
    EXIT_CODES,
    add_corpus_argument,
    add_force_argument,
    add_linker_argument,
    check_folder,
    say_if_begun,
)

_DESCRIPTION = """\
Measures on this machine how fast a linker and its parts link the mentions of a corpus.

Mentions are linked one at a time, then in batches. On request, the time is also measured for other numbers of
names. Accuracy and recall show what the approximate search loses against q-nets that score every name.

The systems are the linker's Hypencoder, the bi-encoder that is its first stage, and q-nets of other depths on
the same tower. The q-nets of other depths are not trained; they score as the dot product does. Their times
equal those of trained q-nets, and their answers are not evaluated.
"""

_EPILOG = f"""\
systems in the printed table:
  bi_encoder        encodes the mention and finds names by a graph (HNSW); ratios are relative to its p50
  hypencoder_N      the same, then a q-net of N layers scores the names
  ..._compact       with vectors of 6 bits per dimension
  ..._at_COUNT      with COUNT names
  bi_encoder_flat   compares the mention with every name, on one thread
  graph_search      the published search of the q-nets, in PyTorch
  el_link           the whole linker on documents, in a separate process; it links equal mentions once
  el_link_finding   the same on plain text, in which the linker also finds the mentions

example:
  el bench --linker models/mesh dev.pubtator -o figures/

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: a problem that the user can solve, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)
    if options.output is not None:
        check_folder(options.output, "latency.json", "folder of figures", force=options.force)
    from el.benchmark.config import BenchmarkConfig
    from el.benchmark.linker import bench_linker
    from el.linking.places import find_linker

    config = BenchmarkConfig()
    if options.params is not None:
        config = load_section(BenchmarkConfig, load_params(options.params), "benchmark", options.params)
    linker = find_linker(options.linker)
    say_if_begun(linker)
    scratch = writable_folder(cache_folder() / "bench")
    bench_linker(linker, options.corpus, config, options.depths, options.output, scratch)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el bench", _EPILOG)
    add_corpus_argument(parser)
    add_linker_argument(parser)
    parser.add_argument(
        "-d",
        "--depths",
        metavar="N",
        type=int,
        nargs="+",
        default=[4, 6, 8],
        help="depths of untrained q-nets that are timed too (default: 4 6 8)",
    )
    parser.add_argument(
        "-p",
        "--params",
        metavar="FILE",
        type=Path,
        help="a YAML file whose section `benchmark` says what to time (default: 500 mentions)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="also write figures, table and plot into this folder",
    )
    add_force_argument(parser)
    return parser
