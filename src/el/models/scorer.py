"""The contract of a scorer: how a batch of encoded queries scores passages.

When they score, the kinds of models differ in their scorer alone. There are two scorers, in a module each:
the dot product (`el.models.dot_product`) and the q-net (`el.models.qnet`).
"""

from typing import Protocol

from torch import Tensor


class Scorer(Protocol):
    """A batch of B encoded queries. A call with passage vectors returns scores."""

    def __call__(self, passages: Tensor) -> Tensor:
        """Scores passages.

        Args:
            passages: (M, D), the same for all queries; or (B, M, D), different passages for each query.

        Returns:
            (B, M) scores; higher is better.
        """

    def __len__(self) -> int:
        """B, the number of queries."""
