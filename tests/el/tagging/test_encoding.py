"""Words, windows and batches: every character offset is the document's."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.corpus.types import Document, Passage
from el.models.biencoder import BiEncoder
from el.tagging.encoding import (
    SHAPE_COUNT,
    Reading,
    Window,
    WordEncoder,
    Words,
    central,
    make_batch,
    piece_count,
    windows,
)
from el.tagging.finder import DictionaryFinder
from el.tagging.labels import spans_of
from el.tagging.store import fresh_tagger
from tests.tiny import TINY_TAGGER

READING = Reading(2, 3, 0, 4, max_tokens=12, overlap=4)


@pytest.fixture(scope="module")
def encoder(start: BiEncoder, finder: DictionaryFinder) -> WordEncoder:
    tagger = fresh_tagger(start, TINY_TAGGER)
    return WordEncoder(tagger.tokenizer, finder, tagger.reading.max_pieces)


def passages(*texts: str) -> Document:
    parts, offset = [], 0
    for text in texts:
        parts.append(Passage("abstract", offset, text))
        offset += len(text) + 1
    return Document("d", tuple(parts))


def words_of(counts: Sequence[int]) -> Words:
    """Words of so many pieces each, and pieces numbered through."""
    ends = np.cumsum([0, *counts]).tolist()
    pieces = [list(range(a, b)) for a, b in itertools.pairwise(ends)]
    return Words(
        [(a, a + 1) for a in ends[:-1]], pieces, [0] * len(counts), [0] * len(counts), [0, len(counts)]
    )


@given(st.lists(st.text(max_size=40), max_size=3))
def test_offsets_are_code_points_of_the_document(encoder: WordEncoder, texts: list[str]) -> None:
    document = passages(*texts)
    words = encoder.words(document)
    assert len(words.spans) == len(words.pieces) == len(words.names) == len(words.shapes)
    assert words.passages[-1] == len(words.spans)
    assert all(0 <= shape < SHAPE_COUNT for shape in words.shapes)
    assert all(words.pieces)
    place = 0
    for start, stop in words.spans:
        assert place <= start < stop <= len(document.text)
        assert not set(" \n\t") & set(document.text[start:stop])
        place = stop
    for passage, first, last in zip(document.passages, words.passages, words.passages[1:], strict=False):
        for start, stop in words.spans[first:last]:
            assert passage.offset <= start < stop <= passage.offset + len(passage.text)


def test_words_behind_characters_of_several_bytes(encoder: WordEncoder) -> None:
    document = passages("𝛽-blocker é", "für COLD-induced Cold")
    words = encoder.words(document)
    assert [document.text[a:b] for a, b in words.spans][-4:] == ["COLD", "-", "induced", "Cold"]
    assert words.passages == [0, 4, 9]
    # The abbreviation is a disease, in capitals alone; so is the cold.
    assert [document.text[f.start : f.stop] for f in spans_of(words.names, words.spans)] == ["COLD", "Cold"]


def test_shapes_tell_spellings_apart(encoder: WordEncoder) -> None:
    shapes = encoder.words(passages("liver Liver LIVER mRNA L 12 B12 α , -")).shapes
    assert len(set(shapes[:-1])) == len(shapes) - 1
    glued = encoder.words(passages("a-b")).shapes
    assert glued[2] != glued[0] == encoder.words(passages("a b")).shapes[1]


@given(st.lists(st.integers(1, 10), max_size=40))
def test_windows_have_every_word_in_order(counts: list[int]) -> None:
    words = words_of(counts)
    parts = windows(words, READING)
    assert {w for part in parts for w in range(part.first, part.last)} == set(range(len(counts)))
    assert all(0 < piece_count(words, part) <= READING.max_pieces for part in parts)
    for before, after in itertools.pairwise(parts):
        assert before.first < after.first <= before.last < after.last
        assert piece_count(words, Window(after.first, before.last)) <= READING.overlap
    if sum(counts) <= READING.max_pieces:
        assert len(parts) <= 1
    chosen = central(parts, len(counts))
    assert all(parts[row].first <= word < parts[row].last for word, row in enumerate(chosen))


def test_words_are_read_where_they_have_most_neighbours() -> None:
    parts = [Window(0, 6), Window(3, 9)]
    assert central(parts, 9).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


@given(st.lists(st.integers(1, 10), min_size=1, max_size=12), st.integers(1, 16))
def test_batches_hold_each_words_pieces(counts: list[int], multiple: int) -> None:
    words = words_of(counts)
    parts = windows(words, READING)
    batch = make_batch([(words, part) for part in parts], READING, multiple)
    assert batch.ids.shape[1] <= READING.max_tokens
    for row, part in enumerate(parts):
        for word in range(part.first, part.last):
            assert batch.ids[row, batch.words[row] == word - part.first].tolist() == words.pieces[word]
        size = piece_count(words, part)
        assert batch.mask[row].sum() == size + 2
        assert (batch.ids[row, 0], batch.ids[row, size + 1]) == (READING.first, READING.last)
        assert (batch.words[row] >= 0).sum() == size
