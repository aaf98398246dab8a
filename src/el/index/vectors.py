"""The vectors of an ontology's names on disk: one file with the vectors and their graph, and a manifest.

Opening them does not import PyTorch. PyTorch takes as long to load as the rest of a linker together.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, MismatchError, first_line
from el.base.files import check_sampled, read_json
from el.index.graph import NameGraph, StoredVectors
from el.ontology.ontology import Ontology

FORMAT = "el-vectors-3"
NAMES = "names.faiss"
PLACES = "places.npy"
_REMEDY = "Build it again"


@dataclass(frozen=True, eq=False)
class NameVectors:
    """The vectors of an ontology's N names.

    Attributes:
        vectors: (V, D) float16, or stored in a graph. If `places` is None, they are in the order of the
            ontology's name rows.
        manifest: format, fingerprints of the model's passage tower and of the ontology, N and D, and
            checksums of the files.
        graph: the graph of the vectors; None if they are not opened from a folder.
        folder: the folder that they are opened from; None if there is none.
        places: (N,) int64, the row of `vectors` for each name row. It is only present after an update. The
            other rows of `vectors` are those of removed names.
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
            InputError: a file or an entry of the manifest is missing, or a file is broken.
            MismatchError: the folder has another format, or is of another ontology.
        """
        manifest = read_json(folder / "manifest.json")
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found != FORMAT:
            raise MismatchError(f"{folder}: format {found!r}, but {FORMAT!r} is needed. Build it again")
        missing = {"model", "ontology", "names", "width", "sampled_sha256"} - set(manifest)
        if missing:
            problem = f"{', '.join(sorted(missing))} is missing"
            raise InputError(folder / "manifest.json", "", problem, _REMEDY)
        if manifest["ontology"] != ontology.fingerprint:
            raise MismatchError(f"{folder}: made from another ontology than the given one. Build it again")
        places = None
        if "places_sha256" in manifest:
            path = check_sampled(folder / PLACES, manifest["places_sha256"], _REMEDY)
            places = _read_places(path)
        graph = NameGraph.open(check_sampled(folder / NAMES, manifest["sampled_sha256"], _REMEDY), places)
        vectors = cls(graph.vectors, manifest, graph, folder, places)
        shape = len(vectors), graph.vectors.shape[1]
        if shape != (manifest["names"], manifest["width"]):
            expected = manifest["names"], manifest["width"]
            problem = f"has shape {shape}, but its manifest says {expected}"
            raise InputError(folder / NAMES, "", problem, _REMEDY)
        return vectors

    def check_model(self, passage_tower: str) -> None:
        """Raises MismatchError if a passage tower with another fingerprint made the vectors."""
        if self.manifest["model"] != passage_tower:
            raise MismatchError(
                "the vectors of the names were made by another model. Build them again with this one"
            )

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Returns the float32 vectors of name rows, shape rows.shape + (D,)."""
        vectors: npt.NDArray[np.float32] = self.vectors[self.places_of(rows)].astype(np.float32, copy=False)
        return vectors

    def gather_half(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        """Returns the float16 vectors of name rows, without conversion if they are stored in float16."""
        if isinstance(self.vectors, StoredVectors):
            return self.vectors.half(self.places_of(rows))
        vectors: npt.NDArray[np.float16] = self.vectors[self.places_of(rows)].astype(np.float16, copy=False)
        return vectors

    def places_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns the rows of `vectors` for name rows."""
        return rows if self.places is None else self.places[rows]

    @cached_property
    def names_of_vectors(self) -> npt.NDArray[np.int64] | None:
        """(V,) int64, the name row of each vector, -1 for removed names; None if `places` is None."""
        if self.places is None:
            return None
        names = np.full(len(self.vectors), -1, dtype=np.int64)
        names[self.places] = np.arange(len(self.places))
        return names


def _read_places(path: Path) -> npt.NDArray[np.int64]:
    try:
        places: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError, MemoryError) as error:
        raise InputError(path, "", f"broken ({first_line(error)})", _REMEDY) from error
    if not isinstance(places, np.ndarray) or places.ndim != 1 or places.dtype.kind not in "iu":
        raise InputError(path, "", "broken (not a list of whole numbers)", _REMEDY)
    return places.astype(np.int64)
