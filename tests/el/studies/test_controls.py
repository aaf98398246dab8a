"""The controls: arithmetic, start, what is kept on disk, what stays fixed."""

from pathlib import Path

import pytest
import torch

from el.base.errors import InputError
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.tower import EncoderSource
from el.studies.controls import FixedScorer, fix_hidden_layers
from tests.tiny import WIDTH, tiny_encoder, tiny_hypencoder

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


@torch.inference_mode()
def test_round_trip(model: FixedScorer, tmp_path: Path) -> None:
    randomise(model)
    model.split_towers()
    model.temperature = 0.7
    model.save_pretrained(tmp_path / "m")
    again = FixedScorer.from_pretrained(tmp_path / "m")
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
        FixedScorer.from_pretrained(tmp_path / "m")


@torch.no_grad()
def test_fixed_hidden_layers_are_the_base_for_every_query(source: EncoderSource, tmp_path: Path) -> None:
    model = tiny_hypencoder(source).eval()
    generated = model.encode_queries_text(TEXTS)
    fix_hidden_layers(model)
    model.save_pretrained(tmp_path / "m")
    qnets = Hypencoder.from_pretrained(tmp_path / "m").encode_queries_text(TEXTS)
    for layer in range(model.head.config.depth):
        base = model.head.hyper_base_matrices[layer].transpose(1, 2)
        assert torch.equal(qnets.weights[layer], base.expand(len(TEXTS), -1, -1))
        assert torch.equal(qnets.biases[layer], model.head.hyper_base_vectors[layer].expand(len(TEXTS), -1))
        assert not torch.equal(generated.weights[layer], qnets.weights[layer])
    # The output layer is generated as in any Hypencoder.
    torch.testing.assert_close(qnets.weights[-1], generated.weights[-1])


def test_training_leaves_fixed_hidden_layers_fixed(source: EncoderSource) -> None:
    model = tiny_hypencoder(source)
    fix_hidden_layers(model)
    passages = model.encode_passages_text(["liver"]).detach()
    model.encode_queries_text(TEXTS)(passages).sum().backward()
    head = model.head
    for layer in range(head.config.depth):
        projection = head.weight_hyper_projection[layer]
        assert all(p.grad is None and not p.any() for p in projection.parameters())
        assert head.hyper_base_matrices[layer].grad is not None
