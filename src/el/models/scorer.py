"""The contract of a scorer: how a batch of encoded queries scores passages.

A scorer is all that tells the models apart. Two implement it, in a file each: the dot product
(`el.models.dot_product`) and the q-net (`el.models.qnet`).
"""

from typing import Protocol

from torch import Tensor


class Scorer(Protocol):
    """A batch of B encoded queries, called on passage vectors."""

    def __call__(self, passages: Tensor) -> Tensor:
        """Scores passages.

        Args:
            passages: (M, D), shared by all queries; or (B, M, D), different for each query.

        Returns:
            (B, M) scores; higher is better.
        """

    def __len__(self) -> int:
        """B, the number of queries."""
