"""Straightening: changes a trained head near the identity a little, so that scoring at low rank is exact.

`HyperHead` explains the symbols. Training that starts as a dot product leaves hidden layers near the
identity. Scoring at low rank (`el.models.low_rank`) would lose two things of a layer's weights C P^T + B.
Here the model itself gives up these two, and a third:

- The kinks of ReLU in C = LayerNorm(ReLU(A V)). For each coordinate of A V, a linear function replaces ReLU:
  the nearest one by least squares, over all units and the given texts. V is multiplied by the slope, and the
  offset is added. Then one number is added to all values, so that none is below zero. The layer norm removes
  this number again.
- All directions of the base, except a multiple of the identity and the `BASE_RANK` largest others.
- The last bits of the query tower's matrices. They are rounded to bf16, because machines with bf16 multiply
  them in bf16 anyway. A shared tower is not changed, because there may be passage vectors that it made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.models.folded import parts_of
from el.models.hypencoder import Hypencoder
from el.models.low_rank import base_directions
from el.models.tower import Tower

# Texts that the tower encodes at once. Memory grows with this number.
_TEXT_BATCH = 64
# The values' smallest bias is the largest of three numbers. With a larger bias, fewer values are below zero,
# and rounding loses more of each.
# The first, in standard deviations of a value over token vectors of unit variance.
_DEVIATIONS = 4.0
# The second, as a multiple of the farthest that a value of the given texts is below its bias.
_FARTHEST = 2.0
# The third, absolute: the bias of the output's values at a start as dot product.
_LEAST_SHIFT = 2.0


@dataclass(frozen=True, eq=False)
class _Line:
    """The linear function nearest to ReLU, for each coordinate of A V.

    Attributes:
        slope: (D,).
        offset: (D,).
        least: (D,), the smallest value of A V.
    """

    slope: Tensor
    offset: Tensor
    least: Tensor


@torch.no_grad()
def straighten(model: Hypencoder, texts: Sequence[str]) -> bool:
    """Straightens a model in place, if its head is near the identity.

    Args:
        model: a trained model with a tokenizer, in evaluation mode.
        texts: at least some hundred inputs that are like the queries.

    Returns:
        Whether the head is near the identity. If it is not, the model is unchanged.

    Raises:
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("no texts to straighten a head with; give some hundred inputs")
    if not (model.spec.normalize and model.head.is_near_identity()):
        return False
    if model.query_tower is not model.passage_tower:
        _round(model.query_tower)
    lines = _nearest_lines(model, texts)
    for part, line in zip(parts_of(model.head)[0], lines, strict=True):
        _replace(part.value, line)
        scale, down, up = base_directions(part)
        identity = torch.eye(len(part.base), device=part.base.device)
        part.base.copy_(scale * identity + up.T @ down - part.projection.bias)
    return True


def _round(tower: Tower) -> None:
    for name, module in tower.transformer.named_modules():
        # A pooler takes no part in the vectors.
        if isinstance(module, nn.Linear) and not name.startswith("pooler."):
            module.weight.copy_(module.weight.bfloat16())


def _nearest_lines(model: Hypencoder, texts: Sequence[str]) -> list[_Line]:
    """Returns the lines of all hidden layers, by least squares over the texts."""
    depth = model.head.config.depth
    sums = [torch.zeros((), dtype=torch.float64)] * depth
    least = [torch.tensor(float("inf"))] * depth
    count = 0
    for start in range(0, len(texts), _TEXT_BATCH):
        tokens = model.tokenize(texts[start : start + _TEXT_BATCH])
        hidden = model.query_tower.hidden(tokens["input_ids"], tokens["attention_mask"])
        for layer in range(depth):
            x = model.head.attended_values(hidden, tokens["attention_mask"], layer).flatten(0, 1)
            y = functional.relu(x)
            moments = torch.stack([terms.sum(dim=0) for terms in (x, y, x * x, x * y)])
            sums[layer] = sums[layer] + moments.cpu().double()
            least[layer] = torch.minimum(least[layer], x.amin(dim=0).cpu())
        count += len(x)
    return [_line(total / count, lowest) for total, lowest in zip(sums, least, strict=True)]


def _line(means: Tensor, least: Tensor) -> _Line:
    """Returns the line of y over x, for the means of x, y, x x and x y."""
    x, y, xx, xy = means
    variance, covariance = xx - x * x, xy - x * y
    # A constant coordinate has no slope.
    slope = torch.where(variance > 0, covariance / variance, 0.0)
    return _Line(slope.float(), (y - slope * x).float(), least)


def _replace(value: nn.Linear, line: _Line) -> None:
    """Makes a layer's values linear, in place: slope and offset of the line, then the shift above zero."""
    device = value.bias.device
    slope, offset, least = line.slope.to(device), line.offset.to(device), line.least.to(device)
    farthest = float((slope * (value.bias - least)).max())
    value.weight.mul_(slope.unsqueeze(1))
    value.bias.mul_(slope).add_(offset)
    deviation = float(value.weight.norm(dim=1).max())
    shift = max(_LEAST_SHIFT, _DEVIATIONS * deviation, _FARTHEST * farthest)
    value.bias.add_(shift - value.bias.min())
