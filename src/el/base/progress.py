"""Progress of long work on stderr: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LOG_EVERY_SECONDS = 30.0


@contextlib.contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function to be told how many more items are done.

    Args:
        description: what is done; silent where it is "".
        total: how many items there are; None where nobody knows.
    """
    if not description:
        yield lambda _: None
    elif sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(description, total=total)
            yield lambda count: bar.advance(task, count)
    else:
        yield _Lines(description, total).advance


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f}/s")


class _Lines:
    """Progress as lines, for logs."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done = description, total, 0
        self.start = self.last = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last < _LOG_EVERY_SECONDS or not self.done:
            return
        self.last = now
        rate = self.done / (now - self.start)
        done = f"{self.description}: {self.done:,}"
        if self.total is None:
            print(f"{done}, {rate:,.1f} a second", file=sys.stderr)
            return
        left = (self.total - self.done) / rate
        print(
            f"{done} of {self.total:,}, {rate:,.1f} a second, {left:.0f} s left",
            file=sys.stderr,
        )
