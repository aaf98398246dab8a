"""A straightened hyper-head (`HyperHead.is_straight`), rewritten to score with few operations.

`HyperHead` explains the symbols; weights are (out, in). Training that starts as a dot product leaves each
layer near d I. `el.models.straightening` gives the rest of the layer low rank. For passages x:

    z = x (B + 1 b_p^T)^T + (x P) C^T + bias = d x + (x Y) Z + (x T^T) U + bias

- B + 1 b_p^T - d I has r = `BASE_RANK` directions, Y (D, r) and Z (r, D).
- C = LayerNorm(ReLU(A V)) is linear in A, except for the length that the layer norm divides by: no value is
  below zero, and the rows of A sum to 1. G, (S, in), are the centred rows of V. Then C = U^T G with
  U = A^T / sqrt(diag(A G G^T A^T) / in + eps), (S, out).
- T = G P^T, (S, D), is linear in the token vectors.

So the part of a layer that depends on a mention has the rank S, the mention's number of tokens. A passage
takes 4 D (r + S) operations a layer, instead of the 6 D^2 of `FoldedQNets`. Neither C nor W is formed.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from el.models.folded import (
    GeneratedVector,
    Part,
    as_context,
    attention_and_values,
    linear,
    over_tokens,
    parts_of,
    value_and_projection,
)
from el.models.hyper_head import BASE_RANK, HyperHead, split_base

# PyTorch's layer norm adds this to the variance.
_NORM_EPS = 1e-5


class OutputWeights(nn.Module):
    """Generates the q-nets' output weights. For inference only.

    Args:
        head: a trained head. It is copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        part = parts_of(head)[1][-1]
        self.attention = attention_and_values([], [part])
        self.vector = GeneratedVector(part)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, 1, D) output weights for (B, S, D) token vectors; the mask is (B, S), 0 if padded."""
        attention = over_tokens(self.attention(hidden), attention_mask).transpose(1, 2)
        output: Tensor = self.vector(torch.matmul(attention, hidden))
        return output


class LowRankGenerator(nn.Module):
    """Generates the parts of q-nets that `LowRankQNets` scores with, for all N hidden layers at once.

    For inference only.

    Args:
        head: a straightened head. It is copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        matrices, vectors = parts_of(head)
        biases = vectors[:-1]
        self.depth, self.width = len(matrices), len(matrices[0].embeddings)
        matrices = [_centred(part) for part in matrices]
        self.attention_and_values = attention_and_values(matrices, biases)
        self.projected_values = _projected_values(matrices)
        bases = [base_directions(part)[1:] for part in matrices]
        self.down, self.up = (
            nn.Parameter(torch.stack(by_layer).unsqueeze(1)) for by_layer in zip(*bases, strict=True)
        )
        self.shifts = nn.Parameter(torch.tensor([part.shift for part in biases]).reshape(-1, 1, 1))
        pairs = [value_and_projection(part) for part in biases]
        self.bias_values, self.bias_projections = map(_LinearByLayer, zip(*pairs, strict=True))

    def forward(self, output: Tensor, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Returns what `LowRankQNets` takes besides passages.

        Args:
            output: (B, 1, D) output weights.
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded.

        Returns:
            The output weights as given; T followed by Y^T, and U followed by Z, (N, B, S + r, D) each; the
            biases, (N, B, 1, D).
        """
        units = self.depth * self.width
        logits, values = self.attention_and_values(hidden).split([units + self.depth, units], dim=-1)
        attention, of_biases = torch.split(over_tokens(logits, attention_mask), [units, self.depth], dim=-1)
        projected = self.projected_values(hidden)
        attention, centred, projected = map(self._by_layer, (attention, values, projected))
        gram = torch.matmul(centred, centred.transpose(2, 3)) / self.width
        variance = (torch.matmul(gram, attention) * attention).sum(dim=2, keepdim=True)
        scaled = attention * torch.rsqrt(variance + _NORM_EPS)
        base = (self.depth, hidden.shape[0], -1, -1)
        down = torch.cat([projected, self.down.expand(base)], dim=2)
        up = torch.cat([scaled, self.up.expand(base)], dim=2)
        return output, down, up, self._biases(of_biases, hidden)

    def _by_layer(self, of_tokens: Tensor) -> Tensor:
        """Returns (B, S, N D) numbers as (N, B, S, D)."""
        return of_tokens.reshape(*of_tokens.shape[:2], self.depth, self.width).permute(2, 0, 1, 3)

    def _biases(self, attention: Tensor, hidden: Tensor) -> Tensor:
        """Returns the biases, (N, B, 1, D), for (B, S, N) attention."""
        attended = torch.matmul(attention.transpose(1, 2), hidden).transpose(0, 1)
        biases: Tensor = self.bias_projections(as_context(self.bias_values(attended), self.shifts))
        return biases.unsqueeze(2)


class _LinearByLayer(nn.Module):
    """N linear layers for N inputs, one layer for each."""

    @torch.no_grad()
    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.T for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias for layer in layers]).unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, B, out) for (N, B, in)."""
        return torch.matmul(x, self.weight) + self.bias


class LowRankQNets(nn.Module):
    """Scores passages with what `LowRankGenerator` generated for their queries.

    Args:
        head: the head of that generator.
    """

    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        self.config = head.config
        bases = [part.base + part.projection.bias for part in parts_of(head)[0]]
        self.scales = [float(split_base(base)[0]) for base in bases]

    def forward(self, passages: Tensor, output: Tensor, down: Tensor, up: Tensor, biases: Tensor) -> Tensor:
        """Returns (B, M) scores of (B, M, D) passages, M different ones a query, in any float dtype."""
        x = passages.float() * self.config.input_scale
        for layer, scale in enumerate(self.scales):
            changed = torch.matmul(torch.matmul(x, down[layer].transpose(1, 2)), up[layer])
            x = self.config.finish_layer(layer, scale * x + changed + biases[layer], x)
        # A sum, so that it is computed in float32: see `FoldedQNets`.
        return (x * output).sum(dim=-1)


def _centred(part: Part) -> Part:
    """Returns a copy whose values have the mean 0 over the coordinates."""
    value = part.value
    centred = linear(value.weight - value.weight.mean(dim=0), value.bias - value.bias.mean())
    return replace(part, value=centred)


def _projected_values(parts: Sequence[Part]) -> nn.Linear:
    """Returns the linear layer from token vectors to T of all layers: (D -> N D)."""
    return linear(
        torch.cat([part.projection.weight @ part.value.weight for part in parts]),
        torch.cat([part.projection.weight @ part.value.bias for part in parts]),
    )


def base_directions(part: Part) -> tuple[float, Tensor, Tensor]:
    """Returns d of a hidden layer, and Y^T and Z, (r, D) each."""
    scale, rest = split_base(part.base + part.projection.bias)
    left, sizes, right = torch.linalg.svd(rest)
    return float(scale), right[:BASE_RANK], (left * sizes).T[:BASE_RANK]
