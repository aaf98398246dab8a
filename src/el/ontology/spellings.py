"""Names by their spelling: an index of hashes that takes 12 bytes a name on disk."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, MismatchError
from el.base.text import normalise, spelling
from el.ontology.ontology import Ontology

# Names of more words are looked for up to here.
_MOST_WORDS = 255


@dataclass(frozen=True, eq=False)
class Spellings:
    """Which names of an ontology are spelled like a text, and how long those are that begin with a word.

    Attributes:
        ontology: whose names.
        keys: (N,) uint64, hashes of the names' spellings, ascending.
        rows: (N,) int32, the name row of each key; equal keys in the order of the rows.
        first_keys: (F,) uint64, hashes of the names' first words, normalised, ascending.
        most_words: (F,) uint8, of the names that begin with each, the words of the longest.
    """

    ontology: Ontology
    keys: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int32]
    first_keys: npt.NDArray[np.uint64]
    most_words: npt.NDArray[np.uint8]

    @classmethod
    def of_ontology(cls, ontology: Ontology) -> "Spellings":
        """Indexes all names of an ontology; of all of MeSH in 10 seconds."""
        forms = [normalise(name) for name in ontology.name_texts]
        keys = np.array([_key(form.replace(" ", "")) for form in forms], dtype=np.uint64)
        rows = np.argsort(keys, kind="stable")
        most: dict[str, int] = {}
        for form in forms:
            first, words = form.partition(" ")[0], form.count(" ") + 1
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
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing or broken.
            MismatchError: it was made from another ontology.
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
        """How many words the longest name has that begins with each normalised word; 0 where none does."""
        places = _places(self.first_keys, first_words)
        return [int(self.most_words[place]) if place >= 0 else 0 for place in places.tolist()]

    def known(self, spellings: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether there may be names of these spellings, (n,); `names` tells for certain."""
        return _places(self.keys, spellings) >= 0

    def among(self, rows: npt.NDArray[np.int64]) -> "Spellings":
        """Returns the index of some name rows, (n,) int64."""
        kept = np.isin(self.rows, rows)
        return replace(self, keys=self.keys[kept], rows=self.rows[kept])

    def names(self, text: str) -> npt.NDArray[np.int64]:
        """Returns the (n,) int64 rows of the names that have the spelling of `text`, ascending."""
        wanted = spelling(text)
        # Of signs alone nothing is left; texts are not equal for that.
        if not wanted:
            return np.empty(0, dtype=np.int64)
        key = np.uint64(_key(wanted))
        start = np.searchsorted(self.keys, key)
        if start == len(self.keys) or self.keys[start] != key:
            return np.empty(0, dtype=np.int64)
        stop = np.searchsorted(self.keys, key, side="right")
        # Two spellings may have one hash.
        equal = [spelling(self.ontology.name_text(row)) == wanted for row in self.rows[start:stop].tolist()]
        found: npt.NDArray[np.int64] = self.rows[start:stop][np.array(equal, dtype=bool)].astype(np.int64)
        return found


_ARRAYS = ("keys", "rows", "first_keys", "most_words")


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _places(keys: npt.NDArray[np.uint64], texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The (n,) places of texts among ascending keys; -1 for those that are not there."""
    wanted = np.array([_key(text) for text in texts], dtype=np.uint64)
    places = np.searchsorted(keys, wanted).astype(np.int64)
    if len(keys):
        places[keys[np.minimum(places, len(keys) - 1)] != wanted] = -1
    else:
        places[:] = -1
    return places
