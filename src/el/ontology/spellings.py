"""An index of names by their spelling. It stores hashes and takes 12 bytes a name on disk."""

import hashlib
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, MismatchError
from el.base.text import normalise, spelling
from el.ontology.ontology import Ontology

# The most words of a name that `Spellings.longest` reports, the largest value of a uint8. Names with more
# words count as names with this many.
_MOST_WORDS = 255

# Scripts without blanks between words, where each character counts as a word: Thai, Lao, Tibetan, Burmese,
# Khmer, Han, Hiragana and Bopomofo. In Korean, particles follow a noun without a blank.
_UNBROKEN = (
    "\u0e00-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3041-\u3098\u309b-\u309f\u3100-\u312f"
    "\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
# Katakana stand among other signs without blanks, but spell whole words.
_KATAKANA = "\u3099\u309a\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
# Vowel signs and tone marks, which follow their letter.
_MARKS = "".join(
    chr(code) for code in range(0x0E00, 0x1800) if unicodedata.category(chr(code)).startswith("M")
)
_HAS_UNBROKEN = re.compile(f"[{_UNBROKEN}{_KATAKANA}]")

_APOSTROPHES = "'’‘ʼ`´′″"


def _word(letter: str, others: str = "") -> re.Pattern[str]:
    """Returns the pattern of a word, as `normalise` keeps it.

    A word may hold primes ("2'"), plus signs, and accents that follow their letter as separate characters. A
    possessive 's belongs to no word: the first alternative matches it without a group.

    Args:
        letter: a pattern for a letter or digit.
        others: alternatives for words of other letters, each followed by "|".
    """
    return re.compile(
        rf"(?<=[^\W\d_])[{_APOSTROPHES}]s\b"
        rf"|({others}(?:(?:{letter}|[+\u0300-\u036f])+(?:(?<=\d)[{_APOSTROPHES}]+)?)+)"
    )


_WORD = _word(r"[^\W_]")
_WORD_OF_ANY_SCRIPT = _word(
    rf"[^\W_{_UNBROKEN}{_KATAKANA}]", rf"[{_UNBROKEN}][{_MARKS}\u3099\u309a]*|[{_KATAKANA}]+|"
)


def words_of(text: str) -> list[tuple[int, int]]:
    """Returns the (start, stop) of each word of a text, in order.

    In scripts without blanks between words, such as Chinese and Thai, each character is a word, so that a
    name is found inside a sentence. Katakana make whole words.
    """
    pattern = _WORD_OF_ANY_SCRIPT if _is_unbroken(text) else _WORD
    return [match.span(1) for match in pattern.finditer(text) if match[1]]


def _is_unbroken(text: str) -> bool:
    return not text.isascii() and _HAS_UNBROKEN.search(text) is not None


@dataclass(frozen=True, eq=False)
class Spellings:
    """Finds the names of an ontology that are spelled like a text, and the longest name by its first word.

    For spellings, see `el.base.text.spelling`. N is the number of names, F the number of different first
    words.

    Attributes:
        ontology: the ontology of the names.
        keys: (N,) uint64, hashes of the names' spellings, ascending.
        rows: (N,) int32, the name row of each key. Rows with equal keys are ascending.
        first_keys: (F,) uint64, hashes of the names' normalised first words, ascending.
        most_words: (F,) uint8, the number of words of the longest name that begins with each first word.
    """

    ontology: Ontology
    keys: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int32]
    first_keys: npt.NDArray[np.uint64]
    most_words: npt.NDArray[np.uint8]

    @classmethod
    def of_ontology(cls, ontology: Ontology) -> "Spellings":
        """Indexes all names of an ontology. All of MeSH takes 10 seconds."""
        forms = [normalise(name) for name in ontology.name_texts]
        keys = np.array([_key(form.replace(" ", "")) for form in forms], dtype=np.uint64)
        rows = np.argsort(keys, kind="stable")
        most: dict[str, int] = {}
        for name, form in zip(ontology.name_texts, forms, strict=True):
            first, words = _first_word(name, form)
            most[first] = min(max(words, most.get(first, 0)), _MOST_WORDS)
        first_keys = np.array([_key(first) for first in most], dtype=np.uint64)
        order = np.argsort(first_keys)
        most_words = np.array([*most.values()], dtype=np.uint8)
        return cls(ontology, keys[rows], rows.astype(np.int32), first_keys[order], most_words[order])

    def save(self, path: Path) -> None:
        """Writes the index as an uncompressed .npz file."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez(path, ontology=np.array(self.ontology.fingerprint), **arrays)

    @classmethod
    def load(cls, path: Path, ontology: Ontology) -> "Spellings":
        """Reads a file that `save` wrote.

        Args:
            path: the file.
            ontology: the ontology that the index was made from.

        Raises:
            InputError: the file is missing or broken.
            MismatchError: the index was made from another ontology.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = [stored[name] for name in _ARRAYS]
                made_from = str(stored["ontology"])
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(path, "", f"missing or broken ({error})", "Make the linker again") from error
        if made_from != ontology.fingerprint:
            raise MismatchError(f"{path}: made from another ontology. Make the linker again")
        return cls(ontology, *arrays)

    def longest(self, first_words: Sequence[str]) -> list[int]:
        """Returns, for each normalised word, the number of words of the longest name that begins with it.

        The number is 0 if no name begins with the word.
        """
        places = _places(self.first_keys, first_words)
        return [int(self.most_words[place]) if place >= 0 else 0 for place in places.tolist()]

    def known(self, spellings: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Returns whether a name may have each of these spellings, (n,) bool.

        Different spellings can have the same hash, so a result of true is not certain. `names` is.
        """
        return _places(self.keys, spellings) >= 0

    def among(self, rows: npt.NDArray[np.int64]) -> "Spellings":
        """Returns an index of only these name rows, (n,) int64. The first words still cover all names."""
        kept = np.isin(self.rows, rows)
        return replace(self, keys=self.keys[kept], rows=self.rows[kept])

    def names(self, text: str) -> npt.NDArray[np.int64]:
        """Returns the rows of the names that have the spelling of `text`, (n,) int64, ascending."""
        wanted = spelling(text)
        # All texts of signs alone have the empty spelling, but they are not the same name.
        if not wanted:
            return np.empty(0, dtype=np.int64)
        key = np.uint64(_key(wanted))
        start = np.searchsorted(self.keys, key)
        if start == len(self.keys) or self.keys[start] != key:
            return np.empty(0, dtype=np.int64)
        stop = np.searchsorted(self.keys, key, side="right")
        # Different spellings can have the same hash.
        equal = [spelling(self.ontology.name_text(row)) == wanted for row in self.rows[start:stop].tolist()]
        found: npt.NDArray[np.int64] = self.rows[start:stop][np.array(equal, dtype=bool)].astype(np.int64)
        return found


_ARRAYS = ("keys", "rows", "first_keys", "most_words")


def _first_word(name: str, form: str) -> tuple[str, int]:
    """Returns the first normalised word of a name with its normalised form, and the number of its words."""
    if not _is_unbroken(name):
        return form.partition(" ")[0], form.count(" ") + 1
    words = words_of(name)
    forms = " ".join(normalise(name[start:stop]) for start, stop in words).split()
    return (forms or [""])[0], max(len(words), len(forms))


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _places(keys: npt.NDArray[np.uint64], texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The place of each text among ascending keys, (n,) int64; -1 for a text that is not among them."""
    wanted = np.array([_key(text) for text in texts], dtype=np.uint64)
    places = np.searchsorted(keys, wanted).astype(np.int64)
    if len(keys):
        places[keys[np.minimum(places, len(keys) - 1)] != wanted] = -1
    else:
        places[:] = -1
    return places
