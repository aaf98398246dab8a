"""A trained hyper-head and its q-nets, rewritten for scoring few passages of a query fast.

The same scores as `QNets` give, with less arithmetic (`HyperHead` has the symbols; weights are (out, in)):

- attention: E K(H)^T = (E W_k) H^T + E b_k, and E W_k is multiplied once, when the head is folded; then one
  product with H gives the attention and the values of all layers;
- a layer: x W = x (C P^T + 1 b_p^T + B)^T = (x P) C^T + x (B + 1 b_p^T)^T, so that for M passages 3 M D^2
  products take the place of D^3 + M D^2: less where M is below D / 2, a little more above. W is never formed.

The cost that stays, for few passages, is that of reading the head's weights.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.models.hyper_head import HyperHead

# Of a padded token's logit; its exponential is 0 in every precision.
_MASKED = -1e4


@dataclass(frozen=True, eq=False)
class _Part:
    """One weight matrix or bias that is generated.

    Attributes:
        embeddings: (out, in), the learned queries.
        key: from token vectors, (D -> in).
        value: from token vectors, (D -> in).
        projection: (in -> in).
        base: (out, in).
    """

    embeddings: Tensor
    key: nn.Linear
    value: nn.Linear
    projection: nn.Linear
    base: Tensor


class FoldedHead(nn.Module):
    """Scores passages of queries by the q-nets that a head generates for them; in evaluation mode.

    Args:
        head: a trained head; copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        self.config = head.config
        parts = list(_parts(head))
        self.outs = [len(part.embeddings) for part in parts]
        self.ins = [part.value.out_features for part in parts]
        roots = [math.sqrt(out) for out in self.outs]
        attention = [p.embeddings @ p.key.weight / root for p, root in zip(parts, roots, strict=True)]
        shifts = [p.embeddings @ p.key.bias / root for p, root in zip(parts, roots, strict=True)]
        self.attention_and_values = _linear(
            torch.cat([*attention, *(part.value.weight for part in parts)]),
            torch.cat([*shifts, *(part.value.bias for part in parts)]),
        )
        # Biases and the output's weights, vectors, are projected before they are applied.
        self.matrices = self.config.depth if self.config.generate_hidden else 0
        self.projections = nn.ModuleList(
            _linear(part.projection.weight, part.base[0] + part.projection.bias)
            for part in parts[self.matrices :]
        )
        self.layers = nn.ModuleList(_layer(head, layer) for layer in range(self.config.depth))

    def forward(self, hidden: Tensor, attention_mask: Tensor, passages: Tensor) -> Tensor:
        """Returns (B, M) scores.

        Args:
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded.
            passages: (B, M, v0), each query's own.
        """
        contexts, biases, output = self._generate(hidden, attention_mask)
        x = passages * self.config.input_scale
        for layer, linear in enumerate(self.layers):
            z = linear(x)
            if self.config.generate_hidden:
                projected, z = z.split(list(self.config.weight_shapes[layer]), dim=-1)
                z = z + torch.matmul(projected, contexts[layer].transpose(1, 2)) + biases[layer]
            x = self.config.finish_layer(layer, z, x)
        return torch.matmul(x, output.transpose(1, 2)).squeeze(-1)

    def _generate(self, hidden: Tensor, attention_mask: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Returns, of the generated hidden layers, the weights' contexts C, (B, out, in), and the biases,
        (B, 1, out); and the output's weights, (B, 1, in)."""
        masked = ((1 - attention_mask) * _MASKED).unsqueeze(-1).to(hidden.dtype)
        product = self.attention_and_values(hidden)
        logits, values = product.split([sum(self.outs), sum(self.ins)], dim=-1)
        attention = (logits + masked).softmax(dim=1)
        contexts = [
            _context(*pair)
            for pair in zip(attention.split(self.outs, dim=-1), values.split(self.ins, dim=-1), strict=True)
        ]
        of_vectors = zip(self.projections, contexts[self.matrices :], strict=True)
        *biases, output = (projection(context) for projection, context in of_vectors)
        return contexts[: self.matrices], biases, output


def _layer(head: HyperHead, layer: int) -> nn.Linear:
    """From x to x P and x B, (in + out), side by side; to x B alone where hidden layers are not generated."""
    base = head.hyper_base_matrices[layer][0]
    if not head.config.generate_hidden:
        return _linear(base, head.hyper_base_vectors[layer][0])
    projection = cast("nn.Linear", head.weight_hyper_projection[layer])
    return _linear(torch.cat([projection.weight.T, base + projection.bias]))


def _parts(head: HyperHead) -> Iterator[_Part]:
    """What is generated: the hidden layers' weights, their biases, the output's weights."""
    depth = head.config.depth
    hidden = range(depth) if head.config.generate_hidden else range(0)
    for layer in (*hidden, *(depth + 1 + layer for layer in hidden), depth):
        is_bias = layer > depth
        number = layer - depth - 1 if is_bias else layer
        embeddings = head.bias_query_embeddings if is_bias else head.weight_query_embeddings
        projections = head.bias_hyper_projection if is_bias else head.weight_hyper_projection
        bases = head.hyper_base_vectors if is_bias else head.hyper_base_matrices
        yield _Part(
            embeddings[number][0],
            cast("nn.Linear", head.key_projections[layer]),
            cast("nn.Linear", head.value_projections[layer]),
            cast("nn.Linear", projections[number]),
            bases[number] if is_bias else bases[number][0],
        )


def _context(attention: Tensor, values: Tensor) -> Tensor:
    """C, (B, out, in), of attention (B, S, out) and values (B, S, in)."""
    context = functional.relu(torch.matmul(attention.transpose(1, 2), values))
    return functional.layer_norm(context, context.shape[-1:])


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.copy_(weight)
    if bias is not None:
        linear.bias.copy_(bias)
    return linear
