"""Links files of documents, one after the other or with several processes.

It is separate from `el.commands.link`, which checks arguments, because it imports the linker, which is slow.
"""

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
        top_k: number of candidates that a mention keeps; None for the linker's setting.
        find_mentions: see `Linker.link`.
        types: see `Linker.link`.
        read_as: the format of the inputs.
        format: the format of the outputs; None for the format of each input.
        keep_going: whether a file or document that cannot be used is reported and skipped. Otherwise its
            error is raised.
        standard_input: the file that messages call "standard input"; None if there is none.
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
        source: the file to read.
        target: the file to write.
    """

    source: Path
    target: Path


def is_done(target: Path) -> bool:
    """Whether an output exists and is complete: no input or document was skipped for it."""
    return target.exists() and not _mark(target).exists()


def link_into_files(jobs: Sequence[Job], settings: Settings, processes: int) -> int:
    """Links files into separate outputs. Returns how many files were skipped, completely or in part.

    Args:
        jobs: the files.
        settings: how to link them.
        processes: number of processes that share the files. Each opens the linker; its vectors are mapped
            into memory once for all of them.

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
            _report(problems)
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
    """Links files into one output. Returns how many files were skipped, completely or in part.

    Args:
        sources: the files; several only if `settings.format` can hold the documents of several files.
        settings: how to link them.
        target: a file or an open stream; None to write nothing.
        show: called with each linked document.
        missing: number of inputs that the caller skipped; with any, `target` is marked as incomplete.

    Raises:
        ElError: a file cannot be used, and `keep_going` is off.
    """
    problems: list[str] = []
    failed = 0
    # Opened before the linker, so that a wrong path is reported at once.
    corpora = [corpus for source in sources if (corpus := _opened(source, settings, problems))]
    failed += len(sources) - len(corpora)
    _report(problems)
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
        # The bar of one file has no end, because the number of its documents is unknown until it is read.
        advance = stack.enter_context(progress("link documents", len(corpora) if several else None))
        for corpus in corpora:
            skipped: list[str] = []
            try:
                _link(linker, corpus, settings, write, (lambda _: None) if several else advance, skipped)
            except InputError as error:
                # The file is broken in the middle: its remaining documents cannot be read.
                if not settings.keep_going:
                    raise
                skipped.append(_message(error, settings))
            _report(skipped)
            failed += bool(skipped)
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
    """Yields a writer. If the output is incomplete when the block ends, it is marked; see `is_done`."""
    format = settings.format or output_format(corpus.format)
    mark = _mark(target) if isinstance(target, Path) else None
    with open_writer(target, format, corpus.head if format == corpus.format else None) as writer:
        yield writer
        # The mark is set before the output gets its name, and removed only after. So an incomplete output
        # never stands without a mark.
        if mark and not is_whole():
            mark.touch()
    if mark and is_whole():
        mark.unlink(missing_ok=True)


def _mark(target: Path) -> Path:
    """Returns the hidden file that marks an output as incomplete."""
    return target.with_name(f".{target.name}.incomplete")


def _mark_stale(target: Path | TextIO | None) -> None:
    """Marks an earlier output as incomplete. Called if no input can be used and the output stays as it is."""
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
    """Links a file into its output. Returns one message for each skipped document, or for the file."""
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
    """Links the documents of a file. Appends a message to `problems` for each document that is skipped."""
    skip = (lambda error: problems.append(_message(error, settings))) if settings.keep_going else None
    for linked in linker.link(corpus.documents(skip), settings.find_mentions, settings.types):
        try:
            write(linked)
        except ElError as error:
            # The output format cannot hold this document.
            if not settings.keep_going:
                raise
            problems.append(_message(error, settings))
        advance(1)


def _message(error: ElError, settings: Settings) -> str:
    return str(as_given(error, settings.standard_input))


def _report(problems: Sequence[str]) -> None:
    for problem in problems:
        print(f"skipped: {problem}", file=sys.stderr)


# Files that wait in the queue, for each process. With fewer, processes may be idle; with all files of a large
# folder, the queue takes memory.
_AHEAD = 4

# The linker of a worker process, opened at its first file.
_of_process: dict[str, Any] = {}


def _by_processes(
    stack: contextlib.ExitStack, jobs: Sequence[Job], settings: Settings, processes: int
) -> Iterator[list[str]]:
    # Spawned, because forked processes can hang: the libraries that link use threads.
    context = multiprocessing.get_context("spawn")
    number = context.Value("i", 0)
    pool = ProcessPoolExecutor(processes, context, _take_processors, (number, processes))
    stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
    # After an error, files that wait in the queue are not linked.
    stack.callback(pool.shutdown, cancel_futures=True)
    signal.signal(signal.SIGINT, _interrupt_once)
    try:
        yield from _results(pool, jobs, settings, _AHEAD * processes)
    except BrokenProcessPool as error:
        raise ElError(
            "a process was killed, perhaps because memory ran out. Give fewer --jobs, and --resume"
        ) from error


def _interrupt_once(*_: object) -> None:
    """Ends the command when the files in progress are done. A second Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _results(pool: Executor, jobs: Iterable[Job], settings: Settings, ahead: int) -> Iterator[list[str]]:
    """Yields the messages of each file as it is done. At most `ahead` files are in the queue at a time."""
    running: set[Future[list[str]]] = set()
    for job in jobs:
        if len(running) == ahead:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        running.add(pool.submit(_link_in_process, job, settings))
    yield from (future.result() for future in as_completed(running))


def _take_processors(number: "Synchronized[int]", processes: int) -> None:
    """Restricts a worker process to a share of the processors, so that workers do not compete for them."""
    # Ctrl-C is handled by the main process, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with number.get_lock():
        place = number.value
        number.value += 1
    if hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, every[place % len(every) :: processes])


def _link_in_process(job: Job, settings: Settings) -> list[str]:
    # Opened here and not in the initialiser of the process, where the error message would be lost.
    if "linker" not in _of_process:
        _of_process["linker"] = settings.load()
    return _link_file(_of_process["linker"], settings, job)
