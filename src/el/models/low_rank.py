"""A hyper-head whose hidden layers stay near the identity, rewritten for scoring in few operations.

`HyperHead` has the symbols; weights are (out, in). Training that starts as a dot product leaves a layer near
d I (`HyperHead.is_near_identity`). Then, for passages x,

    z = x (B + 1 b_p^T)^T + (x P) C^T + bias   is nearly   d x + (x Y) Z + (x T^T) U + bias:

- B + 1 b_p^T - d I is small; its r largest singular directions, Y (D, r) and Z (r, D), stand for it.
- C = LayerNorm(ReLU(A V)) is nearly linear in A. Coordinate j of unit i is ReLU(a) with a = A_i V_j. Over the
  units, a has a mean m_j and a deviation s_j. Were it normally distributed, the linear function of a that is
  nearest to ReLU(a) would be Phi(m_j / s_j) a + s_j phi(m_j / s_j), with the normal distribution Phi and its
  density phi (by Stein's lemma the slope is the mean of the derivative). As A_i sums to 1, that is A_i G with
  G_j = Phi V_j + s_j phi, (S, in). The layer norm centres the rows of G and divides by the length of A_i G:
  C = U^T G with U = A^T / sqrt(diag(A G G^T A^T) / in + eps), (S, out).
- T = G P^T, (S, D), is made once a mention.

What a mention changes in a layer has the rank of its number of tokens S, and a passage takes 4 D (r + S)
operations in place of the 6 D^2 of `FoldedQNets`. Neither C nor W is formed.
"""

import math

import torch
from torch import Tensor, nn

from el.models.folded import (
    Part,
    as_context,
    attention_and_values,
    over_tokens,
    parts_of,
    value_and_projection,
)
from el.models.hyper_head import HyperHead

# r. On the shipped model 64 gain .002 of the ten best concepts.
_BASE_RANK = 32
# Of PyTorch's layer norm.
_NORM_EPS = 1e-5
# Where a coordinate is the same for all units; a number that half precision has.
_LEAST_VARIANCE = 1e-6


class OutputWeights(nn.Module):
    """Generates the q-nets' output weights; in evaluation mode.

    Args:
        head: a trained head; copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        part = parts_of(head)[1][-1]
        self.attention = attention_and_values([], [part])
        self.value, self.projection = value_and_projection(part)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, 1, D) output weights of (B, S, D) token vectors; the mask is (B, S), 0 where padded."""
        attention = over_tokens(self.attention(hidden), attention_mask).transpose(1, 2)
        output: Tensor = self.projection(as_context(self.value(torch.matmul(attention, hidden))))
        return output


class LowRankGenerator(nn.Module):
    """Generates what `LowRankQNets` scores with, all N hidden layers at once; in evaluation mode.

    Args:
        head: a trained head that is near the identity; copied, not changed.
    """

    @torch.no_grad()
    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        matrices, vectors = parts_of(head)
        biases = vectors[:-1]
        self.depth, self.width = len(matrices), len(matrices[0].embeddings)
        self.attention_and_values = attention_and_values(matrices, biases)
        self.projections = nn.Parameter(torch.stack([part.projection.weight.T for part in matrices]))
        rests = [_rest(part) for part in matrices]
        self.down, self.up = (nn.Parameter(torch.stack(own).unsqueeze(1)) for own in zip(*rests, strict=True))
        self.bias_values = nn.Parameter(torch.stack([part.value.weight.T for part in biases]))
        self.bias_value_shifts = nn.Parameter(torch.stack([part.value.bias for part in biases]).unsqueeze(1))
        self.bias_projections = nn.Parameter(torch.stack([part.projection.weight.T for part in biases]))
        bases = [part.base[0] + part.projection.bias for part in biases]
        self.bias_bases = nn.Parameter(torch.stack(bases).unsqueeze(1))

    def forward(self, output: Tensor, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Returns what `LowRankQNets` takes beside passages.

        Args:
            output: (B, 1, D) output weights.
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded.

        Returns:
            The output weights; T with Y^T and U with Z, (N, B, S + r, D) each; biases, (N, B, 1, D).
        """
        shape = (*hidden.shape[:2], self.depth, self.width)
        units = self.depth * self.width
        logits, values = self.attention_and_values(hidden).split([units + self.depth, units], dim=-1)
        attention, of_biases = torch.split(over_tokens(logits, attention_mask), [units, self.depth], dim=-1)
        # (N, B, S, D): for each layer and mention tokens by units, and tokens by coordinates.
        attention = attention.reshape(shape).permute(2, 0, 1, 3)
        linearised = self._linearised(attention, values.reshape(shape).permute(2, 0, 1, 3))
        gram = torch.matmul(linearised, linearised.transpose(2, 3)) / self.width
        variance = (torch.matmul(gram, attention) * attention).sum(dim=2, keepdim=True)
        scaled = attention * torch.rsqrt(variance + _NORM_EPS)
        flat = linearised.reshape(self.depth, -1, self.width)
        projected = torch.matmul(flat, self.projections).reshape(linearised.shape)
        base = (self.depth, hidden.shape[0], -1, -1)
        down = torch.cat([projected, self.down.expand(base)], dim=2)
        up = torch.cat([scaled, self.up.expand(base)], dim=2)
        return output, down, up, self._biases(of_biases, hidden)

    def _linearised(self, attention: Tensor, values: Tensor) -> Tensor:
        """G, (N, B, S, D)."""
        mean = attention.mean(dim=-1, keepdim=True)
        centred = attention - mean
        covariance = torch.matmul(centred, centred.transpose(2, 3)) / self.width
        means = torch.matmul(mean.transpose(2, 3), values)
        variances = (torch.matmul(covariance, values) * values).sum(dim=2, keepdim=True)
        deviations = variances.clamp_min(_LEAST_VARIANCE).sqrt()
        ratio = means / deviations
        slope = 0.5 + 0.5 * torch.erf(ratio * math.sqrt(0.5))
        density = torch.exp(-0.5 * ratio * ratio) / math.sqrt(2 * math.pi)
        linearised = slope * values + deviations * density
        return linearised - linearised.mean(dim=-1, keepdim=True)

    def _biases(self, attention: Tensor, hidden: Tensor) -> Tensor:
        """The biases, (N, B, 1, D), of (B, S, N) attention."""
        attended = torch.matmul(attention.transpose(1, 2), hidden).transpose(0, 1)
        values = torch.matmul(attended, self.bias_values) + self.bias_value_shifts
        return (torch.matmul(as_context(values), self.bias_projections) + self.bias_bases).unsqueeze(2)


class LowRankQNets(nn.Module):
    """Scores passages of queries by what `LowRankGenerator` generated for them.

    Args:
        head: the same.
    """

    def __init__(self, head: HyperHead) -> None:
        super().__init__()
        self.config = head.config
        self.scales = [float(_scale(part)) for part in parts_of(head)[0]]

    def forward(self, passages: Tensor, output: Tensor, down: Tensor, up: Tensor, biases: Tensor) -> Tensor:
        """Returns (B, M) scores of (B, M, D) passages in any precision, each query's own."""
        x = passages.float() * self.config.input_scale
        for layer, scale in enumerate(self.scales):
            changed = torch.matmul(torch.matmul(x, down[layer].transpose(1, 2)), up[layer])
            x = self.config.finish_layer(layer, scale * x + changed + biases[layer], x)
        # Not a product of matrices: see `FoldedQNets`.
        return (x * output).sum(dim=-1)


def _scale(part: Part) -> Tensor:
    """d of a hidden layer."""
    return part.base.diagonal().mean()


def _rest(part: Part) -> tuple[Tensor, Tensor]:
    """Y^T and Z, (r, D) each, for what a layer's base has beside d I."""
    rest = part.base + part.projection.bias - _scale(part) * torch.eye(len(part.base))
    left, sizes, right = torch.linalg.svd(rest)
    return right[:_BASE_RANK], (left * sizes).T[:_BASE_RANK]
