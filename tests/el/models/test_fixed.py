"""The fixed scorer: its arithmetic, its start, what is kept on disk."""

from pathlib import Path

import pytest
import torch

from el.base.errors import InputError
from el.models.biencoder import BiEncoder
from el.models.fixed import FixedScorer
from el.models.loading import load_model
from el.models.tower import EncoderSource
from tests.tiny import WIDTH, tiny_encoder

TEXTS = ["acute liver failure", "cold", "n-acetyl-l-cysteine"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def model(source: EncoderSource) -> FixedScorer:
    torch.manual_seed(1)
    towers = BiEncoder.from_encoder(source)
    return FixedScorer(towers.query_tower, None, towers.tokenizer, 2).eval()


def randomise(model: FixedScorer) -> None:
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.normal_(std=0.1)


@torch.inference_mode()
def test_starts_as_the_bi_encoder(model: FixedScorer, source: EncoderSource) -> None:
    plain = BiEncoder.from_encoder(source).eval()
    passages = plain.encode_passages_text(["liver", "influenza"])
    torch.testing.assert_close(
        model.encode_queries_text(TEXTS)(passages), plain.encode_queries_text(TEXTS)(passages)
    )


@torch.inference_mode()
def test_scores_are_the_product_and_the_network(model: FixedScorer) -> None:
    randomise(model)
    queries, passages = model.encode_queries_text(TEXTS), model.encode_passages_text(["liver", "influenza"])
    scores = queries(passages)
    assert scores.shape == (3, 2)
    for b, q in enumerate(queries.vectors):
        for m, p in enumerate(passages):
            root = WIDTH**0.5
            x = torch.cat([q * root, p * root, q * p * WIDTH])
            for layer in (0, 2):
                x = torch.relu(model.head[layer].weight @ x + model.head[layer].bias)
            expected = 20 * (q @ p) + model.head[4].weight[0] @ x + model.head[4].bias[0]
            torch.testing.assert_close(scores[b, m], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(queries(passages.expand(3, -1, -1)), scores)


def test_the_tower_can_be_kept_from_the_networks_gradients(model: FixedScorer) -> None:
    randomise(model)
    passages = model.encode_passages_text(["liver"]).detach()
    batch = model.tokenize(TEXTS)
    for tower_gradients in (True, False):
        model.zero_grad()
        queries, vectors = model.encode_mentions(batch["input_ids"], batch["attention_mask"], tower_gradients)
        assert vectors.requires_grad
        queries(passages).sum().backward()
        learned = any(p.grad is not None and bool(p.grad.any()) for p in model.query_tower.parameters())
        assert learned == tower_gradients


@torch.inference_mode()
def test_round_trip(model: FixedScorer, tmp_path: Path) -> None:
    randomise(model)
    model.split_towers()
    model.temperature = 0.7
    model.save_pretrained(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert isinstance(again, FixedScorer)
    assert again.settings() == model.settings()
    passages = model.encode_passages_text(["liver", "influenza"])
    saved = again.state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())
    # Mentions are encoded in bf16 where the machine multiplies it, not to the last bit the same each time.
    scores = (each.encode_queries_text(TEXTS)(passages) for each in (again, model))
    torch.testing.assert_close(*scores, rtol=1e-2, atol=1e-2)
    (tmp_path / "m" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="depth"):
        load_model(tmp_path / "m")
