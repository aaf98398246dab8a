"""q-nets against a loop over queries and passages, one at a time."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from el.base.errors import ConfigError
from el.models.qnet import QNetConfig, QNets

# By torch's modules; the code under test uses functions.
ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "leaky_relu": nn.LeakyReLU(),
}
SQUARE = (6, 6, 6, 6, 1)


def make_qnets(config: QNetConfig, count: int = 3, *, training: bool = False) -> QNets:
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn(count, *shape, generator=generator) for shape in config.weight_shapes]
    biases = [torch.randn(count, out, generator=generator) for _, out in config.weight_shapes[:-1]]
    return QNets(weights, biases, config, training)


def make_passages(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(8))


def norm(z: Tensor) -> Tensor:
    return (z - z.mean()) / torch.sqrt(z.var(unbiased=False) + 1e-5)


def score_naively(qnets: QNets, query: int, passage: Tensor, residual: list[bool]) -> Tensor:
    """One q-net, one passage; `residual` says which hidden layers add their input."""
    config = qnets.config
    x = passage * config.input_scale
    for layer, adds in enumerate(residual):
        z = ACTIVATIONS[config.activation_type](x @ qnets.weights[layer][query] + qnets.biases[layer][query])
        if config.do_layer_norm and config.layer_norm_before_residual:
            z = norm(z)
        if adds:
            z = z + x
        if config.do_layer_norm and not config.layer_norm_before_residual:
            z = norm(z)
        x = z
    return x @ qnets.weights[-1][query].flatten()


def assert_scores(qnets: QNets, residual: list[bool]) -> None:
    width, count = qnets.config.vector_dimensions[0], len(qnets)
    shared = make_passages(5, width)
    expected = torch.tensor([[score_naively(qnets, q, p, residual) for p in shared] for q in range(count)])
    assert qnets(shared).shape == (count, 5)
    torch.testing.assert_close(qnets(shared), expected, atol=1e-5, rtol=1e-5)
    # Each q-net its own passages.
    own = make_passages(count, 4, width)
    expected = torch.tensor([[score_naively(qnets, q, p, residual) for p in own[q]] for q in range(count)])
    torch.testing.assert_close(qnets(own), expected, atol=1e-5, rtol=1e-5)
    # The two shapes of call agree.
    torch.testing.assert_close(qnets(shared.expand(count, -1, -1)), qnets(shared), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("before", [True, False])
def test_activations_and_place_of_the_norm(activation: str, before: bool) -> None:
    config = QNetConfig(SQUARE, activation_type=activation, layer_norm_before_residual=before)
    assert_scores(make_qnets(config), [True, True, False])


@pytest.mark.parametrize(
    ("options", "residual"),
    [
        ({}, [True, True, False]),
        ({"do_residual_on_last": True}, [True, True, True]),
        ({"do_residual_on_last": None}, [True, True, True]),
        ({"do_residual": False}, [False, False, False]),
        ({"do_residual": False, "do_residual_on_last": None}, [False, False, False]),
    ],
)
@pytest.mark.parametrize("layer_norm", [True, False])
def test_residual_options(options: dict[str, Any], residual: list[bool], layer_norm: bool) -> None:
    assert_scores(make_qnets(QNetConfig(SQUARE, do_layer_norm=layer_norm, **options)), residual)


def test_widths_may_differ_without_residual() -> None:
    assert_scores(make_qnets(QNetConfig((4, 7, 3, 1), do_residual=False)), [False, False])


def test_last_hidden_layer_may_change_the_width_as_it_adds_nothing() -> None:
    assert_scores(make_qnets(QNetConfig((4, 4, 7, 1))), [True, False])


def test_input_scale() -> None:
    assert_scores(make_qnets(QNetConfig(SQUARE, input_scale=2.5)), [True, True, False])


def test_indexing_and_slicing() -> None:
    qnets, passages = make_qnets(QNetConfig(SQUARE), 4), make_passages(5, 6)
    scores = qnets(passages)
    torch.testing.assert_close(qnets[1](passages), scores[1:2])
    torch.testing.assert_close(qnets[-1](passages), scores[3:])
    torch.testing.assert_close(qnets[1:3](passages), scores[1:3])
    torch.testing.assert_close(qnets[np.int64(1)](passages), scores[1:2])
    assert [len(qnets[1]), len(qnets[1:3]), len(qnets)] == [1, 2, 4]
    torch.testing.assert_close(torch.cat([one(passages) for one in qnets]), scores)
    for wrong in (4, -5):
        with pytest.raises(IndexError, match=f"no q-net {wrong}: the batch has 4"):
            qnets[wrong]


def test_to_casts_everything() -> None:
    qnets = make_qnets(QNetConfig(SQUARE)).to(torch.float64)
    assert {tensor.dtype for tensor in [*qnets.weights, *qnets.biases]} == {torch.float64}
    assert qnets(make_passages(5, 6).double()).dtype == torch.float64


def test_dropout_in_training_only() -> None:
    config, passages = QNetConfig(SQUARE, do_dropout=True, dropout_prob=0.5), make_passages(5, 6)
    plain = make_qnets(QNetConfig(SQUARE))(passages)
    assert torch.equal(make_qnets(config)(passages), plain)
    assert torch.equal(make_qnets(QNetConfig(SQUARE, dropout_prob=0.5), training=True)(passages), plain)
    assert not torch.allclose(make_qnets(config, training=True)(passages), plain)
    # Slices of q-nets in training are in training too.
    assert not torch.allclose(make_qnets(config, training=True)[:2](passages), plain[:2])


def test_residual_adds_what_dropout_has_not_touched() -> None:
    # Hidden weights of zero leave only the residuals, which the output layer then weighs.
    config = QNetConfig(
        (4, 4, 4, 1), do_dropout=True, dropout_prob=0.9, do_layer_norm=False, do_residual_on_last=True
    )
    qnets = make_qnets(config, 1, training=True)
    for tensor in (*qnets.weights[:-1], *qnets.biases):
        tensor.zero_()
    passages = make_passages(64, 4)
    torch.testing.assert_close(qnets(passages)[0], passages @ qnets.weights[-1][0, :, 0])


def test_gradients_reach_every_layer() -> None:
    qnets = make_qnets(QNetConfig(SQUARE))
    tensors = [*qnets.weights, *qnets.biases]
    for tensor in tensors:
        tensor.requires_grad_(True)
    qnets(make_passages(5, 6)).sum().backward()
    # The gradient is finite, and none is missing.
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in tensors)


def test_depth_counts_hidden_layers() -> None:
    config = QNetConfig((8, 8, 8, 1))
    assert config.depth == 2
    assert config.weight_shapes == [(8, 8), (8, 8), (8, 1)]


def test_config_round_trip() -> None:
    config = QNetConfig((8, 8, 4, 1), "gelu", True, 0.2, False, True, False, False, 3.0)
    assert QNetConfig.from_dict(config.to_dict()) == config
    assert config.to_dict()["input_scale"] == 3.0
    # The published layout knows no such key.
    assert "input_scale" not in QNetConfig((8, 8, 1)).to_dict()


def test_keys_left_out_take_the_released_defaults() -> None:
    assert QNetConfig.from_dict({"vector_dimensions": [8, 8, 1]}) == QNetConfig(
        (8, 8, 1), "relu", False, 0.1, True, True, False, True, 1.0
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "vector_dimensions is missing"),
        ({"vector_dimensions": 8}, "is not a list"),
        ({"vector_dimensions": [8, "8", 1]}, "whole numbers"),
        ({"vector_dimensions": [8, 8]}, "expected"),
        ({"vector_dimensions": [8, 1]}, "at least one hidden layer"),
        ({"vector_dimensions": [8, 0, 1]}, "expected"),
        (
            {"vector_dimensions": [8, 8, 1], "activation": "relu"},
            "unknown activation; known are activation_type",
        ),
        ({"vector_dimensions": [8, 8, 1], "activation_type": "swish"}, "'swish': one of relu"),
        ({"vector_dimensions": [8, 8, 1], "dropout_prob": 1.0}, "dropout_prob 1.0"),
        ({"vector_dimensions": [8, 4, 8, 1]}, "hidden layer 0 has a residual .* 8 to 4"),
        ({"vector_dimensions": [8, 8, 4, 1], "do_residual_on_last": True}, "hidden layer 1"),
        (
            {"vector_dimensions": [8, 8, 1], "do_residual": False, "do_residual_on_last": True},
            "needs do_residual",
        ),
    ],
)
def test_what_makes_no_qnet(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        QNetConfig.from_dict(values)


def test_scores_of_unit_vectors_scaled_are_those_of_scaled_vectors() -> None:
    passages = nn.functional.normalize(make_passages(5, 6), dim=-1)
    scaled = QNetConfig(SQUARE, input_scale=math.sqrt(6))
    before, *_ = make_qnets(scaled)
    torch.testing.assert_close(before(passages), make_qnets(QNetConfig(SQUARE))[0](passages * math.sqrt(6)))
