"""The vectors of an ontology's names, and the graph that finds the nearest: one file and a manifest."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from el.errors import ElError, InputError, MismatchError
from el.files import atomic_folder, read_json, sampled_sha256, write_json
from el.index.encode import by_length, encode_texts
from el.index.graph import NameGraph, build_graph, extend_graph, graph_bytes
from el.models.base import RetrievalModel
from el.ontology import Ontology
from el.progress import progress
from el.resources import check_room

FORMAT = "el-vectors-3"
NAMES = "names.faiss"
_PLACES = "places.npy"
_BLOCK = 1 << 16
# Names are encoded and written in parts of this size; an interrupted build goes on after the last.
_PART = 1 << 14


@dataclass(frozen=True, eq=False)
class NameVectors:
    """The vectors of an ontology's N names.

    Attributes:
        vectors: (V, D) float16, memory-mapped; in the ontology's name-row order where `places` is None.
        manifest: format, fingerprints of the model's passage tower and of the ontology, N and D, and
            checksums of the files.
        graph: finds the nearest of them; None where they were not opened from a folder.
        folder: the folder.
        places: (N,) int64, the row of `vectors` that each name row has, after an update; others belong to
            names that are gone.
    """

    vectors: npt.NDArray[np.float16]
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
            path = _checked(folder / _PLACES, manifest["places_sha256"])
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

    def gather(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Returns float32 vectors of name rows, shape rows.shape + (D,)."""
        places = rows.ravel() if self.places is None else self.places[rows.ravel()]
        vectors = self.vectors[places].astype(np.float32)
        return torch.from_numpy(vectors).view(*rows.shape, self.vectors.shape[1])

    def search(self, queries: Tensor, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Finds most of the k names with the largest dot product, fast; all of them without a graph.

        Args and returns as `nearest`.
        """
        if self.graph is None:
            return self.nearest(queries, k)
        similarities, places = self.graph.search(queries.numpy(), min(k, len(self)))
        return similarities, places if self._names is None else self._names[places]

    @cached_property
    def _names(self) -> npt.NDArray[np.int64] | None:
        """(V,) the name row of each vector, -1 for those of names that are gone; None without `places`."""
        if self.places is None:
            return None
        names = np.full(len(self.vectors), -1, dtype=np.int64)
        names[self.places] = np.arange(len(self.places))
        return names

    def nearest(
        self,
        queries: Tensor,
        k: int,
        rows: npt.NDArray[np.int64] | None = None,
        description: str = "",
        query_batch: int = 1024,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Finds the k names with the largest dot product, exactly.

        Args:
            queries: (B, D) float32.
            k: how many; fewer are returned where there are fewer names.
            rows: sorted name rows to search among; all, if None.
            description: shown with the progress.
            query_batch: how many queries are compared at once; bounds the memory.

        Returns:
            (B, k) float32 scores, best first, and (B, k) int64 name rows.
        """
        total = len(self) if rows is None else len(rows)
        k = min(k, total)
        best = torch.full((len(queries), k), -torch.inf)
        found = torch.zeros((len(queries), k), dtype=torch.int64)
        with progress(description, total) as advance:
            for start in range(0, total, _BLOCK):
                stop = min(start + _BLOCK, total)
                block_rows = np.arange(start, stop) if rows is None else rows[start:stop]
                block = self.gather(block_rows)
                numbers = torch.from_numpy(np.ascontiguousarray(block_rows))
                for first in range(0, len(queries), query_batch):
                    part = slice(first, first + query_batch)
                    best[part], found[part] = merge_best(
                        best[part], found[part], queries[part] @ block.T, numbers
                    )
                advance(stop - start)
        return best.numpy(), found.numpy()


def merge_best(best: Tensor, found: Tensor, scores: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the K best of (B, K) scores and rows so far and a block's (B, M) scores of (M,) rows."""
    k = best.shape[1]
    values, columns = scores.topk(min(k, scores.shape[1]), dim=1)
    values, rows = torch.cat([best, values], dim=1), torch.cat([found, rows[columns]], dim=1)
    best, columns = values.topk(k, dim=1)
    return best, rows.gather(1, columns)


def vectors_key(model: RetrievalModel, ontology: Ontology, texts: Sequence[str]) -> str:
    """What names' vectors depend on, as 16 hexadecimal digits: model, ontology, and what is read."""
    parts = [FORMAT, model.passage_tower.fingerprint(), model.settings(), ontology.fingerprint]
    return hashlib.sha256("\0".join([*parts, *texts]).encode()).hexdigest()[:16]


def cached_name_vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], cache: Path
) -> NameVectors:
    """Opens the vectors of an earlier call, or builds them: `cache`/`vectors_key`."""
    folder = cache / vectors_key(model, ontology, texts)
    if not folder.is_dir():
        build_name_vectors(model, ontology, texts, folder, cache)
    return NameVectors.open(folder, ontology)


def build_name_vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], folder: Path, scratch: Path
) -> NameVectors:
    """Encodes all names of an ontology and writes them as a vector folder.

    Args:
        model: its passage tower encodes.
        ontology: whose names.
        texts: what the tower reads for each name row, from `name_inputs`.
        folder: where the result goes.
        scratch: keeps finished parts, so that an interrupted build goes on; emptied at the end.

    Raises:
        ElError: no room on disk or in memory, or vectors that are no numbers.
    """
    scratch = _scratch(scratch, model, ontology, texts)
    _check_room(len(texts), len(texts), model.passage_tower.width, scratch)
    vectors = _encode(model, texts, scratch)
    with atomic_folder(folder) as temporary:
        with progress("build the index", len(texts)) as advance:
            build_graph(vectors, temporary / NAMES, advance)
        _write_manifest(temporary, model, ontology)
    shutil.rmtree(scratch)
    return NameVectors.open(folder, ontology)


def update_name_vectors(
    model: RetrievalModel,
    ontology: Ontology,
    texts: Sequence[str],
    old: NameVectors,
    old_texts: Sequence[str],
    folder: Path,
    scratch: Path,
) -> NameVectors:
    """Writes the vectors of an ontology most of whose names another has: only the rest is encoded.

    The names that are gone stay in the graph and are not found.

    Args:
        model, ontology, texts, folder, scratch: as of `build_name_vectors`.
        old: the vectors of the other ontology, made by the same passage tower, opened from a folder.
        old_texts: what the tower read for these.

    Raises:
        MismatchError: another passage tower made the old ones.
        ElError: as of `build_name_vectors`.
    """
    old.check_model(model.passage_tower.fingerprint())
    assert old.folder is not None
    places = _old_places(texts, old, old_texts)
    new = np.flatnonzero(places < 0)
    new_texts = [texts[row] for row in new.tolist()]
    scratch = _scratch(scratch, model, ontology, new_texts)
    _check_room(len(new), len(new) + len(old.vectors), model.passage_tower.width, scratch)
    vectors = _encode(model, new_texts, scratch)
    places[new] = len(old.vectors) + np.arange(len(new))
    with atomic_folder(folder) as temporary:
        extend_graph(old.folder / NAMES, vectors, temporary / NAMES)
        np.save(temporary / _PLACES, places.astype(np.int32))
        _write_manifest(temporary, model, ontology)
    shutil.rmtree(scratch)
    return NameVectors.open(folder, ontology)


def _old_places(texts: Sequence[str], old: NameVectors, old_texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) for each text the row of a vector made of the same, none twice; -1 where there is none."""
    known: dict[str, list[int]] = {}
    for row, text in enumerate(old_texts):
        known.setdefault(text, []).append(row if old.places is None else int(old.places[row]))
    found = (known[text].pop() if known.get(text) else -1 for text in texts)
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def _check_room(encoded: int, indexed: int, width: int, scratch: Path) -> None:
    """Raises ElError where `encoded` names in parts and in order, and a graph of `indexed`, have no room."""
    graph = graph_bytes(indexed, width)
    check_room(scratch, 2 * 2 * encoded * width + graph, graph, f"the index of {indexed:,} names")


def _write_manifest(folder: Path, model: RetrievalModel, ontology: Ontology) -> None:
    """Writes the manifest of the vectors in a folder."""
    manifest = {
        "format": FORMAT,
        "model": model.passage_tower.fingerprint(),
        "ontology": ontology.fingerprint,
        "names": len(ontology.name_texts),
        "width": model.passage_tower.width,
        "sampled_sha256": sampled_sha256(folder / NAMES),
    }
    if (folder / _PLACES).is_file():
        manifest["places_sha256"] = sampled_sha256(folder / _PLACES)
    write_json(folder / "manifest.json", manifest)


def _checked(path: Path, expected: str) -> Path:
    """A file whose checksum is right: what opens it believes what it reads."""
    if not path.is_file():
        raise InputError(path, "", "no such file", "Build it again")
    if sampled_sha256(path) != expected:
        raise InputError(path, "", "truncated or altered (its checksum is another)", "Build it again")
    return path


def _scratch(folder: Path, model: RetrievalModel, ontology: Ontology, texts: Sequence[str]) -> Path:
    """Where the parts of these texts are kept, apart from those of others."""
    return folder / f"encode-{vectors_key(model, ontology, texts)}"


def _encode(model: RetrievalModel, texts: Sequence[str], scratch: Path) -> npt.NDArray[np.float16]:
    """Returns (N, D) vectors; parts that an interrupted call left in `scratch` are taken over."""
    scratch.mkdir(parents=True, exist_ok=True)
    # Parts hold names of similar length; batches inside them too.
    parts = by_length([len(text) for text in texts], _PART)
    with progress("encode names", len(texts)) as advance:
        for number, rows in enumerate(parts):
            path = scratch / f"{number}.npy"
            if not path.is_file():
                part = encode_texts(model, [texts[row] for row in rows])
                np.save(path.with_suffix(".part.npy"), part)
                path.with_suffix(".part.npy").replace(path)
            advance(len(rows))
    return _in_order(parts, scratch, (len(texts), model.passage_tower.width))


def _in_order(
    parts: Sequence[npt.NDArray[np.int64]], scratch: Path, shape: tuple[int, int]
) -> npt.NDArray[np.float16]:
    """Puts the encoded parts together, on disk, in the order of the name rows."""
    vectors = np.lib.format.open_memmap(scratch / "vectors.npy", mode="w+", dtype=np.float16, shape=shape)
    for number, rows in enumerate(parts):
        part = np.load(scratch / f"{number}.npy", allow_pickle=False)
        if not np.isfinite(part).all():
            raise ElError("the model gives vectors that are no numbers (NaN or infinite). Train it again")
        vectors[rows] = part
    return vectors
