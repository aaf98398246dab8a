"""Cuts a text where mentions begin and end.

HTML elements must not overlap, but mentions may. Each segment is covered by the same mentions from its first
character to its last, so these mentions can be marked by elements one inside another.
"""

import bisect
import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from el.corpus.types import Mention

# The most marks of a segment. Where more mentions cover it, the shortest are marked. With a larger value, a
# page of mentions that are nested deeply is larger and slower to make.
_MOST_MARKS = 16


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of one mention on one segment.

    Attributes:
        number: the place of the mention among its document's mentions, from 0.
        begins: whether a piece of the mention begins where the segment begins.
        ends: whether a piece of the mention ends where the segment ends.
        bridge: whether the segment lies between two pieces of the mention and is not part of the mention.
        level: how far below the text the mention's line is drawn, from 0. The level is one more than the
            highest level of the shorter mentions that share a segment with this mention.
    """

    number: int
    begins: bool
    ends: bool
    bridge: bool
    level: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text that the same mentions cover.

    Attributes:
        start: the offset of the first character.
        stop: the offset after the last character.
        marks: a mark for each of the mentions, the longest mention first; at most `_MOST_MARKS`, those of
            the shortest mentions.
        first_of: the numbers of the mentions that begin here, in order.
    """

    start: int
    stop: int
    marks: tuple[Mark, ...] = ()
    first_of: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A piece of a mention, or a bridge between two pieces."""

    start: int
    stop: int
    number: int
    bridge: bool


def cut_segments(length: int, borders: Sequence[int], mentions: Sequence[Mention]) -> list[Segment]:
    """Cuts the characters `0:length` into segments.

    Args:
        length: the length of the text.
        borders: more offsets to cut at, such as the starts of passages. Two pieces of a discontinuous mention
            are joined by a bridge unless a border lies between them.
        mentions: the mentions, which may overlap in any way. Empty pieces, and characters beyond the end of
            the text, are left out.

    Returns:
        The segments in order. Together they are the whole text.
    """
    in_order = sorted(borders)
    stretches = [
        stretch for n, mention in enumerate(mentions) for stretch in _stretches(n, mention, in_order)
    ]
    cuts = {0, length, *borders}
    for stretch in stretches:
        cuts |= {stretch.start, stretch.stop}
    longest_first = sorted(range(len(mentions)), key=lambda n: (mentions[n].start - mentions[n].stop, n))
    bounds = [*itertools.pairwise(sorted(cut for cut in cuts if cut <= length))]
    covers = [*_covers([start for start, _ in bounds], stretches, longest_first)]
    levels = _levels([cover.shown for cover in covers], longest_first)
    return [
        Segment(
            start,
            stop,
            tuple(
                Mark(one.number, one.start == start, one.stop == stop, one.bridge, levels[one.number])
                for one in cover.shown
            ),
            cover.first_of,
        )
        for (start, stop), cover in zip(bounds, covers, strict=True)
    ]


def _stretches(number: int, mention: Mention, borders: Sequence[int]) -> Iterator[_Stretch]:
    pieces = [span for span in mention.spans if span.start < span.stop]
    for span in pieces:
        yield _Stretch(span.start, span.stop, number, bridge=False)
    for left, right in itertools.pairwise(pieces):
        if left.stop < right.start:
            border = bisect.bisect_left(borders, left.stop)
            if border == len(borders) or borders[border] > right.start:
                yield _Stretch(left.stop, right.start, number, bridge=True)


@dataclass(frozen=True, slots=True)
class _Cover:
    """What covers a segment: the stretches that are shown, longest mention first; see `Segment.first_of`."""

    shown: tuple[_Stretch, ...]
    first_of: tuple[int, ...]


def _covers(
    starts: Sequence[int], stretches: Sequence[_Stretch], longest_first: Sequence[int]
) -> Iterator[_Cover]:
    """Yields what covers each segment. No stretch starts or stops inside a segment.

    Args:
        starts: the starts of the segments, in order.
        stretches: in any order.
        longest_first: the numbers of the mentions, the longest first.
    """
    place = {number: at for at, number in enumerate(longest_first)}
    waiting = sorted(range(len(stretches)), key=lambda n: stretches[n].start, reverse=True)
    # The stretches that cover a segment, as (place of the mention, number of the stretch), in order.
    covering: list[tuple[int, int]] = []
    # The same, as (stop, place, number): the first to stop comes first.
    stopping: list[tuple[int, int, int]] = []
    seen: set[int] = set()
    for start in starts:
        while stopping and stopping[0][0] <= start:
            _, *key = heapq.heappop(stopping)
            del covering[bisect.bisect_left(covering, (key[0], key[1]))]
        new: set[int] = set()
        while waiting and stretches[waiting[-1]].start <= start:
            n = waiting.pop()
            bisect.insort(covering, (place[stretches[n].number], n))
            heapq.heappush(stopping, (stretches[n].stop, place[stretches[n].number], n))
            new.add(stretches[n].number)
        yield _Cover(tuple(stretches[n] for _, n in covering[-_MOST_MARKS:]), tuple(sorted(new - seen)))
        seen |= new


def _levels(covers: Iterable[Sequence[_Stretch]], longest_first: Sequence[int]) -> dict[int, int]:
    """Returns the level of each mention; see `Mark.level`."""
    shorter: defaultdict[int, set[int]] = defaultdict(set)
    for cover in covers:
        # The level of the next shorter mention is above those of all shorter mentions of the segment.
        for outer, inner in itertools.pairwise(cover):
            shorter[outer.number].add(inner.number)
    levels: dict[int, int] = {}
    for number in reversed(longest_first):
        levels[number] = 1 + max((levels[other] for other in shorter[number] - {number}), default=-1)
    return levels
