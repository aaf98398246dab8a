"""Straightening: q-nets that can be scored at low rank, and that are nearly what they were."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from el.models import straightening
from el.models.hypencoder import Hypencoder
from el.models.hyper_head import BASE_RANK
from el.models.low_rank import LowRankGenerator, LowRankQNets, OutputWeights
from el.models.straightening import straighten
from el.models.tower import EncoderSource
from tests.tiny import WIDTH, tiny_encoder, tiny_near_identity

TEXTS = ["cold", "lead", "liver failure", "acute renal failure", "cold lead acid", "fever", "acid"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def passages() -> Tensor:
    torch.manual_seed(8)
    return torch.nn.functional.normalize(torch.randn(len(TEXTS), 40, WIDTH), dim=-1)


@torch.no_grad()
def scores(model: Hypencoder, names: Tensor) -> Tensor:
    encoded = model.tokenize(TEXTS)
    found: Tensor = model.encode_queries(encoded["input_ids"], encoded["attention_mask"])(names)
    return found


@torch.no_grad()
def test_scores_at_low_rank_are_those_of_the_qnets(source: EncoderSource) -> None:
    model = tiny_near_identity(source)
    assert not model.scores_at_low_rank()
    assert straighten(model, TEXTS)
    assert model.scores_at_low_rank()
    encoded = model.tokenize(TEXTS)
    mask = encoded["attention_mask"]
    hidden = model.query_tower.hidden(encoded["input_ids"], mask)
    generated = LowRankGenerator(model.head)(OutputWeights(model.head)(hidden, mask), hidden, mask)
    ours = LowRankQNets(model.head)(passages(), *generated)
    torch.testing.assert_close(ours, scores(model, passages()), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_scores_are_nearly_what_they_were(source: EncoderSource) -> None:
    model, names = tiny_near_identity(source), passages()
    before = scores(model, names)
    assert straighten(model, TEXTS)
    after = scores(model, names)
    for layer in range(2):
        model.head.weight_hyper_projection[layer].weight.zero_()
        base = model.head.hyper_base_matrices[layer]
        base.copy_(base[0].diagonal().mean() * torch.eye(WIDTH))
    without = scores(model, names)
    # Of what is not a dot product little is lost.
    assert 0 < (after - before).norm() < 0.5 * (without - before).norm()


@torch.no_grad()
def test_values_become_the_nearest_linear_function(
    source: EncoderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(straightening, "_TEXT_BATCH", 3)
    model = tiny_near_identity(source)
    encoded = model.tokenize(TEXTS)
    mask = encoded["attention_mask"]
    hidden = model.query_tower.hidden(encoded["input_ids"], mask)
    before = model.head.attended_values(hidden, mask, 1).flatten(0, 1).double().numpy()
    assert 0.2 < (before < 0).mean() < 0.8
    assert straighten(model, TEXTS)
    after = model.head.attended_values(hidden, mask, 1).flatten(0, 1).double().numpy()
    assert after.min() > 0
    expected = np.stack(
        [np.polyval(np.polyfit(x, np.maximum(x, 0), 1), x) for x in before.T],
        axis=1,
    )
    # The shift is the same for all coordinates, and goes in the layer norm.
    shift = after - expected
    np.testing.assert_allclose(shift, shift.mean(), atol=1e-4)


@torch.no_grad()
def test_the_base_becomes_simple(source: EncoderSource) -> None:
    model = tiny_near_identity(source)
    assert straighten(model, TEXTS)
    for base, projection in zip(
        model.head.hyper_base_matrices[:2], model.head.weight_hyper_projection[:2], strict=True
    ):
        whole = base[0] + projection.bias
        rest = whole - torch.linalg.svdvals(whole).median() * torch.eye(WIDTH)
        assert torch.linalg.svdvals(rest)[BASE_RANK:].max() < 1e-3 < torch.linalg.svdvals(rest)[0]


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False])
def test_a_query_tower_of_its_own_has_numbers_of_bf16(source: EncoderSource, shared: bool) -> None:
    model = tiny_near_identity(source)
    if not shared:
        model.split_towers()
    before = model.passage_tower.fingerprint()
    assert straighten(model, TEXTS)
    assert model.passage_tower.fingerprint() == before
    matrices = [m.weight for m in model.query_tower.transformer.encoder.modules() if isinstance(m, nn.Linear)]
    assert all(torch.equal(m, m.bfloat16().float()) for m in matrices) is not shared


@torch.no_grad()
def test_once_is_enough(source: EncoderSource) -> None:
    model, names = tiny_near_identity(source), passages()
    assert straighten(model, TEXTS)
    before, expected = copy.deepcopy(model.head), scores(model, names)
    assert straighten(model, TEXTS)
    torch.testing.assert_close(scores(model, names), expected, atol=1e-4, rtol=1e-4)
    for one, other in zip(before.value_projections, model.head.value_projections, strict=True):
        torch.testing.assert_close(one.bias, other.bias, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("gain", [1.0, 20.0])
def test_no_value_is_below_zero_however_long_token_vectors_are(source: EncoderSource, gain: float) -> None:
    model = tiny_near_identity(source)
    norm = [m for m in model.query_tower.transformer.modules() if isinstance(m, nn.LayerNorm)][-1]
    norm.weight.mul_(gain)
    assert straighten(model, TEXTS)
    assert model.scores_at_low_rank()
    encoded = model.tokenize(TEXTS)
    hidden = model.query_tower.hidden(encoded["input_ids"], encoded["attention_mask"])
    for layer in range(2):
        assert model.head.attended_values(hidden, encoded["attention_mask"], layer).min() > 0


def test_no_texts(source: EncoderSource) -> None:
    with pytest.raises(ValueError, match="no texts"):
        straighten(tiny_near_identity(source), [])


@torch.no_grad()
def test_coordinates_that_never_change(source: EncoderSource) -> None:
    model = tiny_near_identity(source)
    for layer in range(2):
        model.head.value_projections[layer].weight[:3].zero_()
    assert straighten(model, TEXTS)
    assert scores(model, passages()).isfinite().all()


@torch.no_grad()
def test_other_heads_stay_as_they_are(source: EncoderSource) -> None:
    published = Hypencoder.from_encoder(source, (WIDTH, WIDTH, 1), normalize=True).eval()
    for model in (published, tiny_near_identity(source, normalize=False)):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        assert not straighten(model, TEXTS)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
