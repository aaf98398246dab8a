"""`python -m el.link`: documents in, the same documents with ranked MeSH ids out.

Everything slow is imported after the arguments are read, so that --help and mistakes answer at once.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from el.cli import command_parser
from el.errors import ElError, UsageError

if TYPE_CHECKING:
    from el.corpus.formats import Corpus
    from el.corpus.types import Document, LinkedDocument
    from el.linker import FindMentions, Linker

# The first that is there: of all of MeSH, by `python -m el.index`; of the pipeline, by `make run`.
DEFAULT_LINKERS = (Path("models/mesh"), Path("models/linker"))
DEFAULT_INPUT = Path("docs/sample_document.txt")

# Fewer are linked before anybody asks how far it is.
_PROGRESS_FROM = 50

_DESCRIPTION = """\
Links mentions of chemicals and diseases to concepts of MeSH.

Give BioC (XML or JSON), PubTator, brat, JSON lines or plain text (one document a file). Mentions that a
document brings along are linked; in a document without any, names of the ontology are found first. Without
INPUT, a sample document is linked.

What comes out is in the format that came in:
  PubTator     ids in column 6, their scores in column 8
  BioC         infons identifier, score, candidates (JSON) and decided_by
  plain text   a table: document, start, stop, text, type, ids, scores, names
  brat         N lines for ids, and notes with the candidates
  JSON lines   the key links in each mention
Offsets count Unicode code points. An id of -1 says that no concept fits. Scores are between 0 and 1: the
candidates' shares, by weights that were fitted on mentions with known concepts.
"""

_EPILOG = """\
examples:
  python -m el.link notes.txt                          a table on the terminal
  python -m el.link abstracts.pubtator -o linked.pubtator
  python -m el.link a.xml b.xml -o linked/             several files into a folder
  cat notes.txt | python -m el.link - | cut -f4,6,8    in a pipe
  python -m el.link abstracts.pubtator --find-mentions always -o - | less

exit codes:
  0    done, also where the reader of standard output stops early
  1    an input cannot be used, or there is no linker
  2    wrong arguments; an output that exists, without --force
  74   a file cannot be read or written
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: whatever the user can put right, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)
    _check_outputs(options)
    check_linker(options.linker)
    _be_quiet()
    with contextlib.ExitStack() as stack:
        paths = [_spooled(stack) if str(path) == "-" else path for path in options.input]
        _link_files(paths, options)


def add_linker_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the linker, with the same default for all commands that need one."""
    parser.add_argument(
        "-l",
        "--linker",
        metavar="FOLDER",
        type=Path,
        default=next((path for path in DEFAULT_LINKERS if path.is_dir()), DEFAULT_LINKERS[-1]),
        help=f"the linker (default: {DEFAULT_LINKERS[0]} where it exists, otherwise {DEFAULT_LINKERS[1]})",
    )


def check_linker(folder: Path) -> None:
    """Raises ElError, with what makes one, where there is no linker."""
    if not folder.is_dir():
        raise ElError(
            f"no linker at {folder}. In the root of the repository `python -m el.index` makes "
            f"{DEFAULT_LINKERS[0]}, of all of MeSH, and `make run` {DEFAULT_LINKERS[1]}, of a sample; or "
            "give another folder with --linker"
        )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "python -m el.link", _EPILOG)
    parser.add_argument(
        "input",
        nargs="*",
        metavar="INPUT",
        type=Path,
        default=[DEFAULT_INPUT],
        help=f"files to link; - is standard input (default: {DEFAULT_INPUT})",
    )
    add_linker_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|FOLDER|-",
        default="-",
        help="a file for one input, a folder for several, - for standard output (default: -)",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("auto", "pubtator", "bioc", "bioc-json", "brat", "plain", "jsonl"),
        default="auto",
        help="what the inputs are (default: auto, by what they begin with)",
    )
    parser.add_argument(
        "-k",
        "--top-k",
        metavar="N",
        type=_positive,
        help="candidates to keep for each mention (default: the linker's own setting, 10)",
    )
    parser.add_argument(
        "--find-mentions",
        choices=("auto", "always", "never"),
        default="auto",
        help="find names of the ontology in documents without mentions (auto), in all, or in none",
    )
    parser.add_argument(
        "--min-precision",
        metavar="P",
        type=_share,
        help="answer only where so large a share of answers was right on held-out mentions, such as 0.95; "
        "other mentions get -1 (default: answer all)",
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return number


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return share


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuses, before anything slow, outputs that are missing, clash or would overwrite something."""
    inputs, output = options.input, options.output
    if sum(str(path) == "-" for path in inputs) > 1:
        raise UsageError("standard input can be read once; give - once")
    if output == "-":
        if len(inputs) > 1:
            raise UsageError("several inputs need a folder for their outputs; give --output FOLDER")
        return
    if len(inputs) > 1 and Path(output).exists() and not Path(output).is_dir():
        raise UsageError(f"{output} is a file; several inputs need a folder as --output")
    targets = [_target(path, options) for path in inputs]
    for path, target in zip(inputs, targets, strict=True):
        if targets.count(target) > 1:
            raise UsageError(f"two inputs would be written to {target}; link them one by one")
        if path.exists() and target.exists() and path.samefile(target):
            raise UsageError(f"{target} is the input itself; give another --output")
        if target.exists() and not options.force:
            raise UsageError(f"{target} exists; give another --output, or --force to replace it")


def _target(path: Path, options: argparse.Namespace) -> Path:
    output = Path(options.output)
    if len(options.input) == 1 and not output.is_dir():
        return output
    return output / ("stdin" if str(path) == "-" else path.name)


def _be_quiet() -> None:
    """Keeps libraries from looking for a connection, and from drawing progress bars of their own."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _spooled(stack: contextlib.ExitStack) -> Path:
    """Copies standard input to a temporary file, to be read like any other."""
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "stdin"
    with path.open("wb") as stream:
        shutil.copyfileobj(sys.stdin.buffer, stream)
    return path


def _link_files(paths: Sequence[Path], options: argparse.Namespace) -> None:
    from el.corpus.formats import open_corpus
    from el.linker import Linker
    from el.progress import progress

    # Opened before the linker, so that a wrong path is told at once.
    corpora = [open_corpus(path, options.format) for path in paths]
    _check_files(corpora, options)
    changes = {} if options.top_k is None else {"top_k": options.top_k}
    linker = Linker.load(options.linker, options.min_precision, **changes)
    several = len(paths) >= _PROGRESS_FROM
    with progress("link files" if several else "", len(paths)) as advance:
        for path, given, corpus in zip(paths, options.input, corpora, strict=True):
            linked = _link(linker, list(corpus), options.find_mentions, "" if several else path.name)
            _write(linked, None if options.output == "-" else _target(given, options), corpus)
            advance(1)


def _check_files(corpora: "Sequence[Corpus]", options: argparse.Namespace) -> None:
    """Refuses outputs that exist, also those that stand beside the one that was named."""
    from el.corpus.formats import output_files, output_format

    if options.output == "-" or options.force:
        return
    for given, corpus in zip(options.input, corpora, strict=True):
        for path in output_files(_target(given, options), output_format(corpus.format)):
            if path.exists():
                raise UsageError(f"{path} exists; give another --output, or --force to replace it")


def _link(
    linker: "Linker", documents: "Sequence[Document]", find: "FindMentions", name: str
) -> "list[LinkedDocument]":
    from el.progress import progress

    description = f"link {name}" if name and len(documents) >= _PROGRESS_FROM else ""
    linked = []
    with progress(description, len(documents)) as advance:
        for document in linker.link(documents, find):
            linked.append(document)
            advance(1)
    return linked


def _write(documents: "Sequence[LinkedDocument]", target: Path | None, corpus: "Corpus") -> None:
    from el.corpus.formats import open_writer, output_format

    opened = _standard_output() if target is None else contextlib.nullcontext(target)
    with opened as place, open_writer(place, output_format(corpus.format), corpus.head) as writer:
        for document in documents:
            writer.write(document)


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Standard output in UTF-8; when its reader stops early, the rest is dropped in silence."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    from el.cli import run_stage

    run_stage(main)
