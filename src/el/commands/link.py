"""`el link`: reads documents and writes the same documents with ranked concept ids.

Slow modules are imported after the arguments are read, so that --help and error messages appear at once.
"""

import argparse
import contextlib
import errno
import io
import os
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from el.base.cli import code_of_interruption, command_parser, say
from el.base.errors import ElError, InputError, UsageError, as_given
from el.base.files import clear_leftovers
from el.commands.arguments import EXIT_CODES, add_linker_argument, check_new, say_if_begun

if TYPE_CHECKING:
    from collections.abc import Callable

    from el.commands.files import Settings, Total
    from el.corpus.types import LinkedDocument


class NothingLinkedError(ElError):
    """Not one mention of all inputs was linked."""

    exit_code = 3


SAMPLE = Path(__file__).with_name("sample_document.txt")

_STANDARD = "-"
# The most types of mentions that a message lists.
_MOST_TYPES = 10
# The formats that hold the documents of several inputs in one output.
_TABLES = ("tsv", "links", "jsonl")
# The suffix of an output in a folder, for each format.
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
Links mentions of chemicals and diseases in documents to concepts of MeSH or of your own ontology.

INPUT is files, folders or patterns. Formats are BioC (XML or JSON), PubTator, brat, JSON lines and plain text
(one document per file), all optionally gzipped. If a document has mentions, its mentions of chemicals and
diseases are linked. If it has no mentions, they are found first. Without INPUT, a sample document is linked.

The output is the input in the same format, with links added:
  PubTator     ids in column 6, their scores in column 8
  BioC         infons identifier, score, candidates (JSON) and decided_by
  brat         N lines for ids, and notes with the candidates
  JSON lines   the key links in each mention
  plain text   a table: document, start, stop, text, type, ids, scores, names, margin
Offsets count Unicode code points. The id -1 means that no concept fits. A score is a candidate's probability,
between 0 and 1; its weights were fitted on annotated mentions. The margin, in tables and JSON lines, is the
difference between the scores of the first and the second candidate.
"""

_EPILOG = f"""\
examples:
  el link notes.txt                          a table on the terminal
  el link abstracts.pubtator -o linked.pubtator
  el link records/ -o linked/ --resume       a folder; after an interruption, run the same command again
  el link "records/**/*.txt" -f tsv -o links.tsv
  el link notes.txt --html notes.html        also a page that shows the reasons
  el link --explain "renal failure" --type disease
  cat notes.txt | el link - | cut -f4,6,8    in a pipe

{EXIT_CODES}
With --keep-going, all other inputs are linked before the command ends with code 1. A mention that does not
fit its text then costs that mention only. If its type is not linked, it is reported and does no harm. If the
reader of standard output stops early, as head does, the code is 0, and a page of --html is complete.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: a problem that the user can solve, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    # Intermixed, because inputs may stand before and after options.
    options = _parser().parse_intermixed_args(arguments)
    _check(options)
    from el.linking.places import find_linker

    options.linker = find_linker(options.linker)
    say_if_begun(options.linker)
    if options.explain is not None:
        _explain(options)
        return
    try:
        total = _run(options)
    except KeyboardInterrupt as error:
        again = "; with --resume, the same command continues where it stopped" if options.output else ""
        say(f"interrupted{again}")
        raise SystemExit(code_of_interruption(error)) from None
    _report_types(total, options)
    if total.skipped:
        raise ElError(f"{total.skipped} of the inputs could not be linked completely; see the messages above")
    if total.documents and not total.linked:
        raise NothingLinkedError(_why_nothing(total, options))


def _report_types(total: "Total", options: argparse.Namespace) -> None:
    """Reports the mentions that were not linked because their types are unknown, and the way on."""
    from el.ontology.ontology import is_known_type

    if options.types is not None:
        return
    unknown = Counter({type: count for type, count in total.not_linked.items() if not is_known_type(type)})
    for type, count in unknown.most_common(_MOST_TYPES):
        mentions = "1 mention" if count == 1 else f"{count:,} mentions"
        verb = "is" if count == 1 else "are"
        option = f"--type {shlex.quote(type)}"
        say(f"{mentions} of type {type} {verb} not linked; link mentions of this type with {option}")
    if len(unknown) > _MOST_TYPES:
        count = unknown.total() - sum(count for _, count in unknown.most_common(_MOST_TYPES))
        say(f"{count:,} mentions of {len(unknown) - _MOST_TYPES:,} other unknown types are not linked either")


def _why_nothing(total: "Total", options: argparse.Namespace) -> str:
    if total.not_linked:
        common = total.not_linked.most_common(_MOST_TYPES)
        types = ", ".join(f"{type} ({count:,})" for type, count in common)
        more = ", ..." if len(total.not_linked) > len(common) else ""
        return (
            f"nothing was linked: no mention is of a type that is linked, but of {types}{more}. Choose types "
            "with --type"
        )
    if options.find_mentions == "never":
        return (
            "nothing was linked: the documents have no mentions. Leave out --find-mentions never to find some"
        )
    return "nothing was linked: no mentions were found in the texts. Check their language and their format"


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el link", _EPILOG)
    parser.add_argument(
        "input",
        nargs="*",
        metavar="INPUT",
        default=[str(SAMPLE)],
        help="files, folders or patterns; - for standard input (default: a sample document)",
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
        help="a file, a folder for several inputs, or - for standard output (default: -; none if only --html "
        "is given)",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=tuple(_SUFFIXES),
        help="the format of the output; links is JSON lines, one per mention (default: the format of the "
        "input; for plain text: tsv)",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write an HTML page of the documents")
    parser.add_argument(
        "--explain", metavar="MENTION", help="print the evidence for each candidate of one mention, and stop"
    )
    parser.add_argument("--force", action="store_true", help="replace existing outputs")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip inputs whose output exists; outputs that --keep-going left incomplete are made again",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="report and skip inputs and documents that cannot be used, and link the others",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_positive,
        default=1,
        help="number of processes that share the inputs; needs a folder as output (default: 1)",
    )


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="read_as",
        choices=("auto", "bioc", "bioc-json", "pubtator", "brat", "jsonl", "plain"),
        default="auto",
        help="the format of the inputs (default: auto, by how each begins)",
    )
    parser.add_argument(
        "-k",
        "--top-k",
        metavar="N",
        type=_positive,
        help="number of candidates to keep per mention (default: the linker's setting, 10)",
    )
    parser.add_argument(
        "--find-mentions",
        choices=("auto", "always", "never"),
        default="auto",
        help="find mentions in documents without mentions (auto), in all documents, or in none",
    )
    parser.add_argument(
        "-t",
        "--type",
        metavar="TYPE",
        dest="types",
        action="append",
        type=str.lower,
        help="link given mentions of this type; may be repeated (default: chemicals and diseases, under any "
        "usual name); with --explain, the type of the mention",
    )
    parser.add_argument(
        "--min-precision",
        metavar="P",
        type=_share,
        help="answer only above a threshold: on held-out mentions, this share of the answers above it, such "
        "as 0.95, was right; other mentions get -1 (default: answer all)",
    )


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1")
    return share


def _check(options: argparse.Namespace) -> None:
    """Refuses arguments that contradict each other. Called before the linker is opened, which is slow."""
    if options.explain is not None and not options.explain.strip():
        raise UsageError('--explain needs a mention, such as "renal failure"')
    if options.explain is not None and (options.output or options.html):
        raise UsageError("--explain only prints; leave out --output and --html")
    if options.input.count(_STANDARD) > 1:
        raise UsageError("standard input can be read only once; give - once")
    if options.force and options.resume:
        raise UsageError("--force and --resume contradict each other; give one of them")
    if options.html is not None and options.resume:
        raise UsageError(
            "--html shows all documents, but --resume links only those that are left; give one of them"
        )
    if options.html is not None and options.jobs > 1:
        raise UsageError("--html works with one process only; leave out --jobs")
    if options.html is not None:
        check_new(options.html, "--html", force=options.force)


def _run(options: argparse.Namespace) -> "Total":
    """Links all inputs."""
    from el.commands.files import Total

    with _spool(options) as spool:
        problems: list[InputError] = []
        files = _input_files(options, spool, problems)
        for problem in problems:
            say(f"skipped: {problem}")
        if not files:
            total = Total()
        elif _into_folder(options, files):
            total = _link_folder(files, options, spool)
        else:
            total = _link_into_one(files, options, spool, len(problems))
        total.skipped += len(problems)
        return total


def _input_files(
    options: argparse.Namespace, spool: Path | None, problems: list[InputError]
) -> dict[Path, Path]:
    """Returns the files to read, each with the path of its output below an output folder.

    With --keep-going, the errors of inputs that cannot be used are appended to `problems`.
    """
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
    """Whether an HTML page is the only output."""
    return options.html is not None and options.output is None and options.format is None


def _into_folder(options: argparse.Namespace, files: dict[Path, Path]) -> bool:
    """Whether each input has a separate output, in a folder."""
    output = options.output
    if output in (None, _STANDARD):
        if len(files) > 1 and options.format not in _TABLES and not _page_alone(options):
            raise UsageError(
                "several inputs need a folder for their outputs, --output FOLDER, or a format that holds all "
                f"of them: --format {', '.join(_TABLES)}"
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
            f"{output} is named like a file, but several inputs need a folder: give {output}/ for a folder "
            f"of that name, or --format {', '.join(_TABLES)} for one file with all of them"
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


def _link_folder(files: dict[Path, Path], options: argparse.Namespace, spool: Path | None) -> "Total":
    from el.commands.files import Job, Total, is_done, link_into_files

    if options.html is not None:
        raise UsageError("--html does not work with an output folder; leave out --output, or give a file")
    for given in options.input:
        if Path(given).is_dir() and Path(options.output).resolve().is_relative_to(Path(given).resolve()):
            raise UsageError(
                f"{options.output} lies in the input folder {given}, so the outputs would be read the next "
                "time; give another --output"
            )
    jobs = [Job(path, _target(path, below, options)) for path, below in files.items()]
    by_target: dict[Path, Path] = {}
    for job in jobs:
        if by_target.setdefault(job.target, job.source) != job.source:
            raise UsageError(f"two inputs would be written to {job.target}; link them separately")
    clear_leftovers(path for job in jobs for path in _outputs(job.target, options))
    if options.resume:
        jobs = [job for job in jobs if not is_done(job.target)]
        if not jobs:
            say("nothing to do: all outputs exist")
            return Total()
    for job in jobs:
        _check_target(job.source, job.target, options)
    return link_into_files(jobs, _settings(options, spool), options.jobs)


def _target(path: Path, below: Path, options: argparse.Namespace) -> Path:
    """Returns the output of a file: the same name in the output folder, with the suffix of the format."""
    from el.corpus.formats import open_corpus, output_format

    target: Path = Path(options.output) / below
    try:
        format = open_corpus(path, options.read_as).format
    except ElError:
        if not options.keep_going:
            raise
        # The error is reported when the file is linked.
        return target
    written = options.format or output_format(format)
    if written == format:
        # Of the two files of a brat document, the text is written last: with it the output is complete.
        return _outputs(target, options)[0]
    return target.with_name(target.name.removesuffix(".gz")).with_suffix(_SUFFIXES[written])


def _check_target(source: Path, target: Path, options: argparse.Namespace) -> None:
    """Refuses an output that is the input itself, or that exists and may not be replaced."""
    from el.commands.files import is_done

    # With --resume, complete outputs are skipped before this check. An output that is left is incomplete.
    may_replace = options.force or (options.resume and target.exists())
    for path in _outputs(target, options):
        if path.exists() and path.samefile(source):
            raise UsageError(f"{path} is the input itself; give another --output")
        if path.exists() and not may_replace:
            resumed = "keep it" if is_done(target) else "make it again, because inputs were skipped for it"
            raise UsageError(
                f"{path} exists; give another --output, --force to replace it, or --resume to {resumed}"
            )


def _outputs(target: Path, options: argparse.Namespace) -> tuple[Path, ...]:
    """Returns the files that are written for a target: two for a brat document."""
    from el.corpus.formats import output_files

    return output_files(target, options.format or "brat")


def _link_into_one(
    files: dict[Path, Path], options: argparse.Namespace, spool: Path | None, missing: int
) -> "Total":
    from el.commands.files import Total, is_done, link_into_one

    with contextlib.ExitStack() as stack:
        target: Path | TextIO | None = None
        if options.output not in (None, _STANDARD):
            target = Path(options.output)
            clear_leftovers(_outputs(target, options))
            if options.resume and is_done(target):
                say(f"nothing to do: {target} exists")
                return Total()
            for source in files:
                _check_target(source, target, options)
        elif not _page_alone(options):
            target = stack.enter_context(_standard_output(go_on=options.html is not None))
        show = stack.enter_context(_page(options)) if options.html else lambda _: None
        return link_into_one(list(files), _settings(options, spool), target, show, missing)
    # Reached when the reader of standard output stopped early: `_standard_output` ends the block.
    return Total()


@contextlib.contextmanager
def _page(options: argparse.Namespace) -> "Iterator[Callable[[LinkedDocument], None]]":
    """Yields a function that writes a linked document to the page. The page appears if the block succeeds."""
    from el.base.files import atomic_file
    from el.report.linked import linked_page

    with (
        atomic_file(options.html) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as stream,
        linked_page(stream, options.html.stem, _provenance(options)) as page,
    ):
        yield page.write


def _provenance(options: argparse.Namespace) -> str:
    """Returns one line that says what linked the documents: linker, ontology and --min-precision."""
    from el.ontology.ontology import describe_ontology

    parts = [f"Linker: {options.linker.resolve().name}"]
    # A broken linker is reported when it is opened.
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
    # Rich does not write to standard output itself: it fails if the reader of a pipe stops early.
    with _standard_output() as stream:
        stream.write(capture.get())


@contextlib.contextmanager
def _spool(options: argparse.Namespace) -> Iterator[Path | None]:
    """Yields the temporary file that will hold standard input; None if standard input is not an input.

    Error messages name the file "standard input".
    """
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
    """Yields standard output in UTF-8. If its reader stops early, the rest is dropped without an error.

    Args:
        go_on: whether the block continues after the reader stopped, because it has another output too.
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
    """Writes text to a stream for as long as the stream has a reader; later text is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            _drop_rest(self._stream)
            return len(text)


def _drop_rest(stream: TextIO) -> None:
    # Without this, Python writes the rest of the buffer at exit and fails again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
