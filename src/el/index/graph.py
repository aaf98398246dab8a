"""The graph of the names' nearest neighbours: FAISS's HNSW over vectors of 16 or 6 bits, one file.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", arXiv 1603.09320. The file holds the vectors too, and is opened without reading them.
They are in half precision; in a compact graph, each dimension in 6 bits, evenly from its least value to its
largest.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from el.base.errors import InputError
from el.base.files import atomic_file

# Links of a name; twice as many on the lowest level, which has 128 bytes a name.
_LINKS = 16
# Names that are looked at to place a new one. 40 is FAISS's own; on MeSH it finds .94 of the 10 nearest,
# where 128 finds .98 and 256 .99; building takes twice as long each time.
_BUILD_EFFORT = 256
# Names that are placed at once.
_BLOCK = 1 << 14
# Names that a search looks at, and more where more are wanted; and more for queries whose best name is at a
# cosine below `_FAR`: walks go astray where all names are far. Of mentions of BC5CDR these are a seventh.
_SEARCH_EFFORT = 320
_FAR_EFFORT = 512
_FAR = 0.6
# Bits of a dimension that is not compact, and of one that is.
HALF_BITS = 16
COMPACT_BITS = 6
# Larger graphs are built by all threads, each time a little differently.
_ONE_THREAD = 1 << 16


@dataclass(frozen=True, eq=False)
class NameGraph:
    """Finds the names near to a vector by walking from neighbour to neighbour.

    Attributes:
        index: FAISS's; owns the memory of `vectors`.
        vectors: of the N names, in the order in which they were added.
        used: (N,), the vectors that may be found; all, if None.
    """

    index: Any
    vectors: "StoredVectors"
    used: npt.NDArray[np.bool_] | None = None

    @classmethod
    def open(cls, path: Path, places: npt.NDArray[np.int64] | None = None) -> "NameGraph":
        """Opens a file that `build_graph` wrote; its vectors stay on disk until they are looked at.

        Args:
            path: the file.
            places: rows of the only vectors that may be found; all, if None.

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
        used = None
        if places is not None:
            used = np.zeros(index.ntotal, dtype=np.bool_)
            used[places] = True
        return cls(index, StoredVectors(index), used)

    def search(
        self, queries: npt.NDArray[np.float32], k: int, effort: int | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Finds names with large dot products, most of the k largest.

        Args:
            queries: (B, D).
            k: how many, at most as many as may be found.
            effort: how many names are looked at closely; the more, the fewer are missed. By default as many
                as do, and more for queries that are far from all names.

        Returns:
            (B, k) float32 dot products, best first, and (B, k) int64 rows.
        """
        similarities, rows = self._walk(queries, k, effort or _SEARCH_EFFORT)
        if effort is None and len(far := np.flatnonzero(self._far(queries, similarities, rows))):
            similarities, rows = similarities.copy(), rows.copy()
            similarities[far], rows[far] = self._walk(queries[far], k, _FAR_EFFORT)
        # A part of the graph that no walk reaches leaves places empty.
        missing = rows < 0
        if missing.any():
            similarities, rows = similarities.copy(), rows.copy()
            for query in np.flatnonzero(missing.any(axis=1)):
                similarities[query], rows[query] = self._exactly(queries[query], k)
        return similarities, rows

    def _far(
        self,
        queries: npt.NDArray[np.float32],
        similarities: npt.NDArray[np.float32],
        rows: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """(B,), whether the best name that was found is far from the query."""
        # Where none was found, row -1 is some vector; its similarity is the least there is.
        lengths = np.linalg.norm(self.vectors[rows[:, 0]], axis=1) * np.linalg.norm(queries, axis=1)
        far: npt.NDArray[np.bool_] = similarities[:, 0] < _FAR * lengths
        return far

    def _walk(
        self, queries: npt.NDArray[np.float32], k: int, effort: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """What FAISS finds; row -1 in places that stay empty."""
        parameters = faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
            efSearch=max(effort, k), sel=self._selector
        )
        if len(queries) < 2:
            similarities, rows = self.index.search(queries, k, params=parameters)
            return similarities, rows
        # FAISS's own threads go on waiting actively when they are done, in the way of the model's.
        parts = np.array_split(queries, min(len(queries), faiss.omp_get_max_threads()))
        found = self._threads.map(lambda part: self.index.search(part, k, params=parameters), parts)
        similarities, rows = (np.concatenate(column) for column in zip(*found, strict=True))
        return similarities, rows

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        threads = faiss.omp_get_max_threads()
        return ThreadPoolExecutor(threads, "search", faiss.omp_set_num_threads, (1,))

    @cached_property
    def _selector(self) -> Any:
        bitmap: Any = faiss.IDSelectorBitmap
        return None if self.used is None else bitmap(np.packbits(self.used, bitorder="little"))

    def _exactly(
        self, query: npt.NDArray[np.float32], k: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        blocks = (slice(start, start + _BLOCK) for start in range(0, len(self.vectors), _BLOCK))
        products = np.concatenate([self.vectors[block] @ query for block in blocks])
        if self.used is not None:
            products[~self.used] = -np.inf
        rows = np.argsort(-products, kind="stable")[:k]
        return products[rows], rows


class StoredVectors:
    """The vectors of a graph, read from their codes where these lie, which is on disk.

    Args:
        index: FAISS's graph, whose memory it is.

    Attributes:
        shape: (N, D).
        bits: of each dimension, 16 or 6.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        self._storage: Any = faiss.downcast_index(index.storage)
        self.shape: tuple[int, int] = (index.ntotal, index.d)
        self.bits: int = 8 * self._storage.sa_code_size() // index.d
        self._codes = np.asarray(_Codes(self._storage))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Returns float32 vectors, rows.shape + (D,)."""
        codes = self._codes[rows]
        if self.bits == HALF_BITS:
            return codes.view(np.float16).astype(np.float32)
        decoded: npt.NDArray[np.float32] = self._storage.sa_decode(codes.reshape(-1, codes.shape[-1]))
        return decoded.reshape(*codes.shape[:-1], self.shape[1])

    def half(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        """Returns float16 vectors, rows.shape + (D,)."""
        if self.bits == HALF_BITS:
            return self._codes.take(rows, axis=0).view(np.float16)
        return self[rows].astype(np.float16)


class _Codes:
    """The bytes of an index's vectors, one row a vector, as an array."""

    def __init__(self, storage: Any) -> None:
        # Whose memory the array is.
        self.storage = storage
        codes = storage.codes
        address = faiss.rev_swig_ptr(codes.data(), codes.size()).ctypes.data if codes.size() else 0
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (storage.ntotal, storage.code_size),
            # Read only: the file is mapped.
            "data": (address, True),
        }


def build_graph(
    vectors: npt.NDArray[np.float16],
    path: Path,
    advance: Callable[[int], None],
    effort: int = _BUILD_EFFORT,
) -> None:
    """Writes the graph of (N, D) vectors.

    Args:
        vectors: may be memory-mapped; the graph holds them in this order.
        path: where to.
        advance: is told how many more are placed.
        effort: names that are looked at to place a new one.
    """
    half: Any = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexHNSWSQ(vectors.shape[1], half, _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = effort
    threads = faiss.omp_get_max_threads()
    # Half precision has nothing to learn, but FAISS wants it done.
    index.train(np.zeros((1, vectors.shape[1]), dtype=np.float32))
    # Neighbours in an ontology are often alike; placed one after the other they link to each other too much.
    order = np.random.default_rng(0).permutation(len(vectors))
    try:
        if len(vectors) < _ONE_THREAD:
            faiss.omp_set_num_threads(1)
        for start in range(0, len(vectors), _BLOCK):
            rows = order[start : start + _BLOCK]
            index.add(vectors[rows].astype(np.float32))
            advance(len(rows))
    finally:
        faiss.omp_set_num_threads(threads)
    index.permute_entries(np.argsort(order))
    _write(index, path)


def compact_graph(graph: Path, path: Path, advance: Callable[[int], None]) -> None:
    """Writes a graph once more with vectors of 6 bits a dimension; their neighbours stay.

    Args:
        graph: what `build_graph` wrote.
        path: where to.
        advance: is told how many more are written.
    """
    old: Any = faiss.read_index(str(graph), faiss.IO_FLAG_MMAP_IFC)
    _write(_with_six_bits(old, _extremes(StoredVectors(old)), advance), path)


def _with_six_bits(old: Any, extremes: npt.NDArray[np.float32], advance: Callable[[int], None]) -> Any:
    """A graph's vectors and neighbours in a compact one, whose dimensions go from (2, D) least to largest."""
    vectors = StoredVectors(old)
    few: Any = faiss.ScalarQuantizer.QT_6bit
    compact = faiss.IndexHNSWSQ(vectors.shape[1], few, _LINKS, faiss.METRIC_INNER_PRODUCT)
    compact.hnsw = old.hnsw
    storage: Any = faiss.downcast_index(compact.storage)
    # The least and the largest value of each dimension is all that FAISS learns.
    storage.train(extremes)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        storage.add(block)
        advance(len(block))
    compact.ntotal = storage.ntotal
    compact.is_trained = True
    return compact


def _extremes(vectors: StoredVectors) -> npt.NDArray[np.float32]:
    """(2, D): the least and the largest value of each dimension."""
    extremes = np.stack([vectors[:1][0]] * 2)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        extremes[0] = np.minimum(extremes[0], block.min(axis=0))
        extremes[1] = np.maximum(extremes[1], block.max(axis=0))
    return extremes


def graph_bytes(count: int, width: int, bits: int = HALF_BITS) -> int:
    """What a graph of so many vectors, of so many bits a dimension, takes on disk, in bytes.

    In memory too, once it is there; while it grows or is put in order, nearly twice as much.
    """
    # Links are int32, twice as many on the lowest level; then level and offset; few have links above.
    return count * (width * bits // 8 + 4 * 2 * _LINKS + 20)


def extend_graph(graph: Path, vectors: npt.NDArray[np.float16], path: Path) -> None:
    """Writes a graph with (n, D) vectors more than another, after those that it has; reads all of that.

    Where a compact graph has no codes for the new values, its own vectors are rounded once more, in the
    dimensions concerned: each time by half a step at most.
    """
    index: Any = faiss.read_index(str(graph))
    new = vectors.astype(np.float32)
    extremes = _widened(index, new)
    if extremes is not None:
        index = _with_six_bits(index, extremes, lambda _: None)
    index.hnsw.efConstruction = _BUILD_EFFORT
    index.add(new)
    _write(index, path)


def _widened(index: Any, new: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """(2, D): where a compact graph's dimensions have to begin and end for new vectors; None if they do."""
    if StoredVectors(index).bits == HALF_BITS or not len(new):
        return None
    storage: Any = faiss.downcast_index(index.storage)
    least, spread = faiss.vector_to_array(storage.sq.trained).reshape(2, -1)
    known = np.stack([least, least + spread])
    wanted = np.stack([new.min(axis=0), new.max(axis=0)])
    # FAISS cuts off what lies outside. By less than a step, that is as little as it rounds anyway.
    step = spread / (2**COMPACT_BITS - 1)
    beyond = np.stack([known[0] - wanted[0], wanted[1] - known[1]]) > step
    return np.where(beyond, wanted, known) if beyond.any() else None


def _write(index: Any, path: Path) -> None:
    with atomic_file(path) as temporary:
        faiss.write_index(index, str(temporary))
