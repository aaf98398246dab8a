"""Indexes of fewer and of more names than an ontology has, to see how the time grows with their number."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.progress import progress
from el.base.resources import check_room
from el.index.graph import NameGraph, build_graph, graph_bytes
from el.index.vectors import NAMES, NameVectors

# Length of the noise of a perturbed vector, in relation to the vector's own.
_NOISE = 0.3
# FAISS's own. It finds fewer of the nearest than an ontology's index does, in the same time.
_BUILD_EFFORT = 40
_BLOCK = 1 << 16


def scaled_vectors(vectors: NameVectors, count: int, folder: Path) -> NameVectors:
    """The vectors of `count` names: a sample, or all and perturbed copies. Built once in a folder.

    Perturbed vectors are those of names, as long as these, with Gaussian noise: nothing is encoded.
    """
    path = folder / f"{count}" / NAMES
    if not path.is_file():
        needed = graph_bytes(count, vectors.vectors.shape[1])
        check_room(folder, 2 * needed, 2 * needed, f"a benchmark's index of {count:,} names")
        with progress(f"build an index of {count:,} names", count) as advance:
            build_graph(_perturbed(vectors, count), path, advance, _BUILD_EFFORT)
    _read(path)
    graph = NameGraph.open(path)
    return NameVectors(graph.vectors, {}, graph, path.parent)


def _read(path: Path) -> None:
    """Brings a file into memory, or else what looks at it first waits for the disk."""
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass


def _perturbed(vectors: NameVectors, count: int) -> npt.NDArray[np.float16]:
    generator = np.random.default_rng(1)
    order = np.random.default_rng(0).permutation(len(vectors))
    names = order[np.arange(count) % len(vectors)]
    found = np.empty((count, vectors.vectors.shape[1]), dtype=np.float16)
    for start in range(0, count, _BLOCK):
        places = np.arange(start, min(start + _BLOCK, count))
        block = vectors.gather(names[places])
        # Only what is there once already.
        noise = generator.normal(size=block.shape).astype(np.float32) * (places >= len(vectors))[:, None]
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        block += noise * lengths * _NOISE / np.sqrt(block.shape[1])
        found[places] = block * lengths / np.linalg.norm(block, axis=1, keepdims=True)
    return found
