"""The dot product as a scorer: a query is one vector."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class DotProducts:
    """B query vectors. A call with passage vectors returns scaled dot products.

    Attributes:
        vectors: (B, D).
        scale: a factor on the dot products, 1 / temperature.
    """

    vectors: Tensor
    scale: float = 1.0

    def __call__(self, passages: Tensor) -> Tensor:
        """Returns (B, M) scores of passages: (M, D), the same for all queries, or (B, M, D), by query."""
        if passages.dim() == 2:
            return self.vectors @ passages.T * self.scale
        return torch.matmul(passages, self.vectors.unsqueeze(-1)).squeeze(-1) * self.scale

    def __len__(self) -> int:
        return int(self.vectors.shape[0])
