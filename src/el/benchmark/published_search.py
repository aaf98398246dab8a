"""The published approximate search of Hypencoders, a baseline for the search of this project.

Source: Killingback et al., arXiv 2502.05364, "efficient search". The search scores random entry points. Then
each round scores the neighbours of the best names that were not expanded before. In the publication, the
graph connects each name to its 100 nearest names. Here it is the lowest level of the index's HNSW graph, with
32 neighbours per name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from el.index.graph import NameGraph

# Maps (n,) int64 name rows to (n,) float32 scores by the q-net of one mention.
Score = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class GraphSearch:
    """Settings of the search; defaults are the published ones.

    Attributes:
        entries: number of random names that the search starts from.
        expanded: number of best names whose neighbours are scored in a round.
        kept: number of best names that are kept; at least k are kept.
        rounds: the most rounds.
    """

    entries: int = 10_000
    expanded: int = 50
    kept: int = 50
    rounds: int = 16

    def find(
        self, score: Score, neighbours: npt.NDArray[np.int32], k: int, generator: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], int]:
        """Finds names with high scores.

        Args:
            score: the q-net.
            neighbours: (N, n) int32, the neighbours of each name; -1 if a name has fewer.
            k: the number of names to return.
            generator: draws the entry points.

        Returns:
            (k,) int64 rows, best first, and the number of names that were scored.
        """
        count = len(neighbours)
        kept = max(self.kept, k)
        rows = generator.choice(count, size=min(self.entries, count), replace=False)
        seen = np.zeros(count, dtype=bool)
        seen[rows] = True
        best, scores = _best(rows, score(rows), kept)
        scored = len(rows)
        expanded: set[int] = set()
        for _ in range(self.rounds):
            frontier = [row for row in best[: self.expanded].tolist() if row not in expanded]
            expanded.update(frontier)
            new = np.unique(neighbours[frontier].astype(np.int64)) if frontier else np.empty(0, np.int64)
            new = new[(new >= 0) & ~seen[new]]
            if not len(new):
                break
            seen[new] = True
            scored += len(new)
            before = scores[-1] if len(scores) == kept else -np.inf
            found = score(new)
            best, scores = _best(np.concatenate([best, new]), np.concatenate([scores, found]), kept)
            if found.max() <= before:
                break
        return best[:k], scored


def lowest_level(graph: NameGraph) -> npt.NDArray[np.int32]:
    """Returns the (N, n) int32 neighbours of each name in the graph's lowest level; -1 if there are fewer."""
    hnsw: Any = graph.index.hnsw
    width = hnsw.nb_neighbors(0)
    offsets = faiss.vector_to_array(hnsw.offsets)[:-1].astype(np.int64)
    every = faiss.vector_to_array(hnsw.neighbors)
    neighbours: npt.NDArray[np.int32] = every[offsets[:, None] + np.arange(width)]
    return neighbours


def _best(
    rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    order = np.argsort(-scores, kind="stable")[:count]
    return rows[order], scores[order]
