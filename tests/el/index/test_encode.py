"""Encoding in batches gives what encoding one by one gives, in the order of the texts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from el.index.encode import by_length, encode_texts
from el.models.biencoder import BiEncoder
from tests.tiny import WIDTH, tiny_encoder, tiny_ontology


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BiEncoder:
    return BiEncoder.from_encoder(tiny_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.mark.parametrize("many", [10**9, 0], ids=["as it is", "compiled"])
def test_order_is_that_of_the_texts(model: BiEncoder, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr("el.index.encode.BATCH", 4)
    monkeypatch.setattr("el.index.encode._MANY", many)
    texts = tiny_ontology().name_texts
    model.train()
    vectors = encode_texts(model, texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), WIDTH), np.float16)
    alone = []
    for text in texts:
        batch = model.tokenize([text])
        with torch.inference_mode():
            alone.append(model.eval().encode_passages(batch["input_ids"], batch["attention_mask"])[0].numpy())
    # Within what bf16 rounds off, where the machine has it.
    np.testing.assert_allclose(vectors, np.stack(alone), atol=5e-3)
    for text, vector in zip(texts, vectors, strict=True):
        nearest = np.linalg.norm(np.stack(alone) - vector, axis=1).argmin()
        assert texts[nearest].casefold() == text.casefold()


def test_passages_are_encoded_by_the_passage_tower(model: BiEncoder, tmp_path: Path) -> None:
    other = BiEncoder.from_encoder(tiny_encoder(tmp_path))
    with torch.no_grad():
        for parameter in other.query_tower.parameters():
            parameter.mul_(-1)
    two = BiEncoder(other.query_tower, model.query_tower, model.tokenizer)
    assert np.array_equal(encode_texts(two, ["cold"]), encode_texts(model, ["cold"]))


def test_nothing_to_encode(model: BiEncoder) -> None:
    assert encode_texts(model, []).shape == (0, WIDTH)


def test_batches_of_similar_length() -> None:
    assert [batch.tolist() for batch in by_length([3, 1, 4, 2, 1], 2)] == [[1, 4], [3, 0], [2]]
    assert by_length([], 2) == []


def test_token_ids_are_as_many_as_in_batches(model: BiEncoder) -> None:
    texts = ["cold", "acute liver failure", "cold " * 100]
    counts = [int(model.tokenize([text])["attention_mask"].sum()) for text in texts]
    assert [len(ids) for ids in model.token_ids(texts)] == counts
