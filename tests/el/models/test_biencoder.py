"""The bi-encoder, and what others read of it: plain SentenceTransformers."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
from torch import Tensor

from el.base.errors import InputError
from el.models.biencoder import BiEncoder
from el.models.loading import load_model
from el.models.tower import EncoderSource
from tests.tiny import tiny_encoder

TEXTS = ["acute liver failure", "cold", "n-acetyl-l-cysteine " * 10]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def encode(model: BiEncoder) -> tuple[Tensor, Tensor]:
    batch = model.tokenize(TEXTS)
    with torch.inference_mode():
        queries = model.encode_queries(batch["input_ids"], batch["attention_mask"]).vectors
        return queries, model.encode_passages(batch["input_ids"], batch["attention_mask"])


def plain(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def same(first: Any, second: Any) -> None:
    torch.testing.assert_close(torch.as_tensor(first), torch.as_tensor(second), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("normalize", [True, False])
def test_anybody_can_load_one_tower(
    source: EncoderSource, tmp_path: Path, pooling: Any, normalize: bool
) -> None:
    model = BiEncoder.from_encoder(replace(source, pooling=pooling), normalize).eval()
    model.save_pretrained(tmp_path / "saved")
    same(plain(tmp_path / "saved").encode(TEXTS), encode(model)[1])
    again = load_model(tmp_path / "saved")
    assert isinstance(again, BiEncoder)
    assert not again.training
    assert again.own_passage_tower is None
    assert (again.query_tower.pooling, again.query_tower.normalize) == (pooling, normalize)
    assert again.passage_tower.fingerprint() == model.passage_tower.fingerprint()
    assert torch.equal(encode(again)[0], encode(model)[0])
    # Texts are cut where the encoder was told to.
    assert again.tokenize(TEXTS)["input_ids"].shape[1] == source.max_tokens


def test_anybody_can_load_two_towers(source: EncoderSource, tmp_path: Path) -> None:
    one = BiEncoder.from_encoder(source).eval()
    model = BiEncoder(one.query_tower, copy.deepcopy(one.query_tower), one.tokenizer).eval()
    with torch.no_grad():
        for parameter in model.query_tower.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    queries, passages = encode(model)
    assert not torch.allclose(queries, passages)
    model.save_pretrained(tmp_path / "saved")
    others = plain(tmp_path / "saved")
    same(others.encode_query(TEXTS), queries)
    same(others.encode_document(TEXTS), passages)
    again = BiEncoder.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(encode(again)[0], queries)
    assert torch.equal(encode(again)[1], passages)
    assert again.fingerprint() == model.fingerprint()
    assert again.tokenize(TEXTS)["input_ids"].shape[1] == source.max_tokens


def test_folders_of_older_versions(source: EncoderSource, tmp_path: Path) -> None:
    model = BiEncoder.from_encoder(source).eval()
    model.save_pretrained(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rpartition(".")[2]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    pooling = {
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "word_embedding_dimension": 32,
    }
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 9, "do_lower_case": false}')
    again = BiEncoder.from_pretrained(tmp_path)
    assert (again.query_tower.pooling, again.query_tower.normalize) == ("mean", True)
    assert again.tokenize(TEXTS)["input_ids"].shape[1] == 9
    pooling["pooling_mode_cls_token"] = True
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(InputError, match=r"1_Pooling/config.json.*\['cls', 'mean'\]"):
        BiEncoder.from_pretrained(tmp_path)


def test_scores_are_dot_products_over_the_temperature(source: EncoderSource) -> None:
    model = BiEncoder.from_encoder(source, temperature=0.1).eval()
    batch = model.tokenize(TEXTS)
    with torch.inference_mode():
        queries, vectors = model.encode_with_vectors(batch["input_ids"], batch["attention_mask"])
        passages = model.encode_passages(batch["input_ids"], batch["attention_mask"])
    expected = torch.tensor([[sum(q * p) / 0.1 for p in passages] for q in vectors])
    torch.testing.assert_close(queries(passages), expected)
    own = torch.stack([passages[[0, 1]], passages[[1, 2]], passages[[2, 0]]])
    torch.testing.assert_close(queries(own), torch.stack([expected[i, [i, (i + 1) % 3]] for i in range(3)]))
    assert len(queries) == 3


def test_other_sentence_transformers_are_refused(source: EncoderSource, tmp_path: Path) -> None:
    transformer = Transformer(source.location)
    model = SentenceTransformer(modules=[transformer, Pooling(32), Dense(32, 8)], device="cpu")
    model.save_pretrained(str(tmp_path / "dense"), create_model_card=False)
    with pytest.raises(InputError, match="modules Transformer, Pooling, Dense"):
        BiEncoder.from_pretrained(tmp_path / "dense")
    with pytest.raises(InputError, match="not a SentenceTransformer"):
        BiEncoder.from_pretrained(tmp_path / "nothing")


def test_settings_tell_models_of_equal_weights_apart(source: EncoderSource) -> None:
    models = [
        BiEncoder.from_encoder(source),
        BiEncoder.from_encoder(source, temperature=0.1),
        BiEncoder.from_encoder(source, normalize=False),
        BiEncoder.from_encoder(replace(source, pooling="cls")),
    ]
    assert len({model.fingerprint() for model in models}) == 1
    assert len({model.settings() for model in models}) == 4
