"""The graph of the names' nearest neighbours: FAISS's HNSW over vectors in half precision, one file.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", arXiv 1603.09320. The file holds the vectors too, and is opened without reading them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from el.errors import InputError
from el.files import atomic_file

# Links of a name; twice as many on the lowest level, which has 128 bytes a name.
_LINKS = 16
# Names that are looked at to place a new one. 40 is FAISS's own; with it .94 of the 10 nearest are found
# where 128 finds .98, and building takes a third of the time.
_BUILD_EFFORT = 128
# Names that a search looks at, and more where more are wanted.
_SEARCH_EFFORT = 256
# Larger graphs are built by all threads, each time a little differently.
_ONE_THREAD = 1 << 16


@dataclass(frozen=True, eq=False)
class NameGraph:
    """Finds the names near to a vector by walking from neighbour to neighbour.

    Attributes:
        index: FAISS's; owns the memory of `vectors`.
        vectors: (N, D) float16, memory-mapped, in the order in which they were added.
    """

    index: Any
    vectors: npt.NDArray[np.float16]

    @classmethod
    def open(cls, path: Path) -> "NameGraph":
        """Opens a file that `build_graph` wrote; its vectors stay on disk until they are looked at.

        Raises:
            InputError: it is missing or holds something else. Altered content is not noticed here.
        """
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            problem = f"broken ({str(error).splitlines()[0]})"
            raise InputError(path, "", problem, "Build it again") from error
        if not isinstance(index, faiss.IndexHNSWSQ):
            raise InputError(path, "", f"holds a {type(index).__name__}", "Build it again")
        return cls(index, np.asarray(_Storage(index)))

    def search(
        self, queries: npt.NDArray[np.float32], k: int, effort: int | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Finds names with large dot products, most of the k largest.

        Args:
            queries: (B, D).
            k: how many, at most N.
            effort: how many names are looked at closely; the more, the fewer are missed.

        Returns:
            (B, k) float32 dot products, best first, and (B, k) int64 rows.
        """
        effort = max(effort or _SEARCH_EFFORT, k)
        parameters = faiss.SearchParametersHNSW(efSearch=effort)  # type: ignore[attr-defined]
        similarities, rows = self.index.search(queries, k, params=parameters)
        # A part of the graph that no walk reaches leaves places empty.
        missing = rows < 0
        if missing.any():
            similarities, rows = similarities.copy(), rows.copy()
            for query in np.flatnonzero(missing.any(axis=1)):
                similarities[query], rows[query] = self._exactly(queries[query], k)
        return similarities, rows

    def _exactly(
        self, query: npt.NDArray[np.float32], k: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        products = self.vectors.astype(np.float32) @ query
        rows = np.argsort(-products, kind="stable")[:k]
        return products[rows], rows


class _Storage:
    """An index's vectors as an array that keeps the index, whose memory it is, alive."""

    def __init__(self, index: Any) -> None:
        self.index = index
        storage: Any = faiss.downcast_index(index.storage)
        codes = storage.codes
        address = faiss.rev_swig_ptr(codes.data(), codes.size()).ctypes.data if codes.size() else 0
        self.__array_interface__ = {
            "version": 3,
            "typestr": "<f2",
            "shape": (index.ntotal, index.d),
            # Read only: the file is mapped.
            "data": (address, True),
        }


def build_graph(blocks: Iterable[npt.NDArray[np.float16]], width: int, count: int, path: Path) -> None:
    """Writes the graph of vectors that come in blocks, (n, width) each, `count` in all."""
    half: Any = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexHNSWSQ(width, half, _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _BUILD_EFFORT
    threads = faiss.omp_get_max_threads()
    # Half precision has nothing to learn, but FAISS wants it done.
    index.train(np.zeros((1, width), dtype=np.float32))
    try:
        if count < _ONE_THREAD:
            faiss.omp_set_num_threads(1)
        for block in blocks:
            index.add(block.astype(np.float32))
    finally:
        faiss.omp_set_num_threads(threads)
    with atomic_file(path) as temporary:
        faiss.write_index(index, str(temporary))
