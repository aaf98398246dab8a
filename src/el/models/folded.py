"""A trained hyper-head and its q-nets, rewritten for scoring few passages of a query fast.

The same scores as `QNets` give, with less arithmetic (`HyperHead` has the symbols; weights are (out, in)):

- attention: E K(H)^T = (E W_k) H^T + E b_k, and E W_k is multiplied once, when the head is folded; then one
  product with H gives the attention of all parts, and the values of all matrices;
- biases and the output's weights are vectors, each with the one row A of attention: A V(H) = V(A H), for the
  rows of A sum to 1, so that one vector is projected and not one a token;
- contexts: values have a shift b in common, the mean of V's bias, which a layer norm takes away. So
  C = LayerNorm(max(A V, 0)) = LayerNorm(max(A (V - b), -b)), for the rows of A sum to 1; and V - b, which may
  be much smaller than V, keeps more of its digits in bf16;
- a layer: x W = x (C P^T + 1 b_p^T + B)^T = (x P) C^T + x (B + 1 b_p^T)^T, so that for M passages 3 M D^2
  products take the place of D^3 + M D^2: less where M is below D / 2, a little more above. W is never formed.

`FoldedGenerator` does what depends on the query alone, `FoldedQNets` what needs the passages, so that the
first can run while passages are still looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.models.hyper_head import HyperHead

# Of a padded token's logit; its exponential is 0 in every precision.
_MASKED = -1e4


@dataclass(frozen=True, eq=False)
class Part:
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

    @property
    def shift(self) -> float:
        """b, what values have in common."""
        return float(self.value.bias.mean())


class GeneratedVector(nn.Module):
    """Generates a bias or the output's weights: projected before it is applied, as matrices never are."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.value, self.projection = value_and_projection(part)
        self.shift = part.shift

    def forward(self, gathered: Tensor) -> Tensor:
        """Returns (B, 1, out) of what attention gathers of token vectors, A H, (B, 1, D)."""
        vector: Tensor = self.projection(as_context(self.value(gathered), self.shift))
        return vector


class FoldedGenerator(nn.Module):
    """Generates what `FoldedQNets` scores with; in evaluation mode.

    Args:
        head: a trained head; copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        matrices, vectors = parts_of(head)
        parts = [*matrices, *vectors]
        self.outs = [len(part.embeddings) for part in parts]
        self.ins = [part.value.out_features for part in matrices]
        self.attention_and_values = attention_and_values(matrices, vectors)
        self.shifts = [part.shift for part in matrices]
        self.vectors = nn.ModuleList(GeneratedVector(part) for part in vectors)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Returns what `FoldedQNets` takes beside passages.

        Args:
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded.

        Returns:
            The generated hidden layers' contexts C, (B, out, in) each, their biases, (B, 1, out) each, and
            the output's weights, (B, 1, in).
        """
        product = self.attention_and_values(hidden)
        logits, values = product.split([sum(self.outs), sum(self.ins)], dim=-1)
        attention = torch.split(over_tokens(logits, attention_mask).transpose(1, 2), self.outs, dim=1)
        matrices = len(self.ins)
        of_matrices = zip(attention[:matrices], values.split(self.ins, dim=-1), self.shifts, strict=True)
        contexts = [as_context(torch.matmul(own, value), shift) for own, value, shift in of_matrices]
        of_vectors = zip(attention[matrices:], self.vectors, strict=True)
        vectors = [vector(torch.matmul(own, hidden)) for own, vector in of_vectors]
        return (*contexts, *vectors)


class FoldedQNets(nn.Module):
    """Scores passages of queries by what `FoldedGenerator` generated for them.

    Args:
        head: the same; copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        self.config = head.config
        self.layers = nn.ModuleList(_layer(head, layer) for layer in range(self.config.depth))

    def forward(self, passages: Tensor, *generated: Tensor) -> Tensor:
        """Returns (B, M) scores of (B, M, v0) passages in any precision, each query's own."""
        *hidden, output = generated
        depth = len(hidden) // 2
        x = passages.float() * self.config.input_scale
        for layer, folded in enumerate(self.layers):
            context, bias = hidden[layer], hidden[depth + layer]
            projected, z = folded(x).split(list(self.config.weight_shapes[layer]), dim=-1)
            z = z + torch.matmul(projected, context.transpose(1, 2)) + bias
            x = self.config.finish_layer(layer, z, x)
        # A product, written as a sum: what follows the last product of matrices is computed in float32, also
        # where these are in bf16, whose 8 bits would make scores equal that are not.
        return (x * output).sum(dim=-1)


def _layer(head: HyperHead, layer: int) -> nn.Linear:
    """From x to x P and x B, (in + out), side by side."""
    base = head.hyper_base_matrices[layer][0]
    projection = cast("nn.Linear", head.weight_hyper_projection[layer])
    return linear(torch.cat([projection.weight.T, base + projection.bias]))


def parts_of(head: HyperHead) -> tuple[list[Part], list[Part]]:
    """What is generated: matrices of the hidden layers; vectors, their biases and the output's weights."""
    depth = head.config.depth
    matrices = [_part(head, layer) for layer in range(depth)]
    return matrices, [*(_part(head, depth + 1 + layer) for layer in range(depth)), _part(head, depth)]


def _part(head: HyperHead, number: int) -> Part:
    """The weights, up to the depth, or the bias behind them, with a number among the projections."""
    is_bias = number > head.config.depth
    layer = number - head.config.depth - 1 if is_bias else number
    embeddings = head.bias_query_embeddings if is_bias else head.weight_query_embeddings
    projections = head.bias_hyper_projection if is_bias else head.weight_hyper_projection
    bases = head.hyper_base_vectors if is_bias else head.hyper_base_matrices
    return Part(
        embeddings[layer][0],
        cast("nn.Linear", head.key_projections[number]),
        cast("nn.Linear", head.value_projections[number]),
        cast("nn.Linear", projections[layer]),
        bases[layer] if is_bias else bases[layer][0],
    )


def attention_and_values(matrices: Sequence[Part], vectors: Sequence[Part]) -> nn.Linear:
    """From token vectors to attention's logits of all units, then matrices' values less their shift."""
    scaled = [(len(part.embeddings) ** -0.5 * part.embeddings, part.key) for part in [*matrices, *vectors]]
    shifted = [part.value.bias - part.shift for part in matrices]
    return linear(
        torch.cat([own @ key.weight for own, key in scaled] + [part.value.weight for part in matrices]),
        torch.cat([own @ key.bias for own, key in scaled] + shifted),
    )


def over_tokens(logits: Tensor, attention_mask: Tensor) -> Tensor:
    """Attention, (B, S, units), of such logits; the mask is (B, S), 0 where padded."""
    masked = ((1 - attention_mask) * _MASKED).unsqueeze(-1).to(logits.dtype)
    return (logits + masked).softmax(dim=1)


def value_and_projection(part: Part) -> tuple[nn.Linear, nn.Linear]:
    """What makes a vector: first the values, less their shift, of gathered tokens; then, of a context, it."""
    projection = linear(part.projection.weight, part.base[0] + part.projection.bias)
    return linear(part.value.weight, part.value.bias - part.shift), projection


def as_context(attended: Tensor, shift: float | Tensor) -> Tensor:
    """C, (B, out, in), of what attention made of the values less their shift."""
    return functional.layer_norm(attended.clamp_min(-shift), attended.shape[-1:])


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer with copies of such weights, (out, in)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer
