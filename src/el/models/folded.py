"""A trained hyper-head and its q-nets, rewritten for scoring few passages of a query fast.

The same scores as `QNets` give, with less arithmetic (`HyperHead` has the symbols; weights are (out, in)):

- attention: E K(H)^T = (E W_k) H^T + E b_k, and E W_k is multiplied once, when the head is folded;
- a layer: x W = x (C P^T + 1 b_p^T + B)^T = (x P) C^T + x (B + 1 b_p^T)^T, so that for M passages 3 M D^2
  products take the place of D^3 + M D^2. With M below D / 2, W is never formed.
"""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.models.hyper_head import HyperHead

# Of a padded token's logit; its exponential is 0 in every precision.
_MASKED = -1e4


class _Generated(nn.Module):
    """One weight matrix or bias of the q-nets, as its factors.

    Args:
        base: (out, in).
        embeddings: (out, in), the learned queries; None, with all that follows, where nothing is generated.
        key: from token vectors, (D -> in).
        value: from token vectors, (D -> in).
        projection: (in -> in).
    """

    base: Tensor
    attention: Tensor
    attention_bias: Tensor
    value: Tensor
    value_bias: Tensor
    projection: Tensor

    def __init__(
        self,
        base: Tensor,
        embeddings: Tensor | None,
        key: nn.Linear,
        value: nn.Linear,
        projection: nn.Linear,
    ) -> None:
        super().__init__()
        self.is_generated = embeddings is not None
        if embeddings is None:
            self.register_buffer("base", base.clone())
            return
        root = math.sqrt(embeddings.shape[0])
        self.register_buffer("attention", embeddings @ key.weight / root)
        self.register_buffer("attention_bias", (embeddings @ key.bias / root).unsqueeze(-1))
        self.register_buffer("value", value.weight.clone())
        self.register_buffer("value_bias", value.bias.clone())
        self.register_buffer("projection", projection.weight.clone())
        self.register_buffer("base", base + projection.bias)

    def context(self, hidden: Tensor, masked: Tensor) -> Tensor:
        """C: (B, out, in)."""
        logits = functional.linear(hidden, self.attention).transpose(1, 2) + self.attention_bias + masked
        values = functional.linear(hidden, self.value, self.value_bias)
        context = functional.relu(torch.matmul(logits.softmax(dim=-1), values))
        return functional.layer_norm(context, context.shape[-1:])

    def itself(self, hidden: Tensor, masked: Tensor) -> Tensor:
        """The matrix: (B, out, in), or (out, in) where it is the same for all queries."""
        if not self.is_generated:
            return self.base
        return functional.linear(self.context(hidden, masked), self.projection) + self.base

    def times(self, x: Tensor, hidden: Tensor, masked: Tensor) -> Tensor:
        """x W: (B, M, in) to (B, M, out)."""
        product = functional.linear(x, self.base)
        if not self.is_generated:
            return product
        context = self.context(hidden, masked)
        return product + torch.matmul(functional.linear(x, self.projection.T), context.transpose(1, 2))


class FoldedHead(nn.Module):
    """Scores passages of queries by the q-nets that a head generates for them; in evaluation mode.

    Args:
        head: a trained head; copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        self.config = config = head.config
        depth = config.depth
        projections = list(zip(head.key_projections, head.value_projections, strict=True))
        weights = zip(
            head.hyper_base_matrices, head.weight_query_embeddings, head.weight_hyper_projection, strict=True
        )
        biases = zip(
            head.hyper_base_vectors, head.bias_query_embeddings, head.bias_hyper_projection, strict=True
        )
        self.weights = nn.ModuleList(
            _Generated(
                base[0],
                embeddings[0] if config.generate_hidden or layer == depth else None,
                *(cast("nn.Linear", linear) for linear in (*projections[layer], projection)),
            )
            for layer, (base, embeddings, projection) in enumerate(weights)
        )
        self.biases = nn.ModuleList(
            _Generated(
                base,
                embeddings[0] if config.generate_hidden else None,
                *(cast("nn.Linear", linear) for linear in (*projections[depth + 1 + layer], projection)),
            )
            for layer, (base, embeddings, projection) in enumerate(biases)
        )

    def forward(self, hidden: Tensor, attention_mask: Tensor, passages: Tensor) -> Tensor:
        """Returns (B, M) scores.

        Args:
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded.
            passages: (B, M, v0), each query's own.
        """
        masked = ((1 - attention_mask) * _MASKED).unsqueeze(1).to(hidden.dtype)
        *weights, output = cast("Iterable[_Generated]", self.weights)
        biases = cast("Iterable[_Generated]", self.biases)
        x = passages * self.config.input_scale
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            z = weight.times(x, hidden, masked) + bias.itself(hidden, masked)
            x = self.config.finish_layer(layer, z, x)
        return output.times(x, hidden, masked).squeeze(-1)
