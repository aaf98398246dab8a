"""Every vector index keeps the same contract."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from el.index.contract import VectorIndex
from el.index.exact import ExactIndex
from el.index.flat import FlatIndex
from el.index.graph import NameGraph, build_graph
from el.index.graph_index import GraphIndex, open_index
from el.index.vectors import NAMES, NameVectors

COUNT, WIDTH = 60, 8
MAKERS: dict[str, Callable[[NameVectors], VectorIndex]] = {
    "graph": GraphIndex,
    "exact": ExactIndex,
    "flat": FlatIndex,
}


@pytest.fixture(scope="module", params=["in order", "after an update"])
def names(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NameVectors:
    """Vectors whose products differ; after an update they stand elsewhere, and some names are gone."""
    path = tmp_path_factory.mktemp("index") / NAMES
    matrix = np.random.default_rng(1).normal(size=(COUNT, WIDTH)).astype(np.float16)
    build_graph(matrix, path, lambda _: None)
    places = None
    if request.param == "after an update":
        places = np.random.default_rng(2).permutation(COUNT)[: COUNT - 15].astype(np.int64)
    graph = NameGraph.open(path, places)
    return NameVectors(graph.vectors, {}, graph, path.parent, places)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=25)
@given(data=st.data())
def test_search(names: NameVectors, kind: str, data: st.DataObject) -> None:
    index, total = MAKERS[kind](names), len(names)
    rows = data.draw(st.none() | st.sets(st.integers(0, total - 1), min_size=1).map(sorted), "rows")
    k = data.draw(st.integers(1, total + 5), "k")
    queries = np.random.default_rng(data.draw(st.integers(0, 9), "seed")).normal(size=(3, WIDTH))
    queries = queries.astype(np.float32)
    allowed = np.arange(total) if rows is None else np.array(rows, dtype=np.int64)
    similarities, found = index.search(queries, k, None if rows is None else allowed)
    products = queries @ names.gather(allowed).T
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    assert (similarities.dtype, found.dtype) == (np.float32, np.int64)
    assert np.array_equal(found, allowed[order])
    np.testing.assert_allclose(similarities, np.take_along_axis(products, order, axis=1), atol=1e-3)


def test_the_graph_is_taken_where_there_is_one(names: NameVectors) -> None:
    assert isinstance(open_index(names), GraphIndex)
    assert isinstance(open_index(NameVectors(names.gather(np.arange(5)).astype(np.float16), {})), ExactIndex)
