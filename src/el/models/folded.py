"""A trained hyper-head and its q-nets, rewritten to score a few passages of a query fast.

It gives the scores of `QNets` with less arithmetic. `HyperHead` explains the symbols; weights are (out, in).

- Attention: E K(H)^T = (E W_k) H^T + E b_k. E W_k is multiplied once, when the head is folded. One product
  with H then gives the attention of all parts and the values of all matrices.
- Biases and output weights are vectors. Each has a single row A of attention. The rows of A sum to 1, so
  A V(H) = V(A H): one vector is projected instead of one for each token.
- Contexts: all values contain the mean b of V's bias, and a layer norm removes what all have in common. The
  rows of A sum to 1, so C = LayerNorm(max(A V, 0)) = LayerNorm(max(A (V - b), -b)). V - b may be much smaller
  than V, and then keeps more digits in bf16.
- A layer: x W = x (C P^T + 1 b_p^T + B)^T = (x P) C^T + x (B + 1 b_p^T)^T. For M passages this takes 3 M D^2
  products instead of D^3 + M D^2: fewer if M is below D / 2, a little more above. W is never formed.

`FoldedGenerator` computes what depends on the query alone, and `FoldedQNets` what needs the passages. So the
generator can run while passages are still being searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.models.hyper_head import HyperHead

# Added to the logit of a padded token: its exponential is then 0 in every precision. It must be finite,
# because it is multiplied by 0 for the other tokens.
_MASKED = -1e4


@dataclass(frozen=True, eq=False)
class Part:
    """What generates one weight matrix or bias.

    Attributes:
        embeddings: (out, in), the learned queries E.
        key: (D -> in), applied to token vectors.
        value: (D -> in), applied to token vectors.
        projection: (in -> in), applied to contexts.
        base: (out, in).
    """

    embeddings: Tensor
    key: nn.Linear
    value: nn.Linear
    projection: nn.Linear
    base: Tensor

    @property
    def shift(self) -> float:
        """b, the mean of the values' bias."""
        return float(self.value.bias.mean())


class GeneratedVector(nn.Module):
    """Generates a bias or the output weights.

    Unlike a matrix, a vector is projected before it is applied to passages.
    """

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.value, self.projection = value_and_projection(part)
        self.shift = part.shift

    def forward(self, gathered: Tensor) -> Tensor:
        """Returns the (B, 1, in) vector for A H, the (B, 1, D) token vectors weighted by attention."""
        vector: Tensor = self.projection(as_context(self.value(gathered), self.shift))
        return vector


class FoldedGenerator(nn.Module):
    """Generates the parts of q-nets that `FoldedQNets` scores with. For inference only.

    Args:
        head: a trained head. It is copied, not changed.
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
        """Returns what `FoldedQNets` takes besides passages.

        Args:
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded.

        Returns:
            The contexts C of the hidden layers, (B, out, in) each; their biases, (B, 1, out) each; and the
            output weights, (B, 1, in).
        """
        product = self.attention_and_values(hidden)
        logits, values = product.split([sum(self.outs), sum(self.ins)], dim=-1)
        attention = torch.split(over_tokens(logits, attention_mask).transpose(1, 2), self.outs, dim=1)
        matrices = len(self.ins)
        of_matrices = zip(attention[:matrices], values.split(self.ins, dim=-1), self.shifts, strict=True)
        contexts = [as_context(torch.matmul(rows, value), shift) for rows, value, shift in of_matrices]
        of_vectors = zip(attention[matrices:], self.vectors, strict=True)
        vectors = [vector(torch.matmul(row, hidden)) for row, vector in of_vectors]
        return (*contexts, *vectors)


class FoldedQNets(nn.Module):
    """Scores passages with what `FoldedGenerator` generated for their queries.

    Args:
        head: the head of that generator. It is copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        self.config = head.config
        self.layers = nn.ModuleList(_layer(head, layer) for layer in range(self.config.depth))

    def forward(self, passages: Tensor, *generated: Tensor) -> Tensor:
        """Returns (B, M) scores of (B, M, v0) passages, M different ones a query, in any float dtype."""
        *hidden, output = generated
        depth = len(hidden) // 2
        x = passages.float() * self.config.input_scale
        for layer, folded in enumerate(self.layers):
            context, bias = hidden[layer], hidden[depth + layer]
            projected, z = folded(x).split(list(self.config.weight_shapes[layer]), dim=-1)
            z = z + torch.matmul(projected, context.transpose(1, 2)) + bias
            x = self.config.finish_layer(layer, z, x)
        # This product is written as a sum so that it is computed in float32. A matrix product may be in bf16,
        # where 8 bits would make different scores equal.
        return (x * output).sum(dim=-1)


def _layer(head: HyperHead, layer: int) -> nn.Linear:
    """Returns the linear layer from x to x P and x (B + 1 b_p^T)^T, side by side: (in -> in + out)."""
    base = head.hyper_base_matrices[layer][0]
    projection = cast("nn.Linear", head.weight_hyper_projection[layer])
    return linear(torch.cat([projection.weight.T, base + projection.bias]))


def parts_of(head: HyperHead) -> tuple[list[Part], list[Part]]:
    """Returns the parts of a head: matrices and vectors.

    The matrices are the weights of the hidden layers. The vectors are their biases, then the output weights.
    """
    depth = head.config.depth
    matrices = [_part(head, layer) for layer in range(depth)]
    return matrices, [*(_part(head, depth + 1 + layer) for layer in range(depth)), _part(head, depth)]


def _part(head: HyperHead, number: int) -> Part:
    """Returns the part with a number among the key and value projections.

    The numbers up to the depth are weights, and the numbers above it are biases.
    """
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
    """Returns one linear layer from token vectors to attention logits and values.

    Its outputs are the logits of all units of all parts, then the values of the matrices less their shift.
    """
    queries = [(len(part.embeddings) ** -0.5 * part.embeddings, part.key) for part in [*matrices, *vectors]]
    shifted = [part.value.bias - part.shift for part in matrices]
    return linear(
        torch.cat([query @ key.weight for query, key in queries] + [part.value.weight for part in matrices]),
        torch.cat([query @ key.bias for query, key in queries] + shifted),
    )


def over_tokens(logits: Tensor, attention_mask: Tensor) -> Tensor:
    """Returns (B, S, units) attention for logits of that shape. The mask is (B, S), 0 where padded."""
    masked = ((1 - attention_mask) * _MASKED).unsqueeze(-1).to(logits.dtype)
    return (logits + masked).softmax(dim=1)


def value_and_projection(part: Part) -> tuple[nn.Linear, nn.Linear]:
    """Returns the two linear layers that make a vector.

    The first maps gathered token vectors to values less their shift. The second maps a context to the vector.
    """
    projection = linear(part.projection.weight, part.base[0] + part.projection.bias)
    return linear(part.value.weight, part.value.bias - part.shift), projection


def as_context(attended: Tensor, shift: float | Tensor) -> Tensor:
    """Returns the contexts C, (B, out, in), for A (V - b): attended values less their shift b."""
    return functional.layer_norm(attended.clamp_min(-shift), attended.shape[-1:])


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Returns a linear layer with copies of a weight, (out, in), and a bias, (out,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer
