"""`el bench`: how fast systems link by name on this machine, in one run.

All retrieve from the same kind of index in the same process, in turn, so that ratios hold
where absolute times do not. Every q-net is generated and scored; nothing is cached. Everything slow is
imported after the arguments are read, so that --help and mistakes answer at once.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from el.base.cli import command_parser
from el.base.errors import UsageError
from el.base.params import load_params, load_section
from el.base.places import cache_folder
from el.commands.arguments import EXIT_CODES, add_linker_argument

_DESCRIPTION = """\
Times systems that link mentions by name: one mention at a time, then in batches; at several numbers of names;
and what their search loses against q-nets that score every name.

Timed are the linker's Hypencoder, the bi-encoder that is its first stage, and q-nets of other depths on the
same tower. These were not trained and score as the dot product does: their times are those of trained q-nets,
their answers are not looked at.
"""

_EPILOG = f"""\
systems in what is printed:
  bi_encoder        a vector for the mention, names by a graph (HNSW); the ratios are to its p50
  hypencoder_N      the same, then a q-net of N layers scores the names
  ..._compact       with vectors of 6 bits a dimension
  ..._at_COUNT      with so many names
  bi_encoder_flat   compares with every name, on one thread
  graph_search      the published search of the q-nets, in PyTorch
  el_link           the whole linker on documents, equal mentions answered once, in a process of its own
  el_link_finding   the same on their texts alone, in which it finds mentions

example:
  el bench --linker models/mesh dev.pubtator -o figures/

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: whatever the user can put right, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)
    if options.output is not None and options.output.exists() and not options.force:
        raise UsageError(f"{options.output} exists; give another --output, or --force to replace it")
    from el.benchmark.linker import bench_linker
    from el.benchmark.run import BenchmarkConfig
    from el.linking.places import find_linker

    config = BenchmarkConfig()
    if options.params is not None:
        config = load_section(BenchmarkConfig, load_params(options.params), "benchmark")
    linker = find_linker(options.linker)
    scratch = cache_folder() / "bench"
    bench_linker(linker, options.corpus, config, options.depths, options.output, scratch)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el bench", _EPILOG)
    parser.add_argument("corpus", nargs="+", metavar="CORPUS", type=Path, help="files with gold mentions")
    add_linker_argument(parser)
    parser.add_argument(
        "-d",
        "--depths",
        metavar="N",
        type=int,
        nargs="+",
        default=[4, 6, 8],
        help="untrained q-nets that are timed too (default: 4 6 8)",
    )
    parser.add_argument(
        "-p",
        "--params",
        metavar="FILE",
        type=Path,
        help="a YAML file whose section `benchmark` says what is timed (default: 500 mentions)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="also write figures, table and plot there",
    )
    parser.add_argument("--force", action="store_true", help="replace an output that exists")
    return parser
