"""Straightened heads: low-rank scores beside those of the q-nets, and what counts as near the identity."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from el.models import low_rank
from el.models.hyper_head import BASE_RANK, HyperHead
from el.models.low_rank import LowRankGenerator, LowRankQNets, OutputWeights
from el.models.qnet import QNetConfig
from tests.el.models.test_hyper_head import make_head

WIDTH = 24
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def straight_head(depth: int = 2, **options: Any) -> HyperHead:
    """Near its start as dot product; attention differs by unit, values are above zero, bases simple."""
    torch.manual_seed(5)
    config = QNetConfig((*[WIDTH] * (depth + 1), 1), input_scale=math.sqrt(WIDTH), **options)
    head = HyperHead(config, WIDTH)
    head.initialise_as_dot_product(20.0)
    with torch.no_grad():
        for i in range(depth):
            head.weight_query_embeddings[i].normal_()
            head.value_projections[i].bias.fill_(4.0)
            # Those of the biases' values.
            head.value_projections[depth + 1 + i].bias.fill_((-1.0) ** i)
            left, right = torch.randn(2, WIDTH, BASE_RANK // 2 - 1)
            head.hyper_base_matrices[i].add_(0.003 / (i + 1) * left @ right.T)
            for projection in (head.weight_hyper_projection[i], head.bias_hyper_projection[i]):
                # Deeper layers start with smaller bases.
                projection.weight.normal_(std=0.15 / WIDTH / (i + 1))
                projection.bias.normal_(std=0.01)
    return head.eval()


def mentions() -> tuple[Tensor, Tensor]:
    torch.manual_seed(6)
    return torch.randn(3, 5, WIDTH), functional.normalize(torch.randn(3, 40, WIDTH), dim=-1)


def low_rank_scores(head: HyperHead, hidden: Tensor, passages: Tensor, mask: Tensor = MASK) -> Tensor:
    output = OutputWeights(head)(hidden, mask)
    scores: Tensor = LowRankQNets(head)(passages, *LowRankGenerator(head)(output, hidden, mask))
    return scores


@pytest.mark.parametrize(
    ("depth", "options"),
    [(2, {}), (1, {}), (4, {"do_residual_on_last": True}), (2, {"activation_type": "gelu"})],
)
@torch.inference_mode()
def test_scores_are_those_of_the_qnets(depth: int, options: dict[str, Any]) -> None:
    head = straight_head(depth, **options)
    hidden, passages = mentions()
    expected = head(hidden, MASK)(passages)
    torch.testing.assert_close(low_rank_scores(head, hidden, passages), expected, atol=1e-4, rtol=1e-4)
    for projection in head.weight_hyper_projection[:-1]:
        projection.weight.zero_()
    # They depend on what is generated.
    assert (head(hidden, MASK)(passages) - expected).abs().max() > 0.1


@torch.inference_mode()
def test_the_base_keeps_its_largest_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_rank, "BASE_RANK", 2)
    head = straight_head()
    hidden, passages = mentions()
    large = [torch.linalg.qr(torch.randn(WIDTH, 2)).Q for _ in range(2)]
    for base, projection, own in zip(
        head.hyper_base_matrices[:2], head.weight_hyper_projection[:2], large, strict=True
    ):
        base.copy_(0.5 * torch.eye(WIDTH) + 0.1 * own @ own.T)
        projection.weight.zero_()
        projection.bias.zero_()
        # What is left of the diagonal is not of rank 2.
        base.add_((0.5 - base[0].diagonal().mean()) * torch.eye(WIDTH))
    expected, scores = head(hidden, MASK)(passages), low_rank_scores(head, hidden, passages)
    for base in head.hyper_base_matrices[:2]:
        base.copy_(base[0].diagonal().mean() * torch.eye(WIDTH))
    without = head(hidden, MASK)(passages)
    assert (scores - expected).norm() < 0.2 * (without - expected).norm()


@torch.inference_mode()
def test_padding_changes_nothing() -> None:
    head = straight_head()
    hidden, passages = mentions()
    alone = low_rank_scores(head, hidden[1:2, :3], passages[1:2], MASK[1:2, :3])
    torch.testing.assert_close(low_rank_scores(head, hidden, passages)[1:2], alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_output_weights_are_the_heads() -> None:
    head = straight_head()
    hidden, _ = mentions()
    expected = head(hidden, MASK).weights[-1].squeeze(-1)
    torch.testing.assert_close(head.output_weights(hidden, MASK), expected)
    torch.testing.assert_close(OutputWeights(head)(hidden, MASK).squeeze(1), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_near_the_identity() -> None:
    assert straight_head().is_near_identity()
    assert straight_head(4, do_residual_on_last=True).is_near_identity()
    for parts in ("hyper_base_matrices", "weight_hyper_projection"):
        head = straight_head()
        part = getattr(head, parts)[1]
        (part if parts == "hyper_base_matrices" else part.weight).add_(torch.randn(WIDTH, WIDTH))
        assert not head.is_near_identity()
    for number in (0.0, math.nan):
        head = straight_head()
        head.hyper_base_matrices[0].fill_(number)
        assert not head.is_near_identity()
    head = straight_head()
    head.hyper_base_vectors[1].zero_()
    assert not head.is_near_identity()
    assert not make_head(QNetConfig((6, 6, 6, 1))).is_near_identity()
    assert not make_head(QNetConfig((6, 4, 4, 1), do_residual=False)).is_near_identity()


@torch.no_grad()
def test_straight() -> None:
    assert straight_head().is_straight()
    head = straight_head()
    head.value_projections[1].bias[3] = 0.5
    assert not head.is_straight()
    head = straight_head()
    head.hyper_base_vectors[0].zero_()
    assert not head.is_straight()
    head = straight_head()
    head.hyper_base_matrices[1].add_(0.1 / WIDTH * torch.randn(WIDTH, WIDTH))
    assert head.is_near_identity()
    assert not head.is_straight()


def test_the_head_stays_as_it_was() -> None:
    head = straight_head()
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    with torch.no_grad():
        for module in (OutputWeights(head), LowRankGenerator(head), LowRankQNets(head)):
            for parameter in module.parameters():
                parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in head.state_dict().items())
