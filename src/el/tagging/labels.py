"""Labels of words in the BIOES scheme, and the best sequence of labels for a text.

A label says which type of mention a word belongs to, and where in the mention the word stands. Label 0 stands
for a word outside of mentions. Each type has four labels: begin, inside, end, and single for a mention of one
word.
"""

import bisect
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from el.ontology.ontology import Kind
from el.tagging.finder import Found

TYPES: tuple[Kind, ...] = ("chemical", "disease")
_BEGIN, _INSIDE, _END, _SINGLE = 1, 2, 3, 4
# The number of labels, of all types together.
COUNT = 1 + 4 * len(TYPES)
# The kind of mention that each label describes; None for label 0.
KIND_OF_LABEL: tuple[Kind | None, ...] = (None, *(kind for kind in TYPES for _ in range(4)))

Words = Sequence[tuple[int, int]]


def labels_of(spans: Iterable[Found], words: Words) -> list[int]:
    """Returns the label of each word.

    A word belongs to a span if they share a character. A word that two spans share belongs to the first span.

    Args:
        spans: the mentions, in order of their starts.
        words: (start, stop) of each word, in order, not overlapping.
    """
    labels = [0] * len(words)
    starts, stops = [word[0] for word in words], [word[1] for word in words]
    free = 0
    for span in spans:
        first = max(free, bisect.bisect_right(stops, span.start))
        last = bisect.bisect_left(starts, span.stop)
        if first >= last:
            continue
        base = 4 * TYPES.index(span.kind)
        labels[first:last] = [base + _INSIDE] * (last - first)
        labels[first], labels[last - 1] = base + _BEGIN, base + _END
        if last - first == 1:
            labels[first] = base + _SINGLE
        free = last
    return labels


def spans_of(labels: Sequence[int], words: Words) -> list[Found]:
    """Returns the mentions that labels describe, in order: the inverse of `labels_of`.

    Args:
        labels: a label for each word; the sequence must be legal (`is_legal`).
        words: (start, stop) of each word.
    """
    spans: list[Found] = []
    start = 0
    for place, label in enumerate(labels):
        if label == 0:
            continue
        type, part = TYPES[(label - 1) // 4], (label - 1) % 4 + 1
        if part in (_BEGIN, _SINGLE):
            start = words[place][0]
        if part in (_END, _SINGLE):
            spans.append(Found(start, words[place][1], type))
    return spans


def legal_transitions() -> npt.NDArray[np.bool_]:
    """Returns which label may follow which label.

    Returns:
        (COUNT + 2, COUNT + 2) bool: whether the label of the row may stand directly before the label of the
        column. Row and column COUNT stand for the start of a text, COUNT + 1 for its end.
    """
    legal = np.zeros((COUNT + 2, COUNT + 2), dtype=bool)
    opens = [0, *(4 * t + part for t in range(len(TYPES)) for part in (_BEGIN, _SINGLE)), COUNT + 1]
    closed = [0, *(4 * t + part for t in range(len(TYPES)) for part in (_END, _SINGLE)), COUNT]
    legal[np.ix_(closed, opens)] = True
    for base in range(0, 4 * len(TYPES), 4):
        legal[np.ix_([base + _BEGIN, base + _INSIDE], [base + _INSIDE, base + _END])] = True
    return legal


def is_legal(labels: Sequence[int]) -> bool:
    """Returns whether a sequence of labels describes whole mentions only."""
    legal = legal_transitions()
    return all(legal[a, b] for a, b in itertools.pairwise([COUNT, *labels, COUNT + 1]))


def viterbi(
    emissions: npt.NDArray[np.float32], transitions: npt.NDArray[np.float32]
) -> tuple[list[int], float]:
    """Returns the legal sequence of labels with the highest score, and its score (Viterbi's algorithm).

    Args:
        emissions: (N, COUNT), the score of each label for each of N words.
        transitions: (COUNT + 2, COUNT + 2), a score for each transition, laid out as in `legal_transitions`.
            Illegal transitions are never used, whatever their scores.
    """
    scores = np.where(legal_transitions(), transitions, np.float32(-1e9))
    if not len(emissions):
        return [], float(scores[COUNT, COUNT + 1])
    best = scores[COUNT, :COUNT] + emissions[0]
    before: list[npt.NDArray[np.intp]] = []
    inner = scores[:COUNT, :COUNT]
    for row in emissions[1:]:
        paths = best[:, None] + inner
        before.append(paths.argmax(axis=0))
        best = paths.max(axis=0) + row
    best = best + scores[:COUNT, COUNT + 1]
    label = int(best.argmax())
    score = float(best[label])
    labels = [label]
    for pointers in reversed(before):
        label = int(pointers[label])
        labels.append(label)
    return labels[::-1], score
