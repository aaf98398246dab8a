"""Progress of long work on stderr: a bar on a terminal, a line every half minute elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

Unit = Literal["items", "bytes"]

# Seconds between two lines in a log. At a larger value a user waits longer to see that the work is alive.
_SECONDS_BETWEEN_LINES = 30.0


@contextlib.contextmanager
def progress(
    description: str, total: int | None, *, unit: Unit = "items", done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number of items that were done after the last call.

    Args:
        description: what is being done. "" shows nothing.
        total: the number of items; None if unknown.
        unit: what is counted.
        done: the number of items that were done earlier, such as the bytes of an unfinished download.
    """
    if not description:
        yield lambda _: None
    elif sys.stderr.isatty():
        with Progress(*_columns(unit), console=Console(stderr=True)) as bar:
            task = bar.add_task(description, total=total, completed=done)
            yield lambda count: bar.advance(task, count)
    else:
        yield _Lines(description, total, unit, done).advance


def _columns(unit: Unit) -> list[ProgressColumn]:
    counts: list[ProgressColumn] = (
        [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn(), _Rate()]
    )
    # Without markup: the name of a file may hold square brackets.
    return [TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeRemainingColumn()]


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f}/s")


class _Lines:
    """Progress as lines, for logs."""

    def __init__(self, description: str, total: int | None, unit: Unit, done: int) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._done_earlier = done
        self._start = self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES or self._done == self._done_earlier:
            return
        self._last = now
        rate = (self._done - self._done_earlier) / (now - self._start)
        line = f"{self._description}: {self._amount(self._done)}"
        if self._total is not None:
            line += f" of {self._amount(self._total)}"
        line += f", {rate / 1e6:,.1f} MB/s" if self._unit == "bytes" else f", {rate:,.1f} a second"
        if self._total is not None:
            line += f", {(self._total - self._done) / rate:.0f} s left"
        print(line, file=sys.stderr)

    def _amount(self, count: int) -> str:
        return f"{count / 1e6:,.1f} MB" if self._unit == "bytes" else f"{count:,}"
