"""Names by their spelling: an index of hashes that takes 16 bytes a name."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from el.ontology import Ontology
from el.text import spelling


@dataclass(frozen=True, eq=False)
class Spellings:
    """Which names of an ontology are spelled like a text.

    Attributes:
        ontology: whose names.
        keys: (N,) uint64, hashes of the names' spellings, ascending.
        rows: (N,) int64, the name row of each key; equal keys in the order of the rows.
    """

    ontology: Ontology
    keys: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]

    @classmethod
    def of_ontology(cls, ontology: Ontology) -> "Spellings":
        """Indexes all names of an ontology."""
        keys = np.array([_key(spelling(name)) for name in ontology.name_texts], dtype=np.uint64)
        rows = np.argsort(keys, kind="stable")
        return cls(ontology, keys[rows], rows.astype(np.int64))

    def among(self, rows: npt.NDArray[np.int64]) -> "Spellings":
        """Returns the index of some name rows, (n,) int64."""
        kept = np.isin(self.rows, rows)
        return Spellings(self.ontology, self.keys[kept], self.rows[kept])

    def names(self, text: str) -> npt.NDArray[np.int64]:
        """Returns the (n,) int64 rows of the names that have the spelling of `text`, ascending."""
        wanted = spelling(text)
        # Of signs alone nothing is left; texts are not equal for that.
        if not wanted:
            return np.empty(0, dtype=np.int64)
        key = np.uint64(_key(wanted))
        start, stop = np.searchsorted(self.keys, key), np.searchsorted(self.keys, key, side="right")
        # Two spellings may have one hash.
        equal = [spelling(self.ontology.name_texts[row]) == wanted for row in self.rows[start:stop]]
        found: npt.NDArray[np.int64] = self.rows[start:stop][np.array(equal, dtype=bool)]
        return found


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
