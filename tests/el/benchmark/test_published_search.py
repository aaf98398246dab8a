"""The published graph search, on a graph small enough to follow."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.benchmark.published_search import GraphSearch, lowest_level
from el.index.graph import NameGraph, build_graph

# A line of 100 names, each joined to those beside it; the score rises to name 70 and falls again.
LINE = np.array([[row - 1, row + 1 if row < 99 else -1] for row in range(100)], dtype=np.int32)


def score(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return -np.abs(rows - 70).astype(np.float32)


def test_walks_to_the_best() -> None:
    search = GraphSearch(entries=5, expanded=3, kept=5, rounds=99)
    rows, scored = search.find(score, LINE, 3, np.random.default_rng(1))
    assert rows[0] == 70
    assert sorted(rows.tolist()) == [69, 70, 71]
    assert 5 < scored < 100


def test_rounds_are_limited() -> None:
    generator = np.random.default_rng(1)
    entries = np.random.default_rng(1).choice(100, size=2, replace=False)
    rows, scored = GraphSearch(2, 1, 2, rounds=1).find(score, LINE, 2, generator)
    start = entries[np.argmax(score(entries))]
    assert scored <= 4
    assert min(abs(rows[0] - start), 99) <= 1


def test_no_name_is_scored_twice() -> None:
    seen: list[int] = []

    def counting(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        seen.extend(rows.tolist())
        return score(rows)

    _, scored = GraphSearch(10, 4, 8, 50).find(counting, LINE, 4, np.random.default_rng(2))
    assert scored == len(seen) == len(set(seen))


def test_neighbours_of_the_graph_are_near(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(500, 8))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    build_graph(unit, tmp_path / "graph", lambda _: None)
    graph = NameGraph.open(tmp_path / "graph")
    neighbours = lowest_level(graph)
    assert neighbours.shape == (500, 32)
    products = unit.astype(np.float32) @ unit.astype(np.float32).T
    ranks = (-products).argsort(axis=1).argsort(axis=1)
    present = neighbours >= 0
    rank = np.take_along_axis(ranks, np.maximum(neighbours, 0), axis=1)[present]
    assert present.any(axis=1).all()
    assert np.median(rank) < 60
    # Nothing is its own neighbour.
    assert not (neighbours == np.arange(500)[:, None]).any()
