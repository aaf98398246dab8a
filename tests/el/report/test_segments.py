"""Segments: the whole text, each mention's pieces in full, and an order in which they can be nested."""

import itertools

from hypothesis import given

from el.corpus.types import Document, Mention, Span
from el.report.segments import cut_segments
from tests.el.corpus.strategies import documents, few
from tests.work import assert_in_proportion


def mention(*spans: tuple[int, int]) -> Mention:
    return Mention("0", tuple(Span(*span) for span in spans), "", "disease")


@few
@given(documents())
def test_segments_are_the_text_and_their_marks_the_mentions(document: Document) -> None:
    borders = [passage.offset for passage in document.passages]
    segments = cut_segments(len(document.text), borders, document.mentions)
    assert [segment.start for segment in segments] == [0, *(segment.stop for segment in segments[:-1])]
    assert segments[-1].stop == len(document.text)
    assert set(borders) <= {segment.start for segment in segments}
    for number, own in enumerate(document.mentions):
        marked = {
            place
            for segment in segments
            for mark in segment.marks
            if mark.number == number and not mark.bridge
            for place in range(segment.start, segment.stop)
        }
        assert marked == {place for span in own.spans for place in range(span.start, span.stop)}
    first_of = [number for segment in segments for number in segment.first_of]
    assert sorted(first_of) == list(range(len(document.mentions)))


@few
@given(documents())
def test_mentions_that_overlap_have_lines_of_their_own(document: Document) -> None:
    lengths = [mention.stop - mention.start for mention in document.mentions]
    for segment in cut_segments(len(document.text), [], document.mentions):
        for outer, inner in itertools.pairwise(segment.marks):
            assert lengths[outer.number] >= lengths[inner.number]
            assert outer.level > inner.level


def test_a_chain_of_overlaps() -> None:
    segments = cut_segments(30, [], [mention((0, 14)), mention((9, 22)), mention((20, 25))])
    assert [(segment.start, [mark.number for mark in segment.marks]) for segment in segments] == [
        (0, [0]),
        (9, [0, 1]),
        (14, [1]),
        (20, [1, 2]),
        (22, [2]),
        (25, []),
    ]
    assert {mark.number: mark.level for segment in segments for mark in segment.marks} == {0: 2, 1: 1, 2: 0}


def test_pieces_are_bridged_within_a_passage_only() -> None:
    discontinuous = mention((0, 5), (10, 15))
    left, bridge, right = cut_segments(15, [0], [discontinuous])
    assert [segment.marks[0].bridge for segment in (left, bridge, right)] == [False, True, False]
    assert (left.first_of, bridge.first_of, right.first_of) == ((0,), (), ())
    assert all(mark.begins and mark.ends for segment in (left, bridge, right) for mark in segment.marks)
    assert not any(mark.bridge for s in cut_segments(15, [0, 7], [discontinuous]) for mark in s.marks)


def test_what_is_not_in_the_text_is_left_out() -> None:
    (only,) = cut_segments(4, [], [mention((2, 2)), mention((9, 12))])
    assert (only.start, only.stop, only.marks) == (0, 4, ())
    assert cut_segments(0, [0], []) == []


def test_mentions_that_are_nested_deeply_are_cut_in_proportion() -> None:
    def nested(count: int) -> list[Mention]:
        return [mention((i, 2 * count - i)) for i in range(count)]

    def crossing(count: int) -> list[Mention]:
        return [mention((i, i + count)) for i in range(count)]

    def in_pieces(count: int) -> list[Mention]:
        return [mention(*((start, start + 1) for start in range(0, 2 * count, 2)))]

    for made in (nested, crossing, in_pieces):
        assert_in_proportion(lambda count, made=made: cut_segments(3 * count, range(count), made(count)), 150)
    segments = cut_segments(200, [], nested(100))
    # The shortest are marked, and each begins once.
    assert [mark.number for mark in segments[99].marks] == [*range(84, 100)]
    assert sorted(number for segment in segments for number in segment.first_of) == [*range(100)]
