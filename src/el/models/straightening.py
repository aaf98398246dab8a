"""A trained model whose head is near the identity, changed a little so that scoring at low rank is exact.

`HyperHead` has the symbols. Training that starts as a dot product leaves hidden layers near the identity, and
of a layer's weights C P^T + B two things would then be lost at low rank (`el.models.low_rank`). Here the
model itself gives them up, and a third thing with them:

- The kinks of ReLU in C = LayerNorm(ReLU(A V)). For each coordinate of A V, the linear function that is
  nearest to ReLU over all units and the texts that are shown takes its place: V is scaled by the slope and
  raised by the offset, and by so much more that no value is below zero. What all values have in common, the
  norm takes away.
- What the base has beside a multiple of the identity and its `BASE_RANK` largest other directions.
- The query tower's matrices are rounded to bf16, in which machines that have it multiply them anyway. A tower
  that is the passages' too stays as it is, for there may be vectors that it made.
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

_TEXT_BATCH = 64
# How far the values' least bias is above zero: so many deviations of a value over token vectors of unit
# variance; so often the farthest that a value was seen below its bias; and at least as far as a start as dot
# product gives the output's values.
_DEVIATIONS = 4.0
_FARTHEST = 2.0
_LEAST_SHIFT = 2.0


@dataclass(frozen=True, eq=False)
class _Line:
    """The linear function nearest to ReLU, for each coordinate of A V.

    Attributes:
        slope: (D,).
        offset: (D,).
        least: (D,), of A V.
    """

    slope: Tensor
    offset: Tensor
    least: Tensor


@torch.no_grad()
def straighten(model: Hypencoder, texts: Sequence[str]) -> bool:
    """Changes a model in place, if its head is near the identity. Returns whether it is.

    Args:
        model: trained, with a tokenizer; in evaluation mode.
        texts: some hundred inputs such as queries will be, or more.

    Raises:
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("no texts to straighten a head by")
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
        # A pooler takes no part.
        if isinstance(module, nn.Linear) and not name.startswith("pooler."):
            module.weight.copy_(module.weight.bfloat16())


def _nearest_lines(model: Hypencoder, texts: Sequence[str]) -> list[_Line]:
    """Those of all hidden layers, by least squares."""
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
            moments = torch.stack([own.sum(dim=0) for own in (x, y, x * x, x * y)])
            sums[layer] = sums[layer] + moments.cpu().double()
            least[layer] = torch.minimum(least[layer], x.amin(dim=0).cpu())
        count += len(x)
    return [_line(own / count, lowest) for own, lowest in zip(sums, least, strict=True)]


def _line(means: Tensor, least: Tensor) -> _Line:
    """Of the means of x, y, x x and x y, the line of y over x."""
    x, y, xx, xy = means
    variance, covariance = xx - x * x, xy - x * y
    # A coordinate that never changes has no slope.
    slope = torch.where(variance > 0, covariance / variance, 0.0)
    return _Line(slope.float(), (y - slope * x).float(), least)


def _replace(value: nn.Linear, line: _Line) -> None:
    slope, offset, least = (own.to(value.bias.device) for own in (line.slope, line.offset, line.least))
    farthest = float((slope * (value.bias - least)).max())
    value.weight.mul_(slope.unsqueeze(1))
    value.bias.mul_(slope).add_(offset)
    deviation = float(value.weight.norm(dim=1).max())
    shift = max(_LEAST_SHIFT, _DEVIATIONS * deviation, _FARTHEST * farthest)
    value.bias.add_(shift - value.bias.min())
