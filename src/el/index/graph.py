"""The graph of the names' nearest neighbours: FAISS's HNSW, in one file with the vectors.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", arXiv 1603.09320.

The file is memory-mapped, so opening it does not read the vectors. They are stored in half precision. In a
compact graph, each dimension is stored in 6 bits, in equal steps from its smallest value to its largest.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from el.base.errors import InputError, first_line
from el.base.files import atomic_file

# The threads of OpenMP do not survive a fork, and a search would wait for them forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))

# Links of a name to others. The lowest level has twice as many, which take 128 bytes a name. A larger number
# takes more disk and time, and misses fewer names.
_LINKS = 16
# Names that are compared with a new name when it is added. FAISS's default is 40. With more, a search misses
# fewer names, and building takes longer, in proportion.
_BUILD_EFFORT = 160
# How graphs are built. Graphs that were built in another way are not compared with them: change this text
# with the building.
BUILT = f"one byte, effort {_BUILD_EFFORT}"
# The largest value of a dimension while a graph is built. Vectors are then rounded to whole numbers of one
# byte, because reading them takes most of the time. As many names are found.
_LARGEST = 127
_ONE_BYTE: Any = faiss.ScalarQuantizer.QT_8bit_direct_signed
# The least absolute value that vectors are scaled by. It avoids a division by 0.
_LEAST = 1e-9
# Names that are added or read at once. Memory grows with this number.
_BLOCK = 1 << 14
# Names that a search compares with the query, unless it is to find more. A larger number misses fewer names
# and takes more time.
_SEARCH_EFFORT = 320
# The same for a second search, for queries whose best name has a cosine below `_FAR`. If all names are far, a
# walk goes astray more often. A seventh of the mentions of BC5CDR are such queries. With a larger `_FAR`,
# more queries are searched twice.
_FAR_EFFORT = 512
_FAR = 0.6
# Bits of each dimension, of stored vectors that are not compact and of compact ones.
HALF_BITS = 16
COMPACT_BITS = 6
# Names of a graph. Smaller graphs are built by one thread, so each build gives the same graph. Larger graphs
# are built by all threads, and each build gives a slightly different graph.
_ONE_THREAD = 1 << 16


@dataclass(frozen=True, eq=False)
class NameGraph:
    """Finds the names near a vector by walking from neighbour to neighbour.

    Attributes:
        index: FAISS's index. It owns the memory of `vectors`.
        vectors: the vectors of N names, in the order of `build_graph` and `extend_graph`.
        used: (N,) whether each vector may be found; None for all.
    """

    index: Any
    vectors: "StoredVectors"
    used: npt.NDArray[np.bool_] | None = None

    @classmethod
    def open(cls, path: Path, places: npt.NDArray[np.int64] | None = None) -> "NameGraph":
        """Opens a graph's file. The vectors stay on disk until they are used.

        Args:
            path: a file from `build_graph`, `extend_graph` or `compact_graph`.
            places: rows of the vectors that may be found; None for all.

        Raises:
            InputError: the file is missing, or does not hold such a graph. Altered vectors are not detected.
        """
        try:
            with _sizes_limited(path):
                index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (OSError, RuntimeError) as error:
            problem = f"broken ({first_line(error)})"
            raise InputError(path, "", problem, "Build it again") from error
        if not isinstance(index, faiss.IndexHNSWSQ):
            problem = f"holds a {type(index).__name__} instead of a graph of names"
            raise InputError(path, "", problem, "Build it again")
        if problem := _problem(index):
            raise InputError(path, "", f"broken ({problem})", "Build it again")
        used = None
        if places is not None:
            if len(places) and not 0 <= places.min() <= places.max() < index.ntotal:
                problem = f"has {index.ntotal:,} vectors, but names have places outside of them"
                raise InputError(path, "", problem, "Build it again")
            used = np.zeros(index.ntotal, dtype=np.bool_)
            used[places] = True
        return cls(index, StoredVectors(index), used)

    def search(
        self, queries: npt.NDArray[np.float32], k: int, effort: int | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Finds names with large dot products: most of the k largest.

        Args:
            queries: (B, D).
            k: how many names to find; at most as many as may be found.
            effort: how many names are compared with each query. With more, fewer are missed. None stands for
                a number that is good for most queries, and a larger one for queries far from all names.

        Returns:
            (B, k) float32 dot products, best first, and (B, k) int64 rows.
        """
        similarities, rows = self._walk(queries, k, effort or _SEARCH_EFFORT)
        if effort is None and len(far := np.flatnonzero(self._far(queries, similarities, rows))):
            similarities, rows = similarities.copy(), rows.copy()
            similarities[far], rows[far] = self._walk(queries[far], k, _FAR_EFFORT)
        # A walk finds fewer than k names if parts of the graph are not linked to it.
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
        """Returns (B,) whether the best name found is far from the query: a cosine below `_FAR`."""
        # If no name was found, the row is -1, the last vector, and the similarity is the smallest number.
        lengths = np.linalg.norm(self.vectors[rows[:, 0]], axis=1) * np.linalg.norm(queries, axis=1)
        far: npt.NDArray[np.bool_] = similarities[:, 0] < _FAR * lengths
        return far

    def _walk(
        self, queries: npt.NDArray[np.float32], k: int, effort: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Returns what FAISS finds: similarities and rows, row -1 if there are fewer than k."""
        parameters = faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
            efSearch=max(effort, k), sel=self._selector
        )
        if len(queries) < 2:
            similarities, rows = self.index.search(queries, k, params=parameters)
            return similarities, rows
        # FAISS's threads wait actively when they are done, and so slow down the threads of the model.
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
        """Returns the k best similarities and rows for a (D,) query, by comparing all names."""
        blocks = (slice(start, start + _BLOCK) for start in range(0, len(self.vectors), _BLOCK))
        products = np.concatenate([self.vectors[block] @ query for block in blocks])
        if self.used is not None:
            products[~self.used] = -np.inf
        rows = np.argsort(-products, kind="stable")[:k]
        return products[rows], rows


@contextlib.contextmanager
def _sizes_limited(path: Path) -> Iterator[None]:
    """Makes FAISS refuse lists that are larger than their file. By default it asks for up to a terabyte."""
    functions: Any = faiss
    limit = functions.get_deserialization_vector_byte_limit()
    functions.set_deserialization_vector_byte_limit(path.stat().st_size)
    try:
        yield
    finally:
        functions.set_deserialization_vector_byte_limit(limit)


def _problem(index: Any) -> str:
    """Returns what is wrong with the structure of a graph; "" if nothing is.

    FAISS does not check the numbers of names and of links that it reads. A wrong one makes it read memory
    that is not its own.
    """
    storage: Any = faiss.downcast_index(index.storage)
    if not isinstance(storage, faiss.IndexScalarQuantizer):
        return "its vectors are not stored by a scalar quantizer"
    quantizer, count, width = storage.sq, index.ntotal, index.d
    bits = {faiss.ScalarQuantizer.QT_fp16: HALF_BITS, faiss.ScalarQuantizer.QT_6bit: COMPACT_BITS}
    size = (bits.get(quantizer.qtype, 0) * width + 7) // 8
    trained = 0 if quantizer.qtype == faiss.ScalarQuantizer.QT_fp16 else 2 * width
    if not size or {storage.d, quantizer.d} != {width} or {storage.code_size, quantizer.code_size} != {size}:
        return "the widths of its vectors differ"
    if storage.ntotal != count or storage.codes.size() != count * size or quantizer.trained.size() != trained:
        return "the numbers of its vectors differ"
    if {index.metric_type, storage.metric_type} != {faiss.METRIC_INNER_PRODUCT}:
        return "it does not compare by dot products"
    return _problem_of_links(index.hnsw, count)


def _problem_of_links(hnsw: Any, count: int) -> str:
    """Returns what is wrong with the links between `count` names; "" if nothing is."""
    if (hnsw.levels.size(), hnsw.offsets.size()) != (count, count + 1):
        return "its levels are not those of its names"
    if not count:
        return ""
    levels, offsets, links = (_array(part) for part in (hnsw.levels, hnsw.offsets, hnsw.neighbors))
    # The links of a name, by level: those of level n stand at firsts[n]:firsts[n + 1].
    firsts = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    if not len(firsts) or firsts[0] != 0 or (np.diff(firsts) < 0).any():
        return "its numbers of links are wrong"
    if levels.min() < 1 or levels.max() >= len(firsts):
        return "a name has an impossible level"
    starts = offsets.astype(np.int64)
    if starts[0] != 0 or (np.diff(starts) != firsts[levels]).any() or starts[-1] != len(links):
        return "the links of its names are at wrong places"
    if not 0 <= hnsw.entry_point < count or hnsw.max_level != levels[hnsw.entry_point] - 1:
        return "the name where searches begin is wrong"
    if links.size and (links.min() < -1 or links.max() >= count):
        return "a name is linked to one that does not exist"
    for level in range(1, int(levels.max())):
        (names,) = np.nonzero(levels > level)
        of_level = links[starts[names][:, None] + np.arange(firsts[level], firsts[level + 1])]
        if (levels[of_level[of_level >= 0]] <= level).any():
            return "a name is linked to one that is not on its level"
    return ""


def _array(vector: Any) -> npt.NDArray[Any]:
    """Returns a vector of FAISS as an array without a copy. The vector must not be empty."""
    array: npt.NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return array


class StoredVectors:
    """The vectors of a graph, decoded from FAISS's codes when they are used. The codes stay on disk.

    Args:
        index: FAISS's graph. It owns the memory of the codes.

    Attributes:
        shape: (N, D).
        bits: the bits of each dimension, 16 or 6.
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
    """The bytes of an index's vectors as an array without a copy, one row for each vector."""

    def __init__(self, storage: Any) -> None:
        # Kept because it owns the memory of the array.
        self.storage = storage
        codes = storage.codes
        address = faiss.rev_swig_ptr(codes.data(), codes.size()).ctypes.data if codes.size() else 0
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (storage.ntotal, storage.code_size),
            # Read-only, because the file is memory-mapped.
            "data": (address, True),
        }


def build_graph(
    vectors: npt.NDArray[np.float16],
    path: Path,
    advance: Callable[[int], None],
    effort: int = _BUILD_EFFORT,
) -> None:
    """Writes the graph of (N, D) vectors.

    Links are chosen by vectors of one byte a dimension. The file has the vectors in half precision.

    Args:
        vectors: the vectors, in memory or memory-mapped. The graph keeps their order.
        path: the file to write, atomically.
        advance: called with the number of names added after the last call.
        effort: how many names are compared with each new one.
    """
    half: Any = faiss.ScalarQuantizer.QT_fp16
    index: Any = faiss.IndexHNSWSQ(vectors.shape[1], half, _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.train(np.zeros((1, vectors.shape[1]), dtype=np.float32))
    _extend(index, vectors, advance, effort)
    _write(index, path)


def _extend(
    index: Any, vectors: npt.NDArray[np.float16], advance: Callable[[int], None], effort: int
) -> None:
    """Adds vectors to a graph, after those that it has. See `build_graph`."""
    old, width = StoredVectors(index), vectors.shape[1]
    rounded: Any = faiss.IndexHNSWSQ(width, _ONE_BYTE, _LINKS, faiss.METRIC_INNER_PRODUCT)
    # These quantizers learn nothing, but FAISS requires this call.
    rounded.train(np.zeros((1, width), dtype=np.float32))
    factor = _LARGEST / max(_largest(old), _largest(vectors), _LEAST)
    _store(rounded, old, lambda _: None, factor)
    rounded.hnsw = index.hnsw
    rounded.hnsw.efConstruction = effort
    _add(rounded, vectors, factor, advance)
    index.hnsw = rounded.hnsw
    # Its memory is free again before the vectors are stored once more.
    del rounded
    _store(index, vectors, lambda _: None)


def _store(
    index: Any,
    vectors: "StoredVectors | npt.NDArray[np.float16]",
    advance: Callable[[int], None],
    factor: float | None = None,
) -> None:
    """Adds vectors to what a graph stores, and no links.

    Args:
        index: the graph.
        vectors: (n, D).
        advance: called with the number of vectors added after the last call.
        factor: what the vectors are multiplied by before they are rounded to whole numbers; None to store
            them as they are.
    """
    storage: Any = faiss.downcast_index(index.storage)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float32)
        storage.add(block if factor is None else np.rint(block * factor))
        advance(len(block))
    index.ntotal = storage.ntotal


def _largest(vectors: "StoredVectors | npt.NDArray[np.float16]") -> float:
    """Returns the largest absolute value of (N, D) vectors; 0 if there are none."""
    blocks = (vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK))
    return max((float(np.abs(block).max(initial=0.0)) for block in blocks), default=0.0)


def _add(index: Any, vectors: npt.NDArray[np.float16], factor: float, advance: Callable[[int], None]) -> None:
    """Links vectors, multiplied by a factor and rounded to whole numbers. See `build_graph`."""
    threads, before = faiss.omp_get_max_threads(), index.ntotal
    # Names that follow each other in an ontology are often similar. Added in this order, they link too much
    # to each other. So they are added in a random order.
    order = np.random.default_rng(0).permutation(len(vectors))
    try:
        if len(vectors) < _ONE_THREAD:
            faiss.omp_set_num_threads(1)
        for start in range(0, len(vectors), _BLOCK):
            rows = order[start : start + _BLOCK]
            index.add(np.rint(vectors[rows].astype(np.float32) * factor))
            advance(len(rows))
    finally:
        faiss.omp_set_num_threads(threads)
    index.permute_entries(np.concatenate([np.arange(before), before + np.argsort(order)]))


def compact_graph(graph: Path, path: Path, advance: Callable[[int], None]) -> None:
    """Writes a copy of a graph with 6 bits a dimension. The links stay the same.

    Args:
        graph: a file from `build_graph` or `extend_graph`.
        path: the file to write, atomically.
        advance: called with the number of vectors written after the last call.
    """
    old: Any = faiss.read_index(str(graph), faiss.IO_FLAG_MMAP_IFC)
    _write(_with_six_bits(old, _extremes(StoredVectors(old)), advance), path)


def _with_six_bits(old: Any, extremes: npt.NDArray[np.float32], advance: Callable[[int], None]) -> Any:
    """Returns a compact graph with the vectors and links of another one.

    Args:
        old: FAISS's graph.
        extremes: (2, D) the smallest and the largest value that each dimension can store.
        advance: called with the number of vectors written after the last call.
    """
    vectors = StoredVectors(old)
    six_bits: Any = faiss.ScalarQuantizer.QT_6bit
    compact = faiss.IndexHNSWSQ(vectors.shape[1], six_bits, _LINKS, faiss.METRIC_INNER_PRODUCT)
    compact.hnsw = old.hnsw
    # FAISS learns nothing but the smallest and the largest value of each dimension.
    faiss.downcast_index(compact.storage).train(extremes)
    _store(compact, vectors, advance)
    compact.is_trained = True
    return compact


def _extremes(vectors: StoredVectors) -> npt.NDArray[np.float32]:
    """Returns (2, D): the smallest and the largest value of each dimension."""
    extremes = np.stack([vectors[:1][0]] * 2)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        extremes[0] = np.minimum(extremes[0], block.min(axis=0))
        extremes[1] = np.maximum(extremes[1], block.max(axis=0))
    return extremes


def graph_bytes(count: int, width: int, bits: int = HALF_BITS) -> int:
    """Returns the size of a graph on disk, in bytes.

    A graph that is read into memory takes as much there. While it is built, extended or put in order, it
    takes up to two and a half times as much memory.

    Args:
        count: the number of vectors.
        width: D.
        bits: the bits of each dimension.
    """
    # Links are int32, with twice `_LINKS` on the lowest level. The 20 bytes are for level, offset, and the
    # links of the few names on higher levels.
    return count * (width * bits // 8 + 4 * 2 * _LINKS + 20)


def extend_graph(
    graph: Path, vectors: npt.NDArray[np.float16], path: Path, advance: Callable[[int], None]
) -> None:
    """Writes a copy of a graph with (n, D) more vectors, after the old ones.

    The old graph is read into memory. If a compact graph has no codes for some new values, the old vectors
    are rounded again in the dimensions concerned, each time by at most half a step.

    Args:
        graph: the file of the old graph.
        vectors: the new vectors, in memory or memory-mapped.
        path: the file to write, atomically.
        advance: called with the number of vectors added after the last call.
    """
    index: Any = faiss.read_index(str(graph))
    extremes = _widened(index, vectors)
    if extremes is not None:
        index = _with_six_bits(index, extremes, lambda _: None)
    _extend(index, vectors, advance, _BUILD_EFFORT)
    _write(index, path)


def _widened(index: Any, new: npt.NDArray[np.float16]) -> npt.NDArray[np.float32] | None:
    """Returns (2, D): the values that a compact graph must be able to store so that new vectors fit.

    They are the smallest and the largest of each dimension. Returns None if new vectors fit already.
    """
    if StoredVectors(index).bits == HALF_BITS or not len(new):
        return None
    storage: Any = faiss.downcast_index(index.storage)
    least, spread = faiss.vector_to_array(storage.sq.trained).reshape(2, -1)
    known = np.stack([least, least + spread])
    wanted = np.stack([new.min(axis=0), new.max(axis=0)]).astype(np.float32)
    # FAISS clips values beyond the extremes. Up to one step, clipping is about as small as rounding.
    step = spread / (2**COMPACT_BITS - 1)
    beyond = np.stack([known[0] - wanted[0], wanted[1] - known[1]]) > step
    return np.where(beyond, wanted, known) if beyond.any() else None


def _write(index: Any, path: Path) -> None:
    with atomic_file(path) as temporary:
        faiss.write_index(index, str(temporary))
