"""Labels: what is labelled is read again, and no path is illegal."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.tagging.finder import Found
from el.tagging.labels import COUNT, TYPES, is_legal, labels_of, legal_transitions, spans_of, viterbi

WORDS = [(0, 4), (4, 5), (5, 9), (10, 20), (21, 22)]


@st.composite
def words_and_spans(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[Found]]:
    """Words with or without blanks between them, and spans of whole words that do not overlap."""
    words, place = [], 0
    for length, blank in draw(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=30)):
        words.append((place, place + length))
        place += length + blank
    spans, first = [], 0
    while first < len(words):
        last = draw(st.integers(first, min(first + 4, len(words))))
        if last > first:
            spans.append(Found(words[first][0], words[last - 1][1], draw(st.sampled_from(TYPES))))
        first = last + draw(st.integers(0, 1)) if last > first else first + 1
    return words, spans


@given(words_and_spans())
def test_round_trip(case: tuple[list[tuple[int, int]], list[Found]]) -> None:
    words, spans = case
    labels = labels_of(spans, words)
    assert is_legal(labels)
    assert spans_of(labels, words) == spans


def test_spans_that_are_no_whole_words() -> None:
    # Half a word takes the whole; nothing takes no word; the second of two finds its first word taken.
    spans = [Found(2, 6, "disease"), Found(7, 20, "chemical"), Found(20, 21, "chemical")]
    labels = labels_of(spans, WORDS)
    assert spans_of(labels, WORDS) == [Found(0, 9, "disease"), Found(10, 20, "chemical")]


def test_adjacent_mentions_of_one_type_stay_apart() -> None:
    spans = [Found(0, 4, "chemical"), Found(4, 5, "chemical"), Found(5, 20, "chemical")]
    assert spans_of(labels_of(spans, WORDS), WORDS) == spans


@pytest.mark.parametrize("labels", [[2], [1], [1, 0], [1, 7], [5, 4], [0, 3], [1, 5, 3]])
def test_illegal_labels(labels: list[int]) -> None:
    assert not is_legal(labels)


@given(st.integers(0, 3), st.randoms(use_true_random=False))
def test_viterbi_is_the_best_of_all_legal_paths(length: int, random: object) -> None:
    generator = np.random.default_rng(random.randrange(10**6))  # type: ignore[attr-defined]
    emissions = generator.normal(size=(length, COUNT)).astype(np.float32)
    transitions = generator.normal(size=(COUNT + 2, COUNT + 2)).astype(np.float32)

    def score(path: tuple[int, ...]) -> float:
        steps = itertools.pairwise([COUNT, *path, COUNT + 1])
        return float(sum(transitions[a, b] for a, b in steps) + sum(emissions[range(length), path]))

    legal = [path for path in itertools.product(range(COUNT), repeat=length) if is_legal(path)]
    best, found = viterbi(emissions, transitions)
    assert tuple(best) == max(legal, key=score)
    assert found == pytest.approx(score(tuple(best)), abs=1e-4)


def test_mentions_end_with_the_text() -> None:
    legal = legal_transitions()
    # Neither may a text begin inside a mention, nor end there.
    assert np.flatnonzero(legal[COUNT]).tolist() == [0, 1, 4, 5, 8, COUNT + 1]
    assert np.flatnonzero(legal[:, COUNT + 1]).tolist() == [0, 3, 4, 7, 8, COUNT]
