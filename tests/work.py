"""Counts the work that a call does, for tests of how it grows; a clock says little on a busy machine."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps_of(function: Callable[[], object]) -> int:
    """Returns how many lines of Python a call runs, in this thread. What runs in C is not counted."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def assert_in_proportion(work: Callable[[int], object], size: int) -> None:
    """Asserts that four times the input is at most five times the work.

    Args:
        work: does the work for an input of a given size.
        size: of the smaller input; so large that work that grows with its square is most of the work.
    """
    # What is imported and remembered the first time does not count.
    work(size)
    less, more = (steps_of(lambda count=count: work(count)) for count in (size, 4 * size))
    assert size < less < more < 5 * less
