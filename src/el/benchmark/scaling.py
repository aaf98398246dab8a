"""Makes indexes with fewer or more names than an ontology has, to measure how the time grows."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.progress import progress
from el.base.resources import check_room
from el.index.graph import NameGraph, build_graph, graph_bytes
from el.index.vectors import NAMES, NameVectors

# The length of the noise in a perturbed vector, divided by the length of the vector. At a larger value, the
# copies lie farther from the names.
_NOISE = 0.3
# The effort of building the graph (efConstruction), FAISS's default. The index of an ontology is built with
# more. With this value the search is as fast, but finds fewer of the nearest names.
_BUILD_EFFORT = 40
# The number of vectors that are perturbed at once. More take more memory.
_BLOCK = 1 << 16


def scaled_vectors(vectors: NameVectors, count: int, folder: Path) -> NameVectors:
    """Returns the vectors of `count` names: a sample of the names, or all names and perturbed copies.

    A perturbed copy is the vector of a name with Gaussian noise, scaled to the length of the original.
    Nothing is encoded. The index is built once and kept in `folder`.

    Raises:
        ElError: disk space or memory is too small.
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
    """Reads a file into the page cache, so that the first system that uses it does not wait for the disk."""
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
        # The first copy of each name stays as it is; only further copies get noise.
        noise = generator.normal(size=block.shape).astype(np.float32) * (places >= len(vectors))[:, None]
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        block += noise * lengths * _NOISE / np.sqrt(block.shape[1])
        found[places] = block * lengths / np.linalg.norm(block, axis=1, keepdims=True)
    return found
