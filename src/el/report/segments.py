"""Cuts a text where mentions begin and end.

HTML elements must not overlap, but mentions may. Each segment is covered by the same mentions from its first
character to its last, so these mentions can be marked by elements one inside another.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from el.corpus.types import Mention


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
        marks: a mark for each of the mentions, the longest mention first.
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
    stretches = [stretch for n, mention in enumerate(mentions) for stretch in _stretches(n, mention, borders)]
    cuts = {0, length, *borders}
    for stretch in stretches:
        cuts |= {stretch.start, stretch.stop}
    longest_first = sorted(range(len(mentions)), key=lambda n: (mentions[n].start - mentions[n].stop, n))
    place = {number: at for at, number in enumerate(longest_first)}
    segments: list[Segment] = []
    seen: set[int] = set()
    covering: list[_Stretch] = []
    waiting = sorted(stretches, key=lambda stretch: stretch.start, reverse=True)
    for start, stop in itertools.pairwise(sorted(cut for cut in cuts if cut <= length)):
        covering = [stretch for stretch in covering if stretch.stop > start]
        while waiting and waiting[-1].start <= start:
            covering.append(waiting.pop())
        covering.sort(key=lambda stretch: place[stretch.number])
        marks = tuple(Mark(one.number, one.start == start, one.stop == stop, one.bridge) for one in covering)
        first_of = tuple(sorted({mark.number for mark in marks} - seen))
        seen.update(first_of)
        segments.append(Segment(start, stop, marks, first_of))
    levels = _levels(segments, longest_first)
    return [
        replace(segment, marks=tuple(replace(mark, level=levels[mark.number]) for mark in segment.marks))
        for segment in segments
    ]


def _stretches(number: int, mention: Mention, borders: Sequence[int]) -> Iterator[_Stretch]:
    pieces = [span for span in mention.spans if span.start < span.stop]
    for span in pieces:
        yield _Stretch(span.start, span.stop, number, bridge=False)
    for left, right in itertools.pairwise(pieces):
        if left.stop < right.start and not any(left.stop <= border <= right.start for border in borders):
            yield _Stretch(left.stop, right.start, number, bridge=True)


def _levels(segments: Sequence[Segment], longest_first: Sequence[int]) -> dict[int, int]:
    shorter: defaultdict[int, set[int]] = defaultdict(set)
    for segment in segments:
        for outer, inner in itertools.combinations(segment.marks, 2):
            shorter[outer.number].add(inner.number)
    levels: dict[int, int] = {}
    for number in reversed(longest_first):
        levels[number] = 1 + max((levels[other] for other in shorter[number] - {number}), default=-1)
    return levels
