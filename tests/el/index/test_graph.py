"""The graph of names: what it finds, against a comparison with all."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from el.base.errors import InputError
from el.index import graph as module
from el.index.graph import NameGraph, build_graph, compact_graph, extend_graph, graph_bytes


def unit_vectors(count: int, width: int, seed: int = 1) -> npt.NDArray[np.float16]:
    vectors = np.random.default_rng(seed).normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def built(vectors: npt.NDArray[np.float16], path: Path) -> NameGraph:
    placed: list[int] = []
    build_graph(vectors, path, placed.append)
    assert sum(placed) == len(vectors)
    return NameGraph.open(path)


def test_finds_what_a_comparison_with_all_finds(tmp_path: Path) -> None:
    vectors, queries = unit_vectors(2000, 16), unit_vectors(50, 16, 2).astype(np.float32)
    graph = built(vectors, tmp_path / "graph")
    assert (graph.vectors.shape, graph.vectors.bits) == ((2000, 16), 16)
    assert np.array_equal(graph.vectors[:], vectors.astype(np.float32))
    assert np.array_equal(graph.vectors[np.array([[7, 3]])], vectors[[[7, 3]]].astype(np.float32))
    similarities, rows = graph.search(queries, 10)
    products = queries @ vectors.astype(np.float32).T
    exact = np.argsort(-products, axis=1)[:, :10]
    shared = [np.isin(one, other).mean() for one, other in zip(rows, exact, strict=True)]
    assert np.mean(shared) > 0.99
    np.testing.assert_allclose(similarities, np.take_along_axis(products, rows, axis=1), atol=1e-4)
    assert np.all(np.diff(similarities, axis=1) <= 0)


def test_less_effort_finds_less(tmp_path: Path) -> None:
    vectors, queries = unit_vectors(5000, 32), unit_vectors(200, 32, 2).astype(np.float32)
    graph = built(vectors, tmp_path / "graph")
    exact = np.argmax(queries @ vectors.astype(np.float32).T, axis=1)
    found = [np.mean(graph.search(queries, 1, effort)[1][:, 0] == exact) for effort in (1, 200)]
    assert found[0] < found[1] > 0.95


def test_more_effort_for_queries_that_are_far_from_all_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit_vectors(5000, 32)
    graph = built(vectors, tmp_path / "graph")
    # The first hundred are names, in whatever length; the others are far from all.
    queries = np.concatenate([3 * vectors[:100].astype(np.float32), unit_vectors(100, 32, 2)])
    exact = np.argsort(-(queries @ vectors.astype(np.float32).T), axis=1)[:, :10]
    assert np.all((queries[100:] * vectors[exact[100:, 0]]).sum(axis=1) < 0.9)

    def shares(far: float) -> list[float]:
        monkeypatch.setattr(module, "_FAR", far)
        rows = graph.search(queries, 10)[1]
        each = [np.isin(one, other).mean() for one, other in zip(rows, exact, strict=True)]
        return [float(np.mean(each[:100])), float(np.mean(each[100:]))]

    monkeypatch.setattr(module, "_SEARCH_EFFORT", 10)
    before, after = shares(-1.0), shares(0.9)
    assert after[0] == before[0] < 0.99
    assert before[1] + 0.05 < after[1] > 0.95


def test_a_small_graph_is_the_same_every_time(tmp_path: Path) -> None:
    vectors, threads = unit_vectors(1000, 8), faiss.omp_get_max_threads()
    for name in "ab":
        built(vectors, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert faiss.omp_get_max_threads() == threads


def test_all_names_are_found_however_many_are_alike(tmp_path: Path) -> None:
    vectors = np.repeat(unit_vectors(3, 8), 70, axis=0)
    graph = built(vectors, tmp_path / "graph")
    similarities, rows = graph.search(unit_vectors(5, 8, 2).astype(np.float32), 210)
    assert all(sorted(found) == [*range(210)] for found in rows.tolist())
    assert np.isfinite(similarities).all()


def test_one_query_or_many(tmp_path: Path) -> None:
    vectors, queries = unit_vectors(500, 8), unit_vectors(7, 8, 2).astype(np.float32)
    graph = built(vectors, tmp_path / "graph")
    together = graph.search(queries, 20)
    for number, query in enumerate(queries):
        alone = graph.search(query[None], 20)
        assert all(np.array_equal(one[number], other[0]) for one, other in zip(together, alone, strict=True))
    assert graph.search(queries[:0], 20)[1].shape == (0, 20)


@pytest.mark.parametrize("count", [1, 2])
def test_few_names(tmp_path: Path, count: int) -> None:
    vectors = unit_vectors(count, 4)
    _, rows = built(vectors, tmp_path / "graph").search(vectors.astype(np.float32), count)
    assert rows[:, 0].tolist() == [*range(count)]


def test_a_compact_graph_has_the_same_names_in_fewer_bytes(tmp_path: Path) -> None:
    vectors, queries = unit_vectors(3000, 64), unit_vectors(50, 64, 2).astype(np.float32)
    graph = built(vectors, tmp_path / "graph")
    written: list[int] = []
    compact_graph(tmp_path / "graph", tmp_path / "compact", written.append)
    compact = NameGraph.open(tmp_path / "compact")
    assert (compact.vectors.shape, compact.vectors.bits, sum(written)) == ((3000, 64), 6, 3000)
    saved = (tmp_path / "graph").stat().st_size - (tmp_path / "compact").stat().st_size
    assert saved == pytest.approx(3000 * 64 * 10 / 8, rel=0.01)
    # A 63rd part of a dimension's range, at most half of which a value is off.
    step = np.ptp(vectors.astype(np.float32), axis=0) / 63
    assert np.all(np.abs(compact.vectors[:] - graph.vectors[:]) < step)
    assert np.array_equal(compact.vectors[np.array([[7], [3]])], compact.vectors[:][[[7], [3]]])
    found, expected = compact.search(queries, 10)[1], graph.search(queries, 10)[1]
    shared = [np.isin(one, other).mean() for one, other in zip(found, expected, strict=True)]
    assert np.mean(shared) > 0.9


@pytest.mark.parametrize(("bits", "factor"), [(16, 1), (6, 1), (6, 3)])
def test_a_graph_grows(tmp_path: Path, bits: int, factor: int) -> None:
    vectors, queries = unit_vectors(2000, 32), unit_vectors(50, 32, 2).astype(np.float32)
    # Thrice as long, they have values for which a compact graph of the others has no codes.
    vectors[1500:] *= np.float16(factor)
    old = built(vectors[:1500], tmp_path / "0")
    if bits == 6:
        compact_graph(tmp_path / "0", tmp_path / "1", lambda _: None)
        (tmp_path / "1").replace(tmp_path / "0")
        old = NameGraph.open(tmp_path / "0")
    # As one by one, in many steps.
    added: list[int] = []
    for number, start in enumerate(range(1500, 2000, 50)):
        path = tmp_path / str(number + 1)
        extend_graph(tmp_path / str(number), vectors[start : start + 50], path, added.append)
    assert sum(added) == 500
    graph = NameGraph.open(tmp_path / "10")
    assert (graph.vectors.shape, graph.vectors.bits) == ((2000, 32), bits)
    step = np.zeros(32) if bits == 16 else np.ptp(vectors.astype(np.float32), axis=0) / 63
    off = np.abs(graph.vectors[:] - vectors.astype(np.float32))
    # Rounded at first, and in each step for which there were no codes: usually not in the same direction.
    assert np.all(off <= 4 * step)
    assert np.all(off.mean(axis=0) <= step)
    if factor == 1:
        np.testing.assert_allclose(graph.vectors[:1500], old.vectors[:], atol=step.max())
    exact = np.argsort(-queries @ graph.vectors[:].T, axis=1)[:, :10]
    found = graph.search(queries, 10)[1]
    assert np.mean([np.isin(one, other).mean() for one, other in zip(found, exact, strict=True)]) > 0.97


def test_one_large_dimension_does_not_hide_the_others(tmp_path: Path) -> None:
    # Links are chosen by whole numbers of one byte, with one factor for all dimensions.
    vectors, queries = unit_vectors(2000, 32), unit_vectors(50, 32, 2)
    vectors[:, 0], queries[:, 0] = 2.0, 0.0
    graph = built(vectors, tmp_path / "graph")
    exact = np.argsort(-(queries.astype(np.float32) @ vectors.astype(np.float32).T), axis=1)[:, :10]
    rows = graph.search(queries.astype(np.float32), 10)[1]
    assert np.mean([np.isin(one, other).mean() for one, other in zip(rows, exact, strict=True)]) > 0.95


@pytest.mark.parametrize("bits", [16, 6])
def test_a_graph_that_grows_by_nothing_stays(tmp_path: Path, bits: int) -> None:
    old = built(unit_vectors(300, 16), tmp_path / "old")
    path = tmp_path / "old"
    if bits == 6:
        path = tmp_path / "compact"
        compact_graph(tmp_path / "old", path, lambda _: None)
        old = NameGraph.open(path)
    extend_graph(path, np.empty((0, 16), dtype=np.float16), tmp_path / "new", lambda _: None)
    new = NameGraph.open(tmp_path / "new")
    queries = unit_vectors(20, 16, 2).astype(np.float32)
    assert np.array_equal(new.vectors[:], old.vectors[:])
    assert np.array_equal(new.search(queries, 5)[1], old.search(queries, 5)[1])


def test_vectors_that_fit_leave_those_of_a_compact_graph_as_they_are(tmp_path: Path) -> None:
    vectors = unit_vectors(500, 8)
    built(vectors, tmp_path / "graph")
    compact_graph(tmp_path / "graph", tmp_path / "compact", lambda _: None)
    extend_graph(tmp_path / "compact", vectors[:20], tmp_path / "more", lambda _: None)
    compact, more = NameGraph.open(tmp_path / "compact").vectors, NameGraph.open(tmp_path / "more").vectors
    assert np.array_equal(more[:500], compact[:])
    assert np.array_equal(more[500:], compact[:20])


@pytest.mark.parametrize("bits", [16, 6])
def test_a_graph_takes_what_is_said(tmp_path: Path, bits: int) -> None:
    built(unit_vectors(3000, 64), tmp_path / "graph")
    if bits == 6:
        compact_graph(tmp_path / "graph", tmp_path / "compact", lambda _: None)
    size = (tmp_path / ("graph" if bits == 16 else "compact")).stat().st_size
    assert size == pytest.approx(graph_bytes(3000, 64, bits), rel=0.05)


def _array(vector: Any) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return array


def _upper_link(index: Any) -> None:
    """Links the first name of an upper level, on that level, to a name that is not there."""
    levels, offsets = _array(index.hnsw.levels), _array(index.hnsw.offsets)
    name, low = int(np.argmax(levels > 1)), int(np.argmin(levels))
    _array(index.hnsw.neighbors)[int(offsets[name]) + 2 * 16] = low


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index: _array(index.hnsw.neighbors).__setitem__(5, 300), ""),
        (lambda index: _array(index.hnsw.neighbors).__setitem__(0, -7), ""),
        (lambda index: _array(index.hnsw.neighbors).__setitem__(99, 2**31 - 1), ""),
        (_upper_link, "not on its level"),
        (lambda index: _array(index.hnsw.levels).__setitem__(3, 99), ""),
        (lambda index: _array(index.hnsw.levels).__setitem__(3, 0), ""),
        (lambda index: _array(index.hnsw.offsets).__setitem__(7, 2**40), ""),
        (lambda index: setattr(index.hnsw, "entry_point", 300), ""),
        (lambda index: setattr(index.hnsw, "entry_point", -1), "where searches begin"),
        (lambda index: setattr(index.hnsw, "max_level", 7), "where searches begin"),
        (lambda index: setattr(index, "ntotal", 301), ""),
        (lambda index: setattr(index, "d", 32), ""),
        (lambda index: setattr(index, "metric_type", faiss.METRIC_L2), "dot products"),
    ],
)
def test_a_damaged_graph_is_refused(damage: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    built(unit_vectors(300, 16), tmp_path / "graph")
    index = faiss.read_index(str(tmp_path / "graph"))
    damage(index)
    faiss.write_index(index, str(tmp_path / "graph"))
    with pytest.raises(InputError, match=rf"graph: broken \(.*{message}"):
        NameGraph.open(tmp_path / "graph")


def test_a_graph_that_claims_to_be_large_takes_no_memory(tmp_path: Path) -> None:
    built(unit_vectors(60, 16), tmp_path / "graph")
    content = bytearray((tmp_path / "graph").read_bytes())
    levels = (60).to_bytes(8, "little")
    # The first such number is that of the vectors, in the head of 37 bytes. The next is that of the levels.
    place = content.index(levels, 37)
    content[place : place + 8] = (2**38).to_bytes(8, "little")
    (tmp_path / "graph").write_bytes(content)
    with pytest.raises(InputError, match=r"graph: broken \("):
        NameGraph.open(tmp_path / "graph")


def test_a_graph_with_places_that_it_lacks_is_refused(tmp_path: Path) -> None:
    built(unit_vectors(30, 16), tmp_path / "graph")
    for places in ([0, 30], [-1, 3], [2**62]):
        with pytest.raises(InputError, match="has 30 vectors, but names have places outside"):
            NameGraph.open(tmp_path / "graph", np.array(places))


@pytest.mark.parametrize("bits", [16, 6])
def test_a_graph_with_random_damage_never_ends_the_process(bits: int, tmp_path: Path) -> None:
    built(unit_vectors(60, 16), tmp_path / "half")
    path = tmp_path / "half"
    if bits == 6:
        path = tmp_path / "compact"
        compact_graph(tmp_path / "half", path, lambda _: None)
    whole, random = path.read_bytes(), Random(bits)
    queries = unit_vectors(3, 16, 2).astype(np.float32)
    damaged, refused = tmp_path / "damaged", 0
    for number in range(100):
        content = bytearray(whole)
        # Most of the numbers that matter stand at the beginning.
        place = random.randrange(300) if number % 2 else random.randrange(len(content))
        content[place] = random.choice([0, 1, 127, 255, content[place] ^ 1])
        damaged.write_bytes(content)
        try:
            graph = NameGraph.open(damaged)
        except InputError:
            refused += 1
        else:
            _, rows = graph.search(queries, 5)
            assert ((rows >= -1) & (rows < 60)).all()
    assert refused > 10
