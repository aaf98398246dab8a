"""The vectors of an ontology's names on disk: one file, which holds their graph too, and a manifest.

Opening them does not import PyTorch, which takes as long to load as all the rest of a linker.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, MismatchError
from el.base.files import read_json, sampled_sha256
from el.index.graph import NameGraph, StoredVectors
from el.ontology.ontology import Ontology

FORMAT = "el-vectors-3"
NAMES = "names.faiss"
PLACES = "places.npy"


@dataclass(frozen=True, eq=False)
class NameVectors:
    """The vectors of an ontology's N names.

    Attributes:
        vectors: (V, D) float16, or as a graph keeps them; in the ontology's name-row order where `places` is
            None.
        manifest: format, fingerprints of the model's passage tower and of the ontology, N and D, and
            checksums of the files.
        graph: finds the nearest of them; None where they were not opened from a folder.
        folder: the folder.
        places: (N,) int64, the row of `vectors` that each name row has, after an update; others belong to
            names that are gone.
    """

    vectors: npt.NDArray[np.float16] | StoredVectors
    manifest: dict[str, Any]
    graph: NameGraph | None = None
    folder: Path | None = None
    places: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.vectors if self.places is None else self.places)

    @classmethod
    def open(cls, folder: Path, ontology: Ontology) -> "NameVectors":
        """Opens a vector folder.

        Raises:
            InputError: something is missing or broken.
            MismatchError: another format, or made from another ontology.
        """
        manifest = read_json(folder / "manifest.json")
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found != FORMAT:
            raise MismatchError(f"{folder}: format {found!r}, {FORMAT!r} is needed. Build it again")
        missing = {"model", "ontology", "names", "width", "sampled_sha256"} - set(manifest)
        if missing:
            problem = f"{', '.join(sorted(missing))} is missing"
            raise InputError(folder / "manifest.json", "", problem, "Build it again")
        if manifest["ontology"] != ontology.fingerprint:
            raise MismatchError(f"{folder}: made from another ontology than the one at hand. Build it again")
        places = None
        if "places_sha256" in manifest:
            path = _checked(folder / PLACES, manifest["places_sha256"])
            places = np.load(path, allow_pickle=False).astype(np.int64)
        graph = NameGraph.open(_checked(folder / NAMES, manifest["sampled_sha256"]), places)
        vectors = cls(graph.vectors, manifest, graph, folder, places)
        shape = len(vectors), graph.vectors.shape[1]
        if shape != (manifest["names"], manifest["width"]):
            raise InputError(folder / NAMES, "", f"has shape {shape}", "Build it again")
        return vectors

    def check_model(self, passage_tower: str) -> None:
        """Raises MismatchError if another passage tower, which has another fingerprint, made the vectors."""
        if self.manifest["model"] != passage_tower:
            raise MismatchError(
                "the vectors of the names were made by another model. Build them again with this one"
            )

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Returns float32 vectors of name rows, shape rows.shape + (D,)."""
        vectors: npt.NDArray[np.float32] = self.vectors[self._places(rows)].astype(np.float32, copy=False)
        return vectors

    def gather_half(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        """Returns the same in float16, which spares a graph that keeps this the time to convert it."""
        if isinstance(self.vectors, StoredVectors):
            return self.vectors.half(self._places(rows))
        vectors: npt.NDArray[np.float16] = self.vectors[self._places(rows)].astype(np.float16, copy=False)
        return vectors

    def _places(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the vectors of name rows are."""
        return rows if self.places is None else self.places[rows]

    @cached_property
    def names_of_vectors(self) -> npt.NDArray[np.int64] | None:
        """(V,) int64, the name row of each vector, -1 for names that are gone; None without `places`."""
        if self.places is None:
            return None
        names = np.full(len(self.vectors), -1, dtype=np.int64)
        names[self.places] = np.arange(len(self.places))
        return names


def _checked(path: Path, expected: str) -> Path:
    """A file whose checksum is right: what opens it believes what it reads."""
    if not path.is_file():
        raise InputError(path, "", "no such file", "Build it again")
    if sampled_sha256(path) != expected:
        raise InputError(path, "", "truncated or altered (its checksum is another)", "Build it again")
    return path
