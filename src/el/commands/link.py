"""`el link`: documents in, the same documents with ranked concept ids out.

Everything slow is imported after the arguments are read, so that --help and mistakes answer at once.
"""

import argparse
import contextlib
import errno
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from el.base.cli import INTERRUPTED, command_parser
from el.base.errors import ElError, InputError, UsageError, as_given
from el.commands.arguments import add_linker_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from el.commands.files import Settings
    from el.corpus.types import LinkedDocument

SAMPLE = Path(__file__).with_name("sample_document.txt")

_STANDARD = "-"
# Formats of which several inputs make one output, and what they are called in a folder.
_TABLES = ("tsv", "links", "jsonl")
_SUFFIXES = {
    "bioc": ".xml",
    "bioc-json": ".json",
    "pubtator": ".pubtator",
    "brat": ".txt",
    "jsonl": ".jsonl",
    "tsv": ".tsv",
    "links": ".links.jsonl",
}

_DESCRIPTION = """\
Links mentions of chemicals and diseases to concepts of MeSH, or of an ontology of your own.

Give files, folders or patterns: BioC (XML or JSON), PubTator, brat, JSON lines or plain text (one document a
file), gzipped or not. Mentions of chemicals and diseases that a document brings along are linked; in a
document without any they are found first. Without INPUT, a sample document is linked.

What comes out is what came in, in its format, with links added:
  PubTator     ids in column 6, their scores in column 8
  BioC         infons identifier, score, candidates (JSON) and decided_by
  brat         N lines for ids, and notes with the candidates
  JSON lines   the key links in each mention
  plain text   a table: document, start, stop, text, type, ids, scores, names, margin
Offsets count Unicode code points. An id of -1 says that no concept fits. Scores are between 0 and 1: the
candidates' shares, by weights that were fitted on mentions with known concepts. The margin, which tables and
JSON lines have, is how far the first candidate lies above the next.
"""

_EPILOG = """\
examples:
  el link notes.txt                          a table on the terminal
  el link abstracts.pubtator -o linked.pubtator
  el link records/ -o linked/ --resume       a folder; run it again to go on where it stopped
  el link "records/**/*.txt" -f tsv -o links.tsv
  el link notes.txt --html notes.html        a page that shows why
  el link --explain "renal failure" --type disease
  cat notes.txt | el link - | cut -f4,6,8    in a pipe

exit codes:
  0    done, also where the reader of standard output stops early; a page of --html is whole then
  1    an input cannot be used (with --keep-going: at the end), or there is no linker
  2    wrong arguments; an output that exists, without --force or --resume
  74   a file cannot be read or written
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: whatever the user can put right, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    # Inputs may stand before and behind options.
    options = _parser().parse_intermixed_args(arguments)
    _check(options)
    from el.linking.places import find_linker

    options.linker = find_linker(options.linker)
    if options.explain is not None:
        _explain(options)
        return
    try:
        failed = _run(options)
    except KeyboardInterrupt:
        again = "; with --resume, the same command goes on where it stopped" if options.output else ""
        print(f"interrupted{again}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    if failed:
        raise ElError(f"{failed} of the inputs passed over, wholly or in part; see above")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el link", _EPILOG)
    parser.add_argument(
        "input",
        nargs="*",
        metavar="INPUT",
        default=[str(SAMPLE)],
        help="files, folders or patterns; - is standard input (default: a sample document)",
    )
    add_linker_argument(parser)
    _add_outputs(parser)
    _add_choices(parser)
    return parser


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|FOLDER|-",
        help="a file, a folder for several inputs, - for standard output (default: -; --html alone: none)",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=tuple(_SUFFIXES),
        help="what is written; links: JSON lines, one a mention (default: what came in; of plain text tsv)",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page to look at")
    parser.add_argument(
        "--explain", metavar="MENTION", help="print what speaks for each candidate of one mention"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="pass over inputs whose output exists, unless --keep-going left something out of it",
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="tell and pass over what cannot be used, and go on"
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_positive,
        default=1,
        help="processes that share the files of a folder (default: 1)",
    )


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="read_as",
        choices=("auto", "bioc", "bioc-json", "pubtator", "brat", "jsonl", "plain"),
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
        help="find mentions in documents that have none (auto), in all, or in none",
    )
    parser.add_argument(
        "-t",
        "--type",
        metavar="TYPE",
        dest="types",
        action="append",
        type=str.lower,
        help="link given mentions of this type, may be repeated (default: chemicals and diseases, whatever "
        "they are called); with --explain, the mention's",
    )
    parser.add_argument(
        "--min-precision",
        metavar="P",
        type=_share,
        help="answer only where so large a share of answers was right on held-out given mentions, such as "
        "0.95; other mentions get -1 (default: answer all)",
    )


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


def _check(options: argparse.Namespace) -> None:
    """Refuses, before anything slow, arguments that do not go together."""
    if options.explain is not None and not options.explain.strip():
        raise UsageError('--explain needs a mention, such as "renal failure"')
    if options.explain is not None and (options.output or options.html):
        raise UsageError("--explain prints; it goes with neither --output nor --html")
    if options.input.count(_STANDARD) > 1:
        raise UsageError("standard input can be read once; give - once")
    if options.force and options.resume:
        raise UsageError("give either --force or --resume")
    if options.html is not None and options.resume:
        raise UsageError("--html shows all documents, and --resume links those that are left; give either")
    if options.html is not None and options.jobs > 1:
        raise UsageError("--html takes one process; leave out --jobs")
    if options.html is not None and options.html.exists() and not options.force:
        raise UsageError(f"{options.html} exists; give another --html, or --force to replace it")


def _run(options: argparse.Namespace) -> int:
    """Links all inputs. Returns how many were passed over."""
    with _spool(options) as spool:
        problems: list[InputError] = []
        files = _input_files(options, spool, problems)
        for problem in problems:
            print(f"passed over: {problem}", file=sys.stderr)
        if not files:
            return len(problems)
        missing = len(problems)
        if _into_folder(options, files):
            return missing + _link_folder(files, options, spool)
        return missing + _link_into_one(files, options, spool, missing)


def _input_files(
    options: argparse.Namespace, spool: Path | None, problems: list[InputError]
) -> dict[Path, Path]:
    """The files to read, and the path that each has below an output folder; `problems` gets what is not."""
    from el.corpus.inputs import find_inputs

    files: dict[Path, Path] = {}
    skip = problems.append if options.keep_going else None
    for given in options.input:
        if given == _STANDARD and spool:
            _copy_standard_input(spool)
            files[spool] = Path(spool.name)
            continue
        for path in find_inputs([given], skip):
            inside = Path(given).is_dir()
            files.setdefault(path, path.relative_to(given) if inside else Path(path.name))
    return files


def _page_alone(options: argparse.Namespace) -> bool:
    """Whether nothing but a page is wanted."""
    return options.html is not None and options.output is None and options.format is None


def _into_folder(options: argparse.Namespace, files: dict[Path, Path]) -> bool:
    """Whether each input has an output of its own, in a folder."""
    output = options.output
    if output in (None, _STANDARD):
        if len(files) > 1 and options.format not in _TABLES and not _page_alone(options):
            raise UsageError(
                "several inputs need a folder for their outputs, --output FOLDER, or a format that holds "
                f"them all: --format {', '.join(_TABLES)}"
            )
        return False
    if Path(output).is_dir() or output.endswith("/"):
        return True
    from_folder = any(Path(given).is_dir() for given in options.input)
    if (len(files) == 1 and not from_folder) or (options.format in _TABLES and Path(output).suffix):
        return False
    if Path(output).exists():
        raise UsageError(f"{output} is a file; several inputs need a folder as --output")
    if Path(output).suffix in _SUFFIXES.values():
        raise UsageError(
            f"{output} is named like a file, and several inputs need a folder: give {output}/ for one of "
            f"that name, or --format {', '.join(_TABLES)} for one file of all"
        )
    return True


def _settings(options: argparse.Namespace, spool: Path | None = None) -> "Settings":
    from el.commands.files import Settings

    return Settings(
        options.linker,
        options.min_precision,
        options.top_k,
        options.find_mentions,
        options.types,
        options.read_as,
        options.format,
        options.keep_going,
        spool,
    )


def _link_folder(files: dict[Path, Path], options: argparse.Namespace, spool: Path | None) -> int:
    from el.commands.files import Job, is_done, link_into_files

    if options.html is not None:
        raise UsageError("--html goes with one output; leave out --output, or give a file")
    for given in options.input:
        if Path(given).is_dir() and Path(options.output).resolve().is_relative_to(Path(given).resolve()):
            raise UsageError(
                f"{options.output} lies in {given}, and what is written there would be read the next time; "
                "give another --output"
            )
    jobs = [Job(path, _target(path, below, options)) for path, below in files.items()]
    by_target: dict[Path, Path] = {}
    for job in jobs:
        if by_target.setdefault(job.target, job.source) != job.source:
            raise UsageError(f"two inputs would be written to {job.target}; link them one by one")
    if options.resume:
        jobs = [job for job in jobs if not is_done(job.target)]
        if not jobs:
            print("nothing to do: all outputs exist", file=sys.stderr)
            return 0
    for job in jobs:
        _check_target(job.source, job.target, options)
    return link_into_files(jobs, _settings(options, spool), options.jobs)


def _target(path: Path, below: Path, options: argparse.Namespace) -> Path:
    """Where a file's output goes: under its own name, with another suffix if the format is another."""
    from el.corpus.formats import open_corpus, output_format

    target: Path = Path(options.output) / below
    try:
        format = open_corpus(path, options.read_as).format
    except ElError:
        if not options.keep_going:
            raise
        # Told when it is its turn.
        return target
    written = options.format or output_format(format)
    if written == format:
        return target
    return target.with_name(target.name.removesuffix(".gz")).with_suffix(_SUFFIXES[written])


def _check_target(source: Path, target: Path, options: argparse.Namespace) -> None:
    """Refuses an output that is the input, or would replace something."""
    from el.commands.files import is_done
    from el.corpus.formats import output_files

    # With --resume, an output that exists and is not passed over lacks something.
    may_replace = options.force or (options.resume and target.exists())
    for path in output_files(target, options.format or "brat"):
        if path.exists() and path.samefile(source):
            raise UsageError(f"{path} is the input itself; give another --output")
        if path.exists() and not may_replace:
            resumed = "keep it" if is_done(target) else "make it again, for it lacks what was passed over"
            raise UsageError(
                f"{path} exists; give another --output, --force to replace it, or --resume to {resumed}"
            )


def _link_into_one(
    files: dict[Path, Path], options: argparse.Namespace, spool: Path | None, missing: int
) -> int:
    from el.commands.files import is_done, link_into_one

    with contextlib.ExitStack() as stack:
        target: Path | TextIO | None = None
        if options.output not in (None, _STANDARD):
            target = Path(options.output)
            if options.resume and is_done(target):
                print(f"nothing to do: {target} exists", file=sys.stderr)
                return 0
            for source in files:
                _check_target(source, target, options)
        elif not _page_alone(options):
            target = stack.enter_context(_standard_output(go_on=options.html is not None))
        show = stack.enter_context(_page(options)) if options.html else lambda _: None
        return link_into_one(list(files), _settings(options, spool), target, show, missing)
    # The reader of standard output stopped early.
    return 0


@contextlib.contextmanager
def _page(options: argparse.Namespace) -> "Iterator[Callable[[LinkedDocument], None]]":
    """Yields what puts a linked document on a page, which is whole when the block ends well."""
    from el.base.files import atomic_file
    from el.report.linked import linked_page

    with (
        atomic_file(options.html) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as stream,
        linked_page(stream, options.html.stem, _provenance(options)) as page,
    ):
        yield page.write


def _provenance(options: argparse.Namespace) -> str:
    """What links the documents, in a line: the linker, its ontology, and what is asked of it."""
    from el.ontology.ontology import describe_ontology

    parts = [f"Linker: {options.linker.resolve().name}"]
    # What is wrong with a linker is told when it is opened.
    with contextlib.suppress(ElError):
        parts.append(f"ontology: {describe_ontology(options.linker / 'ontology')}")
    if options.min_precision is not None:
        parts.append(f"--min-precision {options.min_precision}")
    return " · ".join(parts)


def _explain(options: argparse.Namespace) -> None:
    from rich.console import Console

    from el.linking.explain import explain

    console = Console()
    with console.capture() as capture:
        explain(_settings(options).load(), options.explain, (options.types or [""])[0], console)
    # Rich would end the command with an error where the reader stops early.
    with _standard_output() as stream:
        stream.write(capture.get())


@contextlib.contextmanager
def _spool(options: argparse.Namespace) -> Iterator[Path | None]:
    """Yields the temporary file that is to hold standard input, if that is given; errors tell it as such."""
    if _STANDARD not in options.input:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        try:
            yield path
        except InputError as error:
            if error.path != path:
                raise
            raise as_given(error, path) from error


def _copy_standard_input(path: Path) -> None:
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard input")
    with path.open("wb") as stream:
        shutil.copyfileobj(sys.stdin.buffer, stream)


@contextlib.contextmanager
def _standard_output(*, go_on: bool = False) -> Iterator[TextIO]:
    """Standard output in UTF-8; when its reader stops early, the rest is dropped in silence.

    Args:
        go_on: whether the block goes on then, because something else comes of it too.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        yield cast(TextIO, _Dropping(sys.stdout)) if go_on else sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_rest(sys.stdout)


class _Dropping(io.TextIOBase):
    """Passes text on for as long as it is read; what follows is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            _drop_rest(self._stream)
            return len(text)


def _drop_rest(stream: TextIO) -> None:
    # What is left in the buffer would fail again when Python exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
