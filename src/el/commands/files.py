"""Links files of documents, one after the other or with several processes.

It is separate from `el.commands.link`, which checks arguments, because it imports the linker, which is slow.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Literal, TextIO

from el.base.cli import say
from el.base.errors import ElError, InputError, as_given
from el.base.progress import progress
from el.corpus.checks import MentionError
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


@dataclass
class Total:
    """What came of linking several files.

    Attributes:
        skipped: number of files that were skipped, completely or in part.
        documents: number of documents that were written.
        linked: number of mentions in these documents that were linked, given ones and found ones.
        not_linked: number of given mentions that were not linked, by type.
    """

    skipped: int = 0
    documents: int = 0
    linked: int = 0
    not_linked: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: "Outcome") -> None:
        """Adds what came of one file."""
        self.skipped += outcome.is_incomplete
        self.documents += outcome.documents
        self.linked += outcome.linked
        self.not_linked += outcome.not_linked


@dataclass
class Outcome:
    """What came of linking one file.

    Attributes:
        problems: a message for each document that was skipped, or for the file.
        mentions: a message for each of the first `_MOST_SHOWN` mentions that were to be linked and cannot be
            used.
        mention_count: the number of these mentions.
        harmless: a message for the first mention that cannot be used and is of a type that is not linked.
        harmless_types: the number of these mentions, by type.
        documents, linked, not_linked: as for `Total`.
    """

    problems: list[str] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)
    mention_count: int = 0
    harmless: str = ""
    harmless_types: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    linked: int = 0
    not_linked: Counter[str] = field(default_factory=Counter)

    @property
    def is_incomplete(self) -> bool:
        """Whether a part of the file was skipped that was to be linked."""
        return bool(self.problems or self.mention_count)

    def messages(self, path: Path | str) -> Iterator[str]:
        """Yields what the user should know about the file at `path`."""
        if self.harmless_types:
            count = self.harmless_types.total()
            names = ", ".join(type or "none" for type, _ in self.harmless_types.most_common())
            mentions = "annotation" if count == 1 else "annotations"
            types, is_or_are = ("type", "is") if len(self.harmless_types) == 1 else ("types", "are")
            yield (
                f"{path}: {count:,} {mentions} of {types} {names}, which {is_or_are} not linked, cannot be "
                f"used. The first: {self.harmless}"
            )
        for message in (*self.problems, *self.mentions):
            yield f"skipped: {message}"
        if self.mention_count > len(self.mentions):
            yield f"skipped: {path}: {self.mention_count - len(self.mentions):,} more annotations"


def is_done(target: Path) -> bool:
    """Whether an output exists and is complete: no input or document was skipped for it."""
    return target.exists() and not _mark(target).exists()


def link_into_files(jobs: Sequence[Job], settings: Settings, processes: int) -> Total:
    """Links files into separate outputs.

    Args:
        jobs: the files.
        settings: how to link them.
        processes: number of processes that share the files. Each opens the linker; its vectors are mapped
            into memory once for all of them.

    Raises:
        ElError: a file cannot be used, and `keep_going` is off.
    """
    total = Total()
    with contextlib.ExitStack() as stack:
        if processes > 1 and len(jobs) > 1:
            results = _by_processes(stack, jobs, settings, processes)
        else:
            linker = settings.load()
            results = ((job, _link_file(linker, settings, job)) for job in jobs)
        several = len(jobs) > 1
        advance = stack.enter_context(progress("link files" if several else "", len(jobs)))
        for job, outcome in results:
            _report(outcome, job.source, settings)
            total.add(outcome)
            advance(1)
    return total


def link_into_one(
    sources: Sequence[Path],
    settings: Settings,
    target: Path | TextIO | None,
    show: Callable[[LinkedDocument], None],
    missing: int = 0,
) -> Total:
    """Links files into one output.

    Args:
        sources: the files; several only if `settings.format` can hold the documents of several files.
        settings: how to link them.
        target: a file or an open stream; None to write nothing.
        show: called with each linked document.
        missing: number of inputs that the caller skipped; with any, `target` is marked as incomplete.

    Raises:
        ElError: a file cannot be used, and `keep_going` is off.
    """
    total = Total()
    # Opened before the linker, so that a wrong path is reported at once.
    corpora: list[Corpus] = []
    for source in sources:
        outcome = Outcome()
        if (corpus := _opened(source, settings, outcome)) is not None:
            corpora.append(corpus)
        else:
            _report(outcome, source, settings)
            total.add(outcome)
    linker = settings.load()
    with contextlib.ExitStack() as stack:
        write = show
        if not corpora:
            _mark_stale(target)
        elif target is not None:
            writer = stack.enter_context(
                _writer(target, settings, corpora[0], lambda: not (missing or total.skipped))
            )
            write = partial(_both, writer, show)
        several = len(corpora) > 1
        # The bar of one file has no end, because the number of its documents is unknown until it is read.
        advance = stack.enter_context(progress("link documents", len(corpora) if several else None))
        for corpus in corpora:
            outcome = Outcome()
            try:
                _link(linker, corpus, settings, write, (lambda _: None) if several else advance, outcome)
            except InputError as error:
                # The file is broken in the middle: its remaining documents cannot be read.
                if not settings.keep_going:
                    raise
                outcome.problems.append(_message(error, settings))
            _report(outcome, corpus.path, settings)
            total.add(outcome)
            if several:
                advance(1)
    return total


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


def _opened(source: Path, settings: Settings, outcome: Outcome) -> Corpus | None:
    try:
        return open_corpus(source, settings.read_as)
    except InputError as error:
        if not settings.keep_going:
            raise
        outcome.problems.append(_message(error, settings))
        return None


def _link_file(linker: Linker, settings: Settings, job: Job) -> Outcome:
    """Links a file into its output."""
    outcome = Outcome()
    corpus = _opened(job.source, settings, outcome)
    try:
        if corpus is not None:
            with _writer(job.target, settings, corpus, lambda: not outcome.is_incomplete) as writer:
                _link(linker, corpus, settings, writer.write, lambda _: None, outcome)
            return outcome
    except ElError as error:
        if not settings.keep_going:
            raise
        outcome.problems.append(_message(error, settings))
    _mark_stale(job.target)
    return outcome


def _link(
    linker: Linker,
    corpus: Corpus,
    settings: Settings,
    write: Callable[[LinkedDocument], None],
    advance: Callable[[int], None],
    outcome: Outcome,
) -> None:
    """Links the documents of a file. What comes of them is added to `outcome`."""

    def is_linked(type: str) -> bool:
        return linker.mention_finder.is_linked(type, settings.types)

    skip = partial(_skip, settings, is_linked, outcome)
    for linked in linker.link(corpus.documents(skip), settings.find_mentions, settings.types):
        try:
            write(linked)
        except ElError as error:
            # The output format cannot hold this document.
            if not settings.keep_going:
                raise
            outcome.problems.append(_message(error, settings))
        else:
            outcome.documents += 1
            outcome.linked += len(linked.mentions)
            types = (mention.type for mention in linked.document.mentions)
            outcome.not_linked.update(type for type in types if not is_linked(type))
        advance(1)


def _skip(settings: Settings, is_linked: Callable[[str], bool], outcome: Outcome, error: InputError) -> None:
    """Skips a document or a mention that cannot be used; see `el.corpus.checks.Skip`.

    A mention of a type that is not linked does no harm.
    """
    if isinstance(error, MentionError) and not is_linked(error.type):
        outcome.harmless = outcome.harmless or _message(error, settings)
        outcome.harmless_types[error.type] += 1
        outcome.not_linked[error.type] += 1
    elif not settings.keep_going:
        raise error
    elif isinstance(error, MentionError):
        outcome.mention_count += 1
        if outcome.mention_count <= _MOST_SHOWN:
            outcome.mentions.append(_message(error, settings))
    else:
        outcome.problems.append(_message(error, settings))


def _message(error: ElError, settings: Settings) -> str:
    return str(as_given(error, settings.standard_input))


def _report(outcome: Outcome, source: Path, settings: Settings) -> None:
    for message in outcome.messages("standard input" if source == settings.standard_input else source):
        say(message)


# The most messages about mentions of one file. With a larger value, a file with a systematic fault, such as
# offsets that count bytes, floods the terminal.
_MOST_SHOWN = 10

# Files that wait in the queue, for each process. With fewer, processes may be idle; with all files of a large
# folder, the queue takes memory.
_AHEAD = 4

# The linker of a worker process, opened at its first file.
_of_process: dict[str, Any] = {}


def _by_processes(
    stack: contextlib.ExitStack, jobs: Sequence[Job], settings: Settings, processes: int
) -> Iterator[tuple[Job, Outcome]]:
    # Spawned, because forked processes can hang: the libraries that link use threads.
    context = multiprocessing.get_context("spawn")
    number = context.Value("i", 0)
    pool = ProcessPoolExecutor(processes, context, _start_worker, (number, processes))
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


def _results(
    pool: Executor, jobs: Iterable[Job], settings: Settings, ahead: int
) -> Iterator[tuple[Job, Outcome]]:
    """Yields each file with its outcome when it is done. At most `ahead` files are in the queue at a time."""
    running: dict[Future[Outcome], Job] = {}
    for job in jobs:
        if len(running) == ahead:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            yield from ((running.pop(future), future.result()) for future in done)
        running[pool.submit(_link_in_process, job, settings)] = job
    yield from ((running[future], future.result()) for future in as_completed(running))


def _start_worker(number: "Synchronized[int]", processes: int) -> None:
    """Prepares a worker process.

    The process is restricted to a share of the processors, so that workers do not compete for them.
    """
    # Ctrl-C is handled by the main process, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with number.get_lock():
        place = number.value
        number.value += 1
    if hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, every[place % len(every) :: processes])


def _end_with_parent() -> None:
    """Ends this process when its parent has ended, also if the parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        # Without waiting for the file in progress: nobody would get its outcome.
        os._exit(1)


def _link_in_process(job: Job, settings: Settings) -> Outcome:
    # Opened here and not in the initialiser of the process, where the error message would be lost.
    if "linker" not in _of_process:
        _of_process["linker"] = settings.load()
    return _link_file(_of_process["linker"], settings, job)
