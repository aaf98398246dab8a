"""Heads near the identity: low-rank scores beside those of the q-nets, and what counts as near."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from el.models import low_rank
from el.models.hyper_head import HyperHead
from el.models.low_rank import LowRankGenerator, LowRankQNets, OutputWeights
from el.models.qnet import QNetConfig
from tests.el.models.test_hyper_head import make_head

WIDTH = 24
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def trained_head(depth: int = 2, **options: Any) -> HyperHead:
    """A head as training leaves it: near its start as dot product, with attention that differs by unit."""
    torch.manual_seed(5)
    config = QNetConfig((*[WIDTH] * (depth + 1), 1), input_scale=math.sqrt(WIDTH), **options)
    head = HyperHead(config, WIDTH)
    head.initialise_as_dot_product(20.0)
    with torch.no_grad():
        for i in range(depth):
            head.weight_query_embeddings[i].normal_()
            head.hyper_base_matrices[i].add_(0.01 / (i + 1) * torch.randn(WIDTH, WIDTH))
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
def test_scores_are_nearly_those_of_the_qnets(depth: int, options: dict[str, Any]) -> None:
    head = trained_head(depth, **options)
    hidden, passages = mentions()
    expected = head(hidden, MASK)(passages)
    scores = low_rank_scores(head, hidden, passages)
    for projection in head.weight_hyper_projection[:-1]:
        projection.weight.zero_()
    without = head(hidden, MASK)(passages)
    # Of what the generated weights contribute, little is lost.
    assert (scores - expected).norm() < 0.3 * (without - expected).norm()


@pytest.mark.parametrize("case", ["all units attend alike", "no value is below zero"])
@torch.inference_mode()
def test_scores_are_exact_where_contexts_are_linear(case: str) -> None:
    head = trained_head()
    for i in range(2):
        if case == "all units attend alike":
            head.key_projections[i].weight.zero_()
            head.key_projections[i].bias.zero_()
        else:
            head.value_projections[i].bias.fill_(20.0)
    hidden, passages = mentions()
    expected = head(hidden, MASK)(passages)
    torch.testing.assert_close(low_rank_scores(head, hidden, passages), expected, atol=2e-3, rtol=1e-3)


@torch.inference_mode()
def test_the_base_keeps_its_largest_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_rank, "_BASE_RANK", 2)
    head = trained_head()
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
def test_no_other_linear_function_is_much_nearer() -> None:
    """G against least squares, on contexts as they are before the layer norm."""
    head = trained_head()
    hidden, _ = mentions()
    generator = LowRankGenerator(head)
    keys, values = (module[0](hidden[0]) for module in (head.key_projections, head.value_projections))
    attention = (head.weight_query_embeddings[0][0] @ keys.T / math.sqrt(WIDTH)).softmax(dim=-1)
    contexts = functional.relu(attention @ values)
    contexts = contexts - contexts.mean(dim=1, keepdim=True)
    ours = attention @ generator._linearised(attention.T[None, None], values[None, None])[0, 0]
    best = attention @ torch.linalg.lstsq(attention, contexts).solution
    assert (best - contexts).norm() > 0.01 * contexts.norm()
    assert (ours - contexts).norm() < 1.3 * (best - contexts).norm()


@torch.inference_mode()
def test_padding_changes_nothing() -> None:
    head = trained_head()
    hidden, passages = mentions()
    alone = low_rank_scores(head, hidden[1:2, :3], passages[1:2], MASK[1:2, :3])
    torch.testing.assert_close(low_rank_scores(head, hidden, passages)[1:2], alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_output_weights_are_the_heads() -> None:
    head = trained_head()
    hidden, _ = mentions()
    expected = head(hidden, MASK).weights[-1].squeeze(-1)
    torch.testing.assert_close(head.output_weights(hidden, MASK), expected)
    torch.testing.assert_close(OutputWeights(head)(hidden, MASK).squeeze(1), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_near_the_identity() -> None:
    assert trained_head().is_near_identity()
    assert trained_head(4, do_residual_on_last=True).is_near_identity()
    for parts in ("hyper_base_matrices", "weight_hyper_projection"):
        head = trained_head()
        part = getattr(head, parts)[1]
        (part if parts == "hyper_base_matrices" else part.weight).add_(torch.randn(WIDTH, WIDTH))
        assert not head.is_near_identity()
    for number in (0.0, math.nan):
        head = trained_head()
        head.hyper_base_matrices[0].fill_(number)
        assert not head.is_near_identity()
    head = trained_head()
    head.hyper_base_vectors[1].zero_()
    assert not head.is_near_identity()
    assert not trained_head(generate_hidden=False).is_near_identity()
    assert not make_head(QNetConfig((6, 6, 6, 1))).is_near_identity()
    assert not make_head(QNetConfig((6, 4, 4, 1), do_residual=False)).is_near_identity()


def test_the_head_stays_as_it_was() -> None:
    head = trained_head()
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    with torch.no_grad():
        for module in (OutputWeights(head), LowRankGenerator(head), LowRankQNets(head)):
            for parameter in module.parameters():
                parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in head.state_dict().items())
