"""Files of documents linked: one after the other, or by several processes."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Literal, TextIO

from el.base.errors import ElError, InputError, as_given
from el.base.progress import progress
from el.corpus.formats import Corpus, Format, OutputFormat, Writer, open_corpus, open_writer, output_format
from el.corpus.types import LinkedDocument
from el.linking.linker import Linker
from el.linking.mentions import FindMentions


@dataclass(frozen=True)
class Settings:
    """How files are linked.

    Attributes:
        linker: the linker's folder.
        min_precision: see `Linker.load`.
        top_k: candidates that mentions keep; None for the linker's own number.
        find_mentions: see `Linker.link`.
        types: see `Linker.link`.
        read_as: the files' format.
        format: that of what is written; None for each file's own.
        keep_going: whether a file or document that cannot be used is told and passed over.
        standard_input: the file that messages call so; None for none.
    """

    linker: Path
    min_precision: float | None = None
    top_k: int | None = None
    find_mentions: FindMentions = "auto"
    types: Collection[str] | None = None
    read_as: Format | Literal["auto"] = "auto"
    format: OutputFormat | None = None
    keep_going: bool = False
    standard_input: Path | None = None

    def load(self) -> Linker:
        """Opens the linker."""
        changes = {} if self.top_k is None else {"top_k": self.top_k}
        return Linker.load(self.linker, self.min_precision, **changes)


@dataclass(frozen=True)
class Job:
    """A file to link.

    Attributes:
        source: what is read.
        target: what is written.
    """

    source: Path
    target: Path


def is_done(target: Path) -> bool:
    """Whether an output is there, and nothing was passed over for it."""
    return target.exists() and not _mark(target).exists()


def link_into_files(jobs: Sequence[Job], settings: Settings, processes: int) -> int:
    """Links files, each into a file of its own. Returns how many had to be passed over, wholly or in part.

    Args:
        jobs: the files.
        settings: how.
        processes: that share the work; each opens the linker, whose vectors they have in common.

    Raises:
        ElError: a file cannot be used, and `keep_going` is off.
    """
    failed = 0
    with contextlib.ExitStack() as stack:
        if processes > 1 and len(jobs) > 1:
            results = _by_processes(stack, jobs, settings, processes)
        else:
            results = map(partial(_link_file, settings.load(), settings), jobs)
        several = len(jobs) > 1
        advance = stack.enter_context(progress("link files" if several else "", len(jobs)))
        for problems in results:
            _tell(problems)
            failed += bool(problems)
            advance(1)
    return failed


def link_into_one(
    sources: Sequence[Path],
    settings: Settings,
    target: Path | TextIO | None,
    show: Callable[[LinkedDocument], None],
    missing: int = 0,
) -> int:
    """Links files into one. Returns how many had to be passed over, wholly or in part.

    Args:
        sources: the files; several only where `settings.format` can hold documents of several.
        settings: how.
        target: a file or an open stream; None to write nothing.
        show: is given each linked document.
        missing: how many files were passed over before, which `target` lacks too.

    Raises:
        ElError: a file cannot be used, and `keep_going` is off.
    """
    problems: list[str] = []
    failed = 0
    # Opened before the linker, so that a wrong path is told at once.
    corpora = [corpus for source in sources if (corpus := _opened(source, settings, problems))]
    failed += len(sources) - len(corpora)
    _tell(problems)
    linker = settings.load()
    with contextlib.ExitStack() as stack:
        write = show
        if not corpora:
            _mark_stale(target)
        elif target is not None:
            writer = stack.enter_context(
                _writer(target, settings, corpora[0], lambda: not (missing or failed))
            )
            write = partial(_both, writer, show)
        several = len(corpora) > 1
        # How many documents a file has nobody knows before the end.
        advance = stack.enter_context(progress("link documents", len(corpora) if several else None))
        for corpus in corpora:
            own: list[str] = []
            try:
                _link(linker, corpus, settings, write, (lambda _: None) if several else advance, own)
            except InputError as error:
                # The rest of a file that nobody can make sense of.
                if not settings.keep_going:
                    raise
                own.append(_message(error, settings))
            _tell(own)
            failed += bool(own)
            if several:
                advance(1)
    return failed


def _both(writer: Writer, show: Callable[[LinkedDocument], None], linked: LinkedDocument) -> None:
    writer.write(linked)
    show(linked)


@contextlib.contextmanager
def _writer(
    target: Path | TextIO, settings: Settings, corpus: Corpus, is_whole: Callable[[], bool]
) -> Iterator[Writer]:
    """Yields a writer; an output is marked if it is not whole when the block ends, see `is_done`."""
    format = settings.format or output_format(corpus.format)
    mark = _mark(target) if isinstance(target, Path) else None
    with open_writer(target, format, corpus.head if format == corpus.format else None) as writer:
        yield writer
        # Before the output has its name, and taken away after: so no part is ever without a mark.
        if mark and not is_whole():
            mark.touch()
    if mark and is_whole():
        mark.unlink(missing_ok=True)


def _mark(target: Path) -> Path:
    """The hidden file that says, beside an output, that something was passed over for it."""
    return target.with_name(f".{target.name}.incomplete")


def _mark_stale(target: Path | TextIO | None) -> None:
    """Marks an output of before that stays, where nothing could be made anew."""
    if isinstance(target, Path) and target.exists():
        _mark(target).touch()


def _opened(source: Path, settings: Settings, problems: list[str]) -> Corpus | None:
    try:
        return open_corpus(source, settings.read_as)
    except InputError as error:
        if not settings.keep_going:
            raise
        problems.append(_message(error, settings))
        return None


def _link_file(linker: Linker, settings: Settings, job: Job) -> list[str]:
    """Links a file into another. Returns what had to be passed over, a message each."""
    problems: list[str] = []
    corpus = _opened(job.source, settings, problems)
    try:
        if corpus is not None:
            with _writer(job.target, settings, corpus, lambda: not problems) as writer:
                _link(linker, corpus, settings, writer.write, lambda _: None, problems)
            return problems
    except ElError as error:
        if not settings.keep_going:
            raise
        problems.append(_message(error, settings))
    _mark_stale(job.target)
    return problems


def _link(
    linker: Linker,
    corpus: Corpus,
    settings: Settings,
    write: Callable[[LinkedDocument], None],
    advance: Callable[[int], None],
    problems: list[str],
) -> None:
    """Links the documents of a file; `problems` gets a message for each that had to be passed over."""
    skip = (lambda error: problems.append(_message(error, settings))) if settings.keep_going else None
    for linked in linker.link(corpus.documents(skip), settings.find_mentions, settings.types):
        try:
            write(linked)
        except ElError as error:
            # What the format cannot hold.
            if not settings.keep_going:
                raise
            problems.append(_message(error, settings))
        advance(1)


def _message(error: ElError, settings: Settings) -> str:
    return str(as_given(error, settings.standard_input))


def _tell(problems: Sequence[str]) -> None:
    for problem in problems:
        print(f"passed over: {problem}", file=sys.stderr)


# Files that are handed over for each process: enough that none is idle; all of a folder would take memory.
_AHEAD = 4

# The linker of this process, where several link.
_own: dict[str, Any] = {}


def _by_processes(
    stack: contextlib.ExitStack, jobs: Sequence[Job], settings: Settings, processes: int
) -> Iterator[list[str]]:
    # Not forked: the libraries that link have threads.
    context = multiprocessing.get_context("spawn")
    number = context.Value("i", 0)
    pool = ProcessPoolExecutor(processes, context, _take_processors, (number, processes))
    stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
    # What has not begun when a file cannot be used does not begin any more.
    stack.callback(pool.shutdown, cancel_futures=True)
    signal.signal(signal.SIGINT, _interrupt_once)
    try:
        yield from _results(pool, jobs, settings, _AHEAD * processes)
    except BrokenProcessPool as error:
        raise ElError(
            "a process was ended from outside, perhaps for want of memory. Give fewer --jobs, and --resume"
        ) from error


def _interrupt_once(*_: object) -> None:
    """Ends the command when the files under way are done; a second Ctrl-C does not disturb that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _results(pool: Executor, jobs: Iterable[Job], settings: Settings, ahead: int) -> Iterator[list[str]]:
    """Yields what became of each file, as they are done; at most `ahead` are handed over at a time."""
    running: set[Future[list[str]]] = set()
    for job in jobs:
        if len(running) == ahead:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        running.add(pool.submit(_link_by_own, job, settings))
    yield from (future.result() for future in as_completed(running))


def _take_processors(number: "Synchronized[int]", processes: int) -> None:
    """Gives a process processors of its own."""
    # The process that started this one tells of Ctrl-C, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with number.get_lock():
        place = number.value
        number.value += 1
    if hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, every[place % len(every) :: processes])


def _link_by_own(job: Job, settings: Settings) -> list[str]:
    # Not when the process begins: an error there would not be told.
    if "linker" not in _own:
        _own["linker"] = settings.load()
    return _link_file(_own["linker"], settings, job)
