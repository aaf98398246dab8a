"""Turns documents into words with features, and words into batches of windows that an encoder reads."""

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from el.base.errors import ElError
from el.base.text import plain_one_for_one
from el.corpus.abbreviations import find_abbreviations
from el.corpus.types import Document
from el.tagging.finder import DictionaryFinder
from el.tagging.labels import labels_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# How a word is spelled. An uncased encoder cannot see these differences in its word pieces. A feature has the
# value i for words of the shape _SHAPES[i], and i + len(_SHAPES) where the word touches the word before it.
_SHAPES = ("lower", "capital", "initial", "capitals", "mixed", "number", "letters_digits", "sign", "foreign")
SHAPE_COUNT = 2 * len(_SHAPES)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a document.

    Attributes:
        spans: the (start, stop) of each word, in code points of the document's text, in order.
        pieces: the ids of each word's word pieces.
        names: the label of each word (`el.tagging.labels`) according to the dictionary.
        shapes: the shape of each word: how it is spelled, as a number below `SHAPE_COUNT`.
        passages: the place of each passage's first word, then the number of words.
    """

    spans: list[tuple[int, int]]
    pieces: list[list[int]]
    names: list[int]
    shapes: list[int]
    passages: list[int]


@dataclass(frozen=True)
class Reading:
    """The special tokens of an encoder, and the size of its windows.

    Attributes:
        first: the id of the token before a window's pieces.
        last: the id of the token after a window's pieces.
        padding: the id of the token that fills shorter windows.
        mask: the id of the token that takes the place of a hidden piece.
        max_tokens: the most tokens of a window, the first and the last token included.
        overlap: the most tokens that two neighbouring windows of a long document share.
    """

    first: int
    last: int
    padding: int
    mask: int
    max_tokens: int
    overlap: int

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", max_tokens: int, overlap: int) -> "Reading":
        """Returns the reading of an encoder with this tokenizer.

        Raises:
            ElError: the tokenizer has no id for one of the special tokens.
        """
        names = ("cls_token_id", "sep_token_id", "pad_token_id", "mask_token_id")
        ids = [getattr(tokenizer, name) for name in names]
        if None in ids:
            raise ElError(f"the encoder's tokenizer has no {names[ids.index(None)]}; use another encoder")
        first, last, padding, mask = map(int, ids)
        return cls(first, last, padding, mask, max_tokens, overlap)

    @property
    def max_pieces(self) -> int:
        """The most pieces of a window, without the first and the last token."""
        return self.max_tokens - 2


class WordEncoder:
    """Splits documents into words, and gives each word its pieces and features.

    Args:
        tokenizer: the encoder's tokenizer. Its pre-tokenizer decides what a word is.
        finder: finds the names of an ontology.
        max_pieces: the most pieces of a word. Further pieces are left out.
    """

    def __init__(self, tokenizer: Tokenizer, finder: DictionaryFinder, max_pieces: int) -> None:
        self.tokenizer = tokenizer
        self.finder = finder
        self.max_pieces = max_pieces

    def words(self, document: Document) -> Words:
        """Returns the words of a document, passage by passage."""
        spans: list[tuple[int, int]] = []
        pieces: list[list[int]] = []
        names: list[int] = []
        shapes: list[int] = []
        passages = [0]
        abbreviations = find_abbreviations(document.text)
        for passage in document.passages:
            passage_spans, passage_pieces = self._pieces(passage.text)
            names += labels_of(self.finder.find(passage.text, abbreviations), passage_spans)
            shapes += _shapes(passage.text, passage_spans)
            spans += [(start + passage.offset, stop + passage.offset) for start, stop in passage_spans]
            pieces += passage_pieces
            passages.append(len(spans))
        return Words(spans, pieces, names, shapes, passages)

    def _pieces(self, text: str) -> tuple[list[tuple[int, int]], list[list[int]]]:
        encoding = self.tokenizer.encode(plain_one_for_one(text), add_special_tokens=False)
        spans: list[tuple[int, int]] = []
        pieces: list[list[int]] = []
        rows = zip(encoding.word_ids, encoding.offsets, encoding.ids, strict=True)
        for _, group in itertools.groupby(rows, key=lambda row: row[0]):
            _, offsets, ids = zip(*group, strict=True)
            spans.append((offsets[0][0], offsets[-1][1]))
            pieces.append(list(ids[: self.max_pieces]))
        return spans, pieces


def _shapes(text: str, words: Iterable[tuple[int, int]]) -> list[int]:
    shapes = []
    previous_stop = 0
    for start, stop in words:
        touches_previous = start == previous_stop and start > 0
        shapes.append(_SHAPES.index(_shape(text[start:stop])) + len(_SHAPES) * touches_previous)
        previous_stop = stop
    return shapes


def _shape(word: str) -> str:
    if not any(map(str.isalnum, word)):
        return "sign"
    if not word.isascii() and any(unicodedata.name(c, "").startswith("GREEK") for c in word):
        return "foreign"
    if word.isdigit():
        return "number"
    if any(map(str.isdigit, word)):
        return "letters_digits"
    if word == word.lower():
        return "lower"
    if word == word.upper():
        return "capital" if len(word) == 1 else "capitals"
    return "initial" if word[1:] == word[1:].lower() else "mixed"


@dataclass(frozen=True, slots=True)
class Window:
    """The words `first:last` of a document, which an encoder reads together."""

    first: int
    last: int


def windows(words: Words, reading: Reading) -> list[Window]:
    """Splits a document into windows.

    A document that fits is one window. In a longer document, neighbouring windows share words, so that each
    word has context on both sides in one of the windows.
    """
    ends = list(itertools.accumulate(map(len, words.pieces), initial=0))
    parts: list[Window] = []
    first = last = 0
    while last < len(words.pieces):
        while last < len(words.pieces) and ends[last + 1] - ends[first] <= reading.max_pieces:
            last += 1
        parts.append(Window(first, last))
        if last < len(words.pieces):
            # The shared words must leave room for at least one new word in the next window.
            first = next(
                word
                for word in range(first, last + 1)
                if ends[last] - ends[word] <= reading.overlap
                and ends[last + 1] - ends[word] <= reading.max_pieces
            )
    return parts


def central(parts: Sequence[Window], count: int) -> npt.NDArray[np.intp]:
    """Chooses for each word of a document the window that shows most of its context.

    The context of a word in a window is the number of words on its shorter side. At the start and the end of
    the document no context is missing, and the other side alone counts.

    Args:
        parts: the document's windows, in order. Together they hold all words.
        count: the number of the document's words, W.

    Returns:
        (W,) places in `parts`.
    """
    most, chosen = np.full(count, -1), np.zeros(count, dtype=np.intp)
    for row, part in enumerate(parts):
        words = np.arange(part.first, part.last)
        left = words - part.first if part.first else np.full(len(words), count)
        right = part.last - 1 - words if part.last < count else np.full(len(words), count)
        context = np.minimum(left, right)
        better = context > most[words]
        most[words[better]], chosen[words[better]] = context[better], row
    return chosen


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows of S tokens each, as an encoder reads them.

    Attributes:
        ids: (B, S) int64, the ids of the tokens.
        mask: (B, S) int64, 1 for tokens and 0 for padding.
        names: (B, S) int64, the dictionary's label of the token's word.
        shapes: (B, S) int64, the shape of the token's word.
        words: (B, S) int64, the place of the token's word in its window; -1 for special tokens and padding.
    """

    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]
    names: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]


def make_batch(rows: Sequence[tuple[Words, Window]], reading: Reading, multiple: int = 1) -> Batch:
    """Lays windows out as arrays.

    Args:
        rows: the words of a document and one of its windows, for each row of the batch.
        reading: the encoder's special tokens.
        multiple: S is rounded up to a multiple of this number, but not beyond `reading.max_tokens`.
    """
    counts = [np.array([len(p) for p in words.pieces[w.first : w.last]]) for words, w in rows]
    longest = max(int(pieces.sum()) for pieces in counts) + 2
    length = max(longest, min(-(-longest // multiple) * multiple, reading.max_tokens))
    ids, mask, names, shapes, places = (np.zeros((len(rows), length), dtype=np.int64) for _ in range(5))
    ids[:], places[:] = reading.padding, -1
    for row, (words, window) in enumerate(rows):
        part = slice(window.first, window.last)
        stop = int(counts[row].sum()) + 1
        ids[row, : stop + 1] = [
            reading.first,
            *itertools.chain.from_iterable(words.pieces[part]),
            reading.last,
        ]
        mask[row, : stop + 1] = 1
        names[row, 1:stop] = np.repeat(words.names[part], counts[row])
        shapes[row, 1:stop] = np.repeat(words.shapes[part], counts[row])
        places[row, 1:stop] = np.repeat(np.arange(len(counts[row])), counts[row])
    return Batch(ids, mask, names, shapes, places)


def piece_count(words: Words, window: Window) -> int:
    """Returns the number of pieces in a window of a document."""
    return sum(map(len, words.pieces[window.first : window.last]))
