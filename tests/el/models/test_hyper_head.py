"""The hyper-head: its arithmetic step by step, and the published start."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from el.base.errors import ConfigError
from el.models.hyper_head import HyperHead
from el.models.qnet import QNetConfig

ENCODER_WIDTH = 10


def make_head(config: QNetConfig, width: int = ENCODER_WIDTH) -> HyperHead:
    torch.manual_seed(3)
    head = HyperHead(config, width)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    return head


def generate_naively(head: HyperHead, hidden: Tensor, length: int, i: int, *, bias: bool) -> Tensor:
    """Weight or bias i of one query, whose tokens are the first `length`."""
    shapes = head.config.weight_shapes
    out = 1 if bias else shapes[i][1]
    j = len(shapes) + i if bias else i
    kind = "bias" if bias else "weight"
    queries = getattr(head, f"{kind}_query_embeddings")[i][0]
    tokens = hidden[:length]
    keys, values = head.key_projections[j](tokens), head.value_projections[j](tokens)
    rows = []
    for query in queries:
        logits = torch.stack([query @ key for key in keys]) / math.sqrt(out)
        context = sum(share * value for share, value in zip(logits.softmax(0), values, strict=True))
        context = functional.relu(torch.as_tensor(context))
        context = (context - context.mean()) / torch.sqrt(context.var(unbiased=False) + 1e-5)
        rows.append(getattr(head, f"{kind}_hyper_projection")[i](context))
    generated = torch.stack(rows)
    if bias:
        return generated[0] + head.hyper_base_vectors[i][0]
    return (generated + head.hyper_base_matrices[i][0]).T


@pytest.mark.parametrize("widths", [(6, 6, 6, 1), (6, 4, 5, 1)])
def test_generates_what_the_equations_say(widths: tuple[int, ...]) -> None:
    head = make_head(QNetConfig(widths, do_residual=False))
    hidden, mask = torch.randn(2, 5, ENCODER_WIDTH), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    qnets = head(hidden, mask)
    assert [tuple(weight.shape) for weight in qnets.weights] == [(2, *s) for s in head.config.weight_shapes]
    assert [tuple(bias.shape) for bias in qnets.biases] == [(2, width) for width in widths[1:-1]]
    for query, length in enumerate((5, 3)):
        for i, weight in enumerate(qnets.weights):
            expected = generate_naively(head, hidden[query], length, i, bias=False)
            torch.testing.assert_close(weight[query], expected, atol=1e-5, rtol=1e-4)
        for i, bias in enumerate(qnets.biases):
            expected = generate_naively(head, hidden[query], length, i, bias=True)
            torch.testing.assert_close(bias[query], expected, atol=1e-5, rtol=1e-4)


def test_padding_changes_nothing() -> None:
    head = make_head(QNetConfig((6, 6, 6, 1)))
    hidden = torch.randn(1, 5, ENCODER_WIDTH)
    short = head(hidden[:, :3], torch.ones(1, 3, dtype=torch.int64))
    padded = head(hidden, torch.tensor([[1, 1, 1, 0, 0]]))
    passages = torch.randn(4, 6)
    torch.testing.assert_close(short(passages), padded(passages), atol=1e-4, rtol=1e-4)


def test_qnets_train_when_the_head_does() -> None:
    head = make_head(QNetConfig((6, 6, 1)))
    hidden, mask = torch.randn(1, 2, ENCODER_WIDTH), torch.ones(1, 2, dtype=torch.int64)
    assert head.train()(hidden, mask).training
    assert not head.eval()(hidden, mask).training


def test_published_start() -> None:
    width, count = 384, 3
    torch.manual_seed(5)
    head = HyperHead(QNetConfig((*[width] * count, 1)), width)
    head.initialise()
    for i, base in enumerate(head.hyper_base_matrices):
        # 768 whatever the width.
        tolerance = 0.02 if base.numel() > width else 0.2
        assert base.std().item() == pytest.approx(math.sqrt(2 / 768), rel=tolerance)
        assert abs(base.mean().item()) < 0.01
        assert head.weight_query_embeddings[i].std().item() == pytest.approx(10, rel=tolerance)
        projection = head.weight_hyper_projection[i]
        assert projection.weight.std().item() == pytest.approx(1 / 768**2, rel=0.02)
        assert not projection.bias.any()
    for i, base in enumerate(head.hyper_base_vectors):
        assert not base.any()
        assert head.bias_query_embeddings[i].std().item() == pytest.approx(10, rel=0.2)
        # PyTorch's default: uniform within 1 / sqrt(width), biases too.
        assert_default(head.bias_hyper_projection[i].weight, width)
        assert_default(head.bias_hyper_projection[i].bias, width)
    for projections in (head.key_projections, head.value_projections):
        assert len(projections) == 2 * count - 1
        for i, projection in enumerate(projections):
            assert_default(projection.weight, width)
            if i < count:
                assert not projection.bias.any()
            else:
                assert_default(projection.bias, width)


def assert_default(parameter: Tensor, width: int) -> None:
    bound = 1 / math.sqrt(width)
    assert 0.95 * bound < parameter.abs().max().item() <= bound
    assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_start_depends_on_the_seed_of_the_caller_only() -> None:
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        head = HyperHead(QNetConfig((6, 6, 1)), ENCODER_WIDTH)
        head.initialise()
        heads.append(torch.cat([p.detach().flatten() for p in head.parameters()]))
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_construction_draws_nothing_that_initialise_keeps() -> None:
    torch.manual_seed(4)
    head = HyperHead(QNetConfig((6, 6, 1)), ENCODER_WIDTH)
    torch.manual_seed(5)
    head.initialise()
    first = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    torch.manual_seed(5)
    head.initialise()
    assert all(torch.equal(first[name], tensor) for name, tensor in head.state_dict().items())


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation_type": "gelu"},
        {"do_residual_on_last": True},
        {"do_residual": False},
        {"layer_norm_before_residual": False},
    ],
    ids=str,
)
def test_start_as_dot_product(depth: int, options: dict[str, Any]) -> None:
    width = 384
    torch.manual_seed(7)
    config = QNetConfig((*[width] * (depth + 1), 1), input_scale=math.sqrt(width), **options)
    head = HyperHead(config, width)
    head.initialise_as_dot_product(20.0)
    hidden = 0.5 * torch.randn(3, 4, width)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]])
    mean = (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    # Passages near the queries and far from them.
    passages = torch.cat([mean + noise * torch.randn(3, width) for noise in (0.1, 0.3, 1.0)])
    cosines = functional.normalize(mean, dim=-1) @ functional.normalize(passages, dim=-1).T
    with torch.no_grad():
        scores = head(hidden, mask)(functional.normalize(passages, dim=-1))
    # What relu cuts and what the norms centre.
    torch.testing.assert_close(scores, 20 * cosines, atol=1.0, rtol=0.05)
    assert torch.corrcoef(torch.stack([scores.flatten(), cosines.flatten()]))[0, 1] > 0.995
    assert torch.equal(scores.argmax(dim=1), cosines.argmax(dim=1))


def test_all_of_a_head_started_as_dot_product_can_learn() -> None:
    torch.manual_seed(7)
    head = HyperHead(QNetConfig((16, 16, 16, 1), input_scale=4.0), 16)
    head.initialise_as_dot_product(20.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    before = {name: p.detach().clone() for name, p in head.named_parameters()}
    hidden, mask, passages = torch.randn(4, 3, 16), torch.ones(4, 3), torch.randn(9, 16)
    for _ in range(2):
        optimizer.zero_grad()
        functional.cross_entropy(head(hidden, mask)(passages), torch.arange(4)).backward()
        optimizer.step()
    assert [name for name, p in head.named_parameters() if torch.equal(p, before[name])] == []


@pytest.mark.parametrize(
    ("dimensions", "options", "message"),
    [
        ((16, 16, 1), {"activation_type": "tanh"}, "one of relu, gelu, leaky_relu, not tanh"),
        ((16, 16, 1), {"do_layer_norm": False}, "layer norms"),
        ((16, 8, 1), {"do_residual": False}, "equal widths"),
        ((8, 8, 1), {}, "equal widths"),
    ],
)
def test_start_as_dot_product_needs_layers_that_can_be_the_identity(
    dimensions: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    head = HyperHead(QNetConfig(dimensions, **options), 16)
    with pytest.raises(ConfigError, match=message):
        head.initialise_as_dot_product(20.0)
