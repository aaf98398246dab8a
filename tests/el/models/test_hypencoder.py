"""The Hypencoder against numbers of the released code (tests/fixtures/parity), and its own files."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertModel

from el.base.errors import ConfigError, InputError
from el.models.hypencoder import Hypencoder, HypencoderConfig
from el.models.loading import load_model
from el.models.qnet import QNetConfig
from el.models.straightening import straighten
from el.models.tower import EncoderSource, Pooling, Tower
from el.training.losses import margin_mse, masked_cross_entropy
from tests.tiny import WIDTH, tiny_encoder

NAMES = ["2_layer", "extra_nonsquare"]


def read_expected(folder: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return expected


def inputs(part: dict[str, Any]) -> tuple[Tensor, Tensor]:
    return torch.tensor(part["input_ids"]), torch.tensor(part["attention_mask"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.mark.parametrize("name", NAMES)
def test_parity_of_embeddings_qnets_and_scores(parity: Path, name: str) -> None:
    expected, debug = read_expected(parity / name), np.load(parity / name / "debug.npz")
    model = Hypencoder.from_pretrained(parity / name)
    with torch.inference_mode():
        qnets = model.encode_queries(*inputs(expected["queries"]))
        passages = model.encode_passages(*inputs(expected["passages"]))
        scores = qnets(passages)
    close(passages, expected["passage_embeddings"], 1e-5)
    close(scores, expected["scores"], 2e-5)
    close(scores, expected["scores_float64"], 2e-5)
    for i, weight in enumerate(qnets.weights):
        close(weight, debug[f"W{i}"], 2e-5)
    for i, bias in enumerate(qnets.biases):
        close(bias, debug[f"b{i}"], 2e-5)


def close(found: Tensor, expected: Any, tolerance: float) -> None:
    torch.testing.assert_close(found.detach(), torch.tensor(expected).float(), atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss_name", ["ce_in_batch", "ce_in_batch_hard_negatives", "ce_first_item_only"])
def test_parity_of_losses_and_gradients(parity: Path, name: str, loss_name: str) -> None:
    expected = read_expected(parity / name)
    published = expected["losses"][loss_name]
    model = Hypencoder.from_pretrained(parity / name)
    scores, positive = published_scores(model, expected, published, loss_name)
    close(scores, published["similarity"], 2e-5)
    loss = masked_cross_entropy(scores, positive, torch.zeros_like(positive))
    assert loss.item() == pytest.approx(published["loss"], abs=5e-5)
    if "grad_l2_norm" in published:
        loss.backward()
        compare_gradients(model, published)


def published_scores(
    model: Hypencoder, expected: dict[str, Any], published: dict[str, Any], loss_name: str
) -> tuple[Tensor, Tensor]:
    ids, mask = inputs(expected["queries"])
    queries = model.encode_queries(ids[published["query_rows"]], mask[published["query_rows"]])
    rows = published["passage_rows"]
    if loss_name == "ce_first_item_only":
        rows = rows[:: len(rows) // len(queries)]
    ids, mask = inputs(expected["loss_passages"])
    scores = queries(model.encode_passages(ids[rows], mask[rows]))
    positive = torch.zeros(scores.shape, dtype=torch.bool)
    each = len(rows) // len(queries)
    positive[range(len(queries)), range(0, len(rows), each)] = True
    return scores, positive


def own_scores(model: Hypencoder, expected: dict[str, Any], published: dict[str, Any]) -> Tensor:
    """Scores of each query's own items, which stand in a row."""
    ids, mask = inputs(expected["queries"])
    queries = model.encode_queries(ids[published["query_rows"]], mask[published["query_rows"]])
    ids, mask = inputs(expected["loss_passages"])
    rows = published["passage_rows"]
    passages = model.encode_passages(ids[rows], mask[rows])
    return queries(passages.view(len(queries), -1, passages.shape[1]))


@pytest.mark.parametrize("name", NAMES)
def test_parity_of_losses_over_own_items(parity: Path, name: str) -> None:
    losses = read_expected(parity / name)["losses"]
    model = Hypencoder.from_pretrained(parity / name)
    found = {}
    for loss_name in ("ce_own_items_only", "margin_mse_1neg", "margin_mse_2neg"):
        published = losses[loss_name]
        scores = own_scores(model, read_expected(parity / name), published)
        positive = torch.zeros_like(scores, dtype=torch.bool)
        positive[:, 0] = True
        if loss_name == "ce_own_items_only":
            loss = masked_cross_entropy(scores, positive, torch.zeros_like(positive))
        else:
            teacher = torch.tensor(published["labels"])
            loss = margin_mse(scores, teacher, positive, torch.zeros_like(positive))
        found[loss_name] = loss.item()
        assert found[loss_name] == pytest.approx(published["loss"], abs=5e-5), loss_name
    combined = found["margin_mse_1neg"] + losses["ce_first_item_only"]["loss"]
    assert combined == pytest.approx(losses["paper_combined"]["loss"], abs=1e-4)


def compare_gradients(model: Hypencoder, published: dict[str, Any]) -> None:
    names = {id(p): name for name, p in released_parameters(model).items()}
    found = {
        names[id(p)]: p.grad.norm().item()
        for p in model.parameters()
        if p.grad is not None and id(p) in names
    }
    compared = 0
    for name, norm in published["grad_l2_norm"].items():
        # The release counts a shared tower under one of its two names.
        name = name if name in found else name.replace("passage_encoder.", "query_encoder.")
        if norm is None or ("key_projections" in name and name.endswith(".bias")):
            continue
        assert found.get(name, 0.0) == pytest.approx(norm, rel=1e-3, abs=1e-6), name
        compared += 1
    assert compared > 50
    total = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm().item()
    assert total == pytest.approx(published["grad_l2_norm_total"], rel=1e-3)


def released_parameters(model: Hypencoder) -> dict[str, torch.nn.Parameter]:
    parts = {"query_encoder.": model.head, "query_encoder.transformer.": model.query_tower.transformer}
    if model.own_passage_tower is not None:
        parts["passage_encoder.transformer."] = model.own_passage_tower.transformer
    return {prefix + name: p for prefix, part in parts.items() for name, p in part.named_parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load_is_exact(parity: Path, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    model = Hypencoder.from_pretrained(parity / name)
    model.save_pretrained(tmp_path / "saved")
    # What was saved stands alone: the backbone's configuration is in it.
    monkeypatch.chdir(tmp_path)
    (parity / "tiny-bert").rename(parity / "gone")
    again = load_model(tmp_path / "saved")
    assert isinstance(again, Hypencoder)
    assert not again.training
    assert again.fingerprint() == model.fingerprint()
    assert again.spec == model.spec
    given = load_file(parity / name / "model.safetensors")
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert set(given) <= set(saved)
    assert all(torch.equal(tensor, saved[key]) for key, tensor in given.items())
    # transformers of the released code's time asks for it.
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    # Both copies of a shared tower, for the released code wants both.
    sides = [
        {key.partition(".")[2] for key in saved if key.startswith(f"{side}_encoder.transformer.")}
        for side in ("query", "passage")
    ]
    assert sides[0] == sides[1] != set()


def test_backbone_beside_the_checkpoint(parity: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert Hypencoder.from_pretrained(parity / "2_layer").query_tower.width == 32


def test_parameters_train_after_loading(parity: Path) -> None:
    model = Hypencoder.from_pretrained(parity / "2_layer")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert not any(parameter.is_meta for parameter in [*model.parameters(), *model.buffers()])


def test_keys_left_out_of_the_config() -> None:
    config = HypencoderConfig.from_dict(
        {"query_encoder_kwargs": {"converter_kwargs": {"vector_dimensions": [768, 768, 1]}}}
    )
    assert config == HypencoderConfig(
        qnet=QNetConfig((768, 768, 1)),
        query_model="",
        passage_model="",
        shared_encoder=False,
        encoder_width=768,
        pooling="cls",
        normalize=False,
        embedding_representation=None,
        freeze_query=False,
        freeze_passage=False,
        loss_type=[],
        loss_kwargs=[],
    )


def test_config_round_trip(parity: Path) -> None:
    values = json.loads((parity / "hub_format" / "config.json").read_text())
    config = HypencoderConfig.from_dict(values)
    assert config.loss_type == ["cross_entropy"]
    assert HypencoderConfig.from_dict(config.to_dict()) == config
    values |= {"loss_type": "margin_mse", "loss_kwargs": {"scale": 2}}
    config = HypencoderConfig.from_dict(values)
    assert (config.loss_type, config.loss_kwargs) == (["margin_mse"], [{"scale": 2}])


def test_widths_that_do_not_fit(parity: Path) -> None:
    edit_config(
        parity / "2_layer", lambda query: query["converter_kwargs"].update(vector_dimensions=[24, 24, 1])
    )
    with pytest.raises(ConfigError, match="input width 24, but the passage tower gives vectors of width 32"):
        Hypencoder.from_pretrained(parity / "2_layer")
    edit_config(parity / "extra_nonsquare", lambda query: query.update(base_encoder_output_dim=48))
    with pytest.raises(ConfigError, match="base_encoder_output_dim 48, but the query tower has width 32"):
        Hypencoder.from_pretrained(parity / "extra_nonsquare")


def edit_config(folder: Path, change: Any) -> None:
    values = json.loads((folder / "config.json").read_text())
    change(values["query_encoder_kwargs"])
    (folder / "config.json").write_text(json.dumps(values))


def test_config_that_is_no_object(parity: Path) -> None:
    (parity / "2_layer" / "config.json").write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        Hypencoder.from_pretrained(parity / "2_layer")
    with pytest.raises(ConfigError, match="must be JSON objects"):
        HypencoderConfig.from_dict({"query_encoder_kwargs": "tiny-bert"})


def test_model_without_a_tokenizer_takes_ids_only(parity: Path) -> None:
    with pytest.raises(ValueError, match="no tokenizer"):
        Hypencoder.from_pretrained(parity / "2_layer").tokenize(["x"])


@pytest.mark.parametrize("shared", [True, False])
def test_fresh_model_on_an_encoder(source: EncoderSource, tmp_path: Path, shared: bool) -> None:
    torch.manual_seed(1)
    model = Hypencoder.from_encoder(
        source, [WIDTH, WIDTH, 1], shared_encoder=shared, normalize=True, activation_type="tanh"
    ).eval()
    assert (model.own_passage_tower is None) is shared
    model.save_pretrained(tmp_path / "saved")
    again = Hypencoder.from_pretrained(tmp_path / "saved")
    assert (again.spec.to_dict(), again.fingerprint()) == (model.spec.to_dict(), model.fingerprint())
    assert again.settings() == model.settings()
    assert again.passage_tower.fingerprint() == model.passage_tower.fingerprint()
    batch = again.tokenize(["acute liver failure", "cold " * 40])
    assert batch["input_ids"].shape == (2, source.max_tokens)
    scores = []
    for either in (model, again):
        with torch.inference_mode():
            queries = either.encode_queries(batch["input_ids"], batch["attention_mask"])
            passages = either.encode_passages(batch["input_ids"], batch["attention_mask"])
            mentions, vectors = either.encode_with_vectors(batch["input_ids"], batch["attention_mask"])
            scores.append(queries(passages))
        torch.testing.assert_close(vectors, passages)
        torch.testing.assert_close(mentions(passages), scores[-1])
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert torch.equal(scores[0], scores[1])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_start_as_the_towers_own_dot_product(source: EncoderSource, pooling: Pooling) -> None:
    model = Hypencoder.from_encoder(
        replace(source, pooling=pooling),
        [WIDTH, WIDTH, WIDTH, 1],
        shared_encoder=False,
        normalize=True,
        input_scale=math.sqrt(WIDTH),
    ).eval()
    torch.manual_seed(3)
    model.initialise_as_dot_product(20.0, ["aspirin", "renal failure", "n-acetyl-p-aminophenol", "cold"])
    texts = ["paracetamol", "heart attack", "lithium", "acute liver failure", "aches", "l-dopa"]
    with torch.inference_mode():
        vectors = model.encode_passages_text(texts)
        scores = model.encode_queries_text(texts)(vectors)
    cosines = vectors @ vectors.T
    assert torch.corrcoef(torch.stack([scores.flatten(), cosines.flatten()]))[0, 1] > 0.98
    assert scores.argmax(dim=1).tolist() == list(range(len(texts)))


def test_start_as_dot_product_needs_first_tokens_that_stand_out(
    source: EncoderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Hypencoder.from_encoder(replace(source, pooling="cls"), [WIDTH, WIDTH, 1]).eval()
    torch.manual_seed(3)
    monkeypatch.setattr(model.query_tower, "hidden", lambda ids, mask: torch.randn(*ids.shape, WIDTH))
    with pytest.raises(ConfigError, match="first tokens"):
        model.initialise_as_dot_product(20.0, ["aspirin", "cold"] * 40)


def test_encoder_by_its_folder_alone_is_used_as_published(source: EncoderSource) -> None:
    model = Hypencoder.from_encoder(source.location, [WIDTH, WIDTH, 1])
    assert (model.spec.pooling, model.spec.normalize, model.spec.shared_encoder) == ("cls", False, True)
    assert model.spec.query_model == source.location
    # No longer than the tower has positions.
    texts = ["cold " * 100, "fever"]
    with torch.inference_mode():
        passages = model.eval().encode_passages_text(texts)
        scores = model.encode_queries_text(texts)(passages)
    assert model.tokenize(texts)["input_ids"].shape == (2, model.query_tower.max_positions)
    assert (passages.shape, scores.shape) == ((2, WIDTH), (2, 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(parity: Path, dtype: torch.dtype) -> None:
    expected = read_expected(parity / "2_layer")
    model = Hypencoder.from_pretrained(parity / "2_layer").to(dtype)
    with torch.inference_mode():
        qnets = model.encode_queries(*inputs(expected["queries"]))
        passages = model.encode_passages(*inputs(expected["passages"]))
        scores = qnets(passages)
        each = qnets(passages.expand(len(qnets), -1, -1))
    assert (passages.dtype, scores.dtype) == (torch.float32, dtype)
    # Scores are near 2; bf16 has 8 significant bits, fp16 has 11.
    close(scores.float(), expected["scores"], 0.2 if dtype == torch.bfloat16 else 0.02)
    torch.testing.assert_close(each, scores, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("side", ["query", "passage"])
def test_frozen_transformers_stay_so(parity: Path, side: str) -> None:
    path = parity / "extra_nonsquare" / "config.json"
    values = json.loads(path.read_text())
    values[f"{side}_encoder_kwargs"]["freeze_transformer"] = True
    path.write_text(json.dumps(values))
    model = Hypencoder.from_pretrained(parity / "extra_nonsquare")
    trains = {
        "query": any(p.requires_grad for p in model.query_tower.parameters()),
        "passage": any(p.requires_grad for p in model.passage_tower.parameters()),
    }
    assert trains == {"query": side != "query", "passage": side != "passage"}
    assert all(p.requires_grad for p in model.head.parameters())


def test_split_towers_are_saved_and_trained_apart(parity: Path, tmp_path: Path) -> None:
    model = Hypencoder.from_pretrained(parity / "2_layer")
    before = model.passage_tower.fingerprint()
    model.split_towers()
    model.freeze_passage_tower()
    with torch.no_grad():
        for parameter in model.query_tower.parameters():
            parameter.add_(0.05)
    model.save_pretrained(tmp_path / "saved")
    again = Hypencoder.from_pretrained(tmp_path / "saved")
    assert again.own_passage_tower is not None
    assert again.passage_tower.fingerprint() == before != again.query_tower.fingerprint()
    assert again.fingerprint() == model.fingerprint()


def test_first_candidates_come_from_the_tower_that_was_trained_for_them(
    source: EncoderSource, tmp_path: Path
) -> None:
    model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=False, normalize=True).eval()
    with torch.no_grad():
        for name, parameter in model.query_tower.named_parameters():
            if "weight" in name:
                parameter.mul_(1.5)
    batch = model.tokenize(["headache", "liver failure"])
    by_query = model.query_tower(batch["input_ids"], batch["attention_mask"])
    by_passage = model.encode_passages(batch["input_ids"], batch["attention_mask"])
    assert not torch.allclose(by_query, by_passage)

    def check(model: Hypencoder, expected: Tensor) -> None:
        _, vectors = model.encode_with_vectors(batch["input_ids"], batch["attention_mask"])
        torch.testing.assert_close(vectors, expected)
        torch.testing.assert_close(
            model.retrieval_tower(batch["input_ids"], batch["attention_mask"]), expected
        )

    check(model, by_passage)
    model.retrieve_by_query_tower(trained=True)
    check(model, by_query)
    model.save_pretrained(tmp_path / "model")
    assert model.spec.to_dict()["query_encoder_kwargs"]["embedding_representation"] == "mean"
    again = Hypencoder.from_pretrained(tmp_path / "model")
    check(again, by_query)
    again.retrieve_by_query_tower(trained=False)
    check(again, by_passage)


def test_vectors_of_any_length_do_not_retrieve_for_a_released_query_tower(source: EncoderSource) -> None:
    model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=False)
    model.spec = replace(model.spec, embedding_representation=model.spec.pooling)
    assert model.retrieval_tower is model.passage_tower


def test_towers_that_are_built_otherwise(source: EncoderSource, tmp_path: Path) -> None:
    model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=False)
    deeper = BertConfig.from_pretrained(source.location, num_hidden_layers=3)
    model.own_passage_tower = Tower(BertModel(deeper), model.spec.pooling, model.spec.normalize)
    # A folder's name may be a string.
    model.save_pretrained(str(tmp_path / "model"))
    again = Hypencoder.from_pretrained(tmp_path / "model")
    assert again.passage_tower.config.num_hidden_layers == 3
    assert again.query_tower.config.num_hidden_layers == 2
    assert again.fingerprint() == model.fingerprint()


def test_tokenizer_that_does_not_cut_is_made_to(source: EncoderSource, tmp_path: Path) -> None:
    model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1])
    model.save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved" / "tokenizer_config.json"
    values = json.loads(path.read_text())
    values.pop("model_max_length")
    path.write_text(json.dumps(values))
    again = Hypencoder.from_pretrained(tmp_path / "saved")
    assert again.tokenize(["cold " * 100])["input_ids"].shape == (1, again.query_tower.max_positions)


def test_freezing_keeps_the_passage_tower_in_evaluation(source: EncoderSource) -> None:
    model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=False)
    model.freeze_passage_tower()
    model.train()
    assert model.query_tower.training
    assert not model.passage_tower.training
    assert not any(parameter.requires_grad for parameter in model.passage_tower.parameters())
    with pytest.raises(ValueError, match="shared"):
        Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1]).freeze_passage_tower()


def test_load_model_of_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model here"):
        load_model(tmp_path)


def test_output_weights_retrieve_where_the_head_is_straight(source: EncoderSource) -> None:
    model = Hypencoder.from_encoder(
        source, [WIDTH, WIDTH, WIDTH, 1], normalize=True, input_scale=WIDTH**0.5
    ).eval()
    batch = model.tokenize(["headache", "liver failure"])
    first = model.retrieval_tower(**batch)
    torch.testing.assert_close(model.vector_encoder()(**batch), first)
    model.initialise_as_dot_product(20.0, [])
    torch.testing.assert_close(model.vector_encoder()(**batch), first)
    assert straighten(model, ["headache", "liver failure"])
    found = model.vector_encoder()(**batch)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2))
    output = model.encode_queries(**batch).weights[-1].squeeze(-1)
    torch.testing.assert_close(functional.cosine_similarity(found, output), torch.ones(2))
    # At the start these are the tower's own vectors.
    assert functional.cosine_similarity(found, first).min() > 0.99
