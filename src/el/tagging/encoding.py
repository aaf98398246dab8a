"""Documents as words with features, and as windows of word pieces that an encoder can read."""

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from el.base.errors import ElError
from el.corpus.abbreviations import find_abbreviations
from el.corpus.types import Document
from el.tagging.finder import DictionaryFinder
from el.tagging.labels import labels_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# How words are spelt, for encoders that know no case; each once for words behind a blank, once for others.
_SHAPES = ("lower", "capital", "initial", "capitals", "mixed", "number", "letters_digits", "sign", "foreign")
SHAPE_COUNT = 2 * len(_SHAPES)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a document.

    Attributes:
        spans: (start, stop) of each, code points into the document's text, in order.
        pieces: the ids of each word's pieces.
        names: what a dictionary finds there, as labels (`el.tagging.labels`).
        shapes: how each word is spelt.
        passages: the first word of each passage, and the number of words.
    """

    spans: list[tuple[int, int]]
    pieces: list[list[int]]
    names: list[int]
    shapes: list[int]
    passages: list[int]


@dataclass(frozen=True)
class Reading:
    """What an encoder reads.

    Attributes:
        first: the id before the pieces of a window.
        last: the id behind them.
        padding: the id that fills up.
        mask: the id of a piece that is hidden.
        max_tokens: of a window, with the first and the last.
        overlap: tokens that two windows of a long document share.
    """

    first: int
    last: int
    padding: int
    mask: int
    max_tokens: int
    overlap: int

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", max_tokens: int, overlap: int) -> "Reading":
        """What an encoder with this tokenizer reads.

        Raises:
            ElError: the tokenizer lacks one of the ids.
        """
        names = ("cls_token_id", "sep_token_id", "pad_token_id", "mask_token_id")
        ids = [getattr(tokenizer, name) for name in names]
        if None in ids:
            raise ElError(f"the encoder's tokenizer has no {names[ids.index(None)]}; take another encoder")
        first, last, padding, mask = map(int, ids)
        return cls(first, last, padding, mask, max_tokens, overlap)

    @property
    def max_pieces(self) -> int:
        """Pieces that a window may have."""
        return self.max_tokens - 2


class WordEncoder:
    """Parts documents into words, their pieces and their features.

    Args:
        tokenizer: of the encoder; its pre-tokenizer says what a word is.
        finder: finds the names of an ontology.
        max_pieces: of a word; what is more is left out.
    """

    def __init__(self, tokenizer: Tokenizer, finder: DictionaryFinder, max_pieces: int) -> None:
        self.tokenizer = tokenizer
        self.finder = finder
        self.max_pieces = max_pieces

    def words(self, document: Document) -> Words:
        """The words of a document, passage by passage."""
        spans: list[tuple[int, int]] = []
        pieces: list[list[int]] = []
        names: list[int] = []
        shapes: list[int] = []
        passages = [0]
        abbreviations = find_abbreviations(document.text)
        for passage in document.passages:
            own, own_pieces = self._pieces(passage.text)
            names += labels_of(self.finder.find(passage.text, abbreviations), own)
            shapes += _shapes(passage.text, own)
            spans += [(start + passage.offset, stop + passage.offset) for start, stop in own]
            pieces += own_pieces
            passages.append(len(spans))
        return Words(spans, pieces, names, shapes, passages)

    def _pieces(self, text: str) -> tuple[list[tuple[int, int]], list[list[int]]]:
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
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
    before = 0
    for start, stop in words:
        glued = start == before and start > 0
        shapes.append(_SHAPES.index(_shape(text[start:stop])) + len(_SHAPES) * glued)
        before = stop
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
    """The words first:last of a document, which an encoder reads together."""

    first: int
    last: int


def windows(words: Words, reading: Reading) -> list[Window]:
    """Parts a document into windows, one where it fits; two that follow each other share words."""
    ends = list(itertools.accumulate(map(len, words.pieces), initial=0))
    parts: list[Window] = []
    first = last = 0
    while last < len(words.pieces):
        while last < len(words.pieces) and ends[last + 1] - ends[first] <= reading.max_pieces:
            last += 1
        parts.append(Window(first, last))
        if last < len(words.pieces):
            # What the next window shares with this one must leave room for one more word.
            first = next(
                word
                for word in range(first, last + 1)
                if ends[last] - ends[word] <= reading.overlap
                and ends[last + 1] - ends[word] <= reading.max_pieces
            )
    return parts


def central(parts: Sequence[Window], count: int) -> npt.NDArray[np.intp]:
    """For each of `count` words the window in which most words stand on both its sides."""
    room, chosen = np.full(count, -1), np.zeros(count, dtype=np.intp)
    for row, part in enumerate(parts):
        words = np.arange(part.first, part.last)
        left = words - part.first if part.first else np.full(len(words), count)
        right = part.last - 1 - words if part.last < count else np.full(len(words), count)
        nearest = np.minimum(left, right)
        better = nearest > room[words]
        room[words[better]], chosen[words[better]] = nearest[better], row
    return chosen


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows as an encoder reads them, S tokens each.

    Attributes:
        ids: (B, S) int64, of pieces.
        mask: (B, S) int64, 0 where padded.
        names: (B, S) int64, what a dictionary finds.
        shapes: (B, S) int64, how words are spelt.
        words: (B, S) int64, which word of the window a piece belongs to; -1 for none.
    """

    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]
    names: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]


def make_batch(rows: Sequence[tuple[Words, Window]], reading: Reading, multiple: int = 1) -> Batch:
    """Lays windows out.

    Args:
        rows: documents, and a window of each.
        reading: what the encoder reads.
        multiple: S is rounded up to a multiple of it, where the encoder can read so much.
    """
    counts = [np.array([len(p) for p in words.pieces[w.first : w.last]]) for words, w in rows]
    longest = max(int(own.sum()) for own in counts) + 2
    length = max(longest, min(-(-longest // multiple) * multiple, reading.max_tokens))
    ids, mask, names, shapes, places = (np.zeros((len(rows), length), dtype=np.int64) for _ in range(5))
    ids[:], places[:] = reading.padding, -1
    for row, (words, window) in enumerate(rows):
        own = slice(window.first, window.last)
        stop = int(counts[row].sum()) + 1
        ids[row, : stop + 1] = [
            reading.first,
            *itertools.chain.from_iterable(words.pieces[own]),
            reading.last,
        ]
        mask[row, : stop + 1] = 1
        names[row, 1:stop] = np.repeat(words.names[own], counts[row])
        shapes[row, 1:stop] = np.repeat(words.shapes[own], counts[row])
        places[row, 1:stop] = np.repeat(np.arange(len(counts[row])), counts[row])
    return Batch(ids, mask, names, shapes, places)


def piece_count(words: Words, window: Window) -> int:
    """How many pieces a window of a document has."""
    return sum(map(len, words.pieces[window.first : window.last]))
