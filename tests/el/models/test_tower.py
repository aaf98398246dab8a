"""Towers: pooling, what they refuse, and where encoders come from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import RobertaConfig, RobertaModel

from el.base.errors import ConfigError, ElError
from el.models.tower import EncoderSource, Tower, load_tokenizer, load_tower
from tests.tiny import WIDTH, tiny_encoder

IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 10, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def tower(source: EncoderSource) -> Tower:
    return load_tower(source, normalize=False).eval()


def with_pooling(tower: Tower, pooling: str, normalize: bool = False) -> Tower:
    return Tower(tower.transformer, pooling, normalize)  # type: ignore[arg-type]


def hidden_of(tower: Tower) -> Tensor:
    hidden: Tensor = tower.transformer(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return hidden


def test_cls_takes_the_first_token(tower: Tower) -> None:
    assert torch.equal(with_pooling(tower, "cls")(IDS, MASK), hidden_of(tower)[:, 0])


def test_mean_leaves_padding_out(tower: Tower) -> None:
    hidden = hidden_of(tower)
    expected = torch.stack([hidden[0].mean(dim=0), hidden[1, :3].mean(dim=0)])
    torch.testing.assert_close(with_pooling(tower, "mean")(IDS, MASK), expected)


def test_normalised_vectors_have_length_one(tower: Tower) -> None:
    plain, unit = with_pooling(tower, "mean")(IDS, MASK), with_pooling(tower, "mean", True)(IDS, MASK)
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))


def test_padding_changes_no_vector(tower: Tower) -> None:
    torch.testing.assert_close(tower(IDS[1:, :3], MASK[1:, :3]), tower(IDS, MASK)[1:], atol=1e-5, rtol=1e-5)


def test_vectors_are_float32(tower: Tower) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert tower(IDS, MASK).dtype == torch.float32
        assert with_pooling(tower, "cls")(IDS, MASK).dtype == torch.float32


def test_unknown_pooling(tower: Tower) -> None:
    with pytest.raises(ConfigError, match="'max': cls or mean"):
        with_pooling(tower, "max")


def test_row_that_masks_everything(tower: Tower) -> None:
    with pytest.raises(ValueError, match="row 1 masks every token"):
        tower(IDS, torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]))


def test_longest_input(tower: Tower) -> None:
    longest = torch.full((1, tower.max_positions), 10)
    assert tower(longest, torch.ones_like(longest)).shape == (1, WIDTH)
    longer = torch.full((1, tower.max_positions + 1), 10)
    with pytest.raises(ValueError, match="input of 65 tokens, but the tower has 64 positions"):
        tower(longer, torch.ones_like(longer))


def test_fingerprint_says_whether_vectors_are_equal(source: EncoderSource) -> None:
    tower = load_tower(source, normalize=False)
    before = tower.fingerprint()
    assert load_tower(source, normalize=False).fingerprint() == before
    assert with_pooling(tower, "cls").fingerprint() != before
    assert with_pooling(tower, "mean", True).fingerprint() != before
    with torch.no_grad():
        tower.transformer.pooler.dense.weight.add_(1)  # type: ignore[operator, union-attr]
        assert tower.fingerprint() == before
        next(tower.transformer.parameters())[0, 0].add_(1e-3)
    assert tower.fingerprint() != before


def test_tokenizer_cuts(source: EncoderSource) -> None:
    tokenizer = load_tokenizer(source.location, 7)
    assert len(tokenizer("paracetamol and more", truncation=True)["input_ids"]) == 7


@pytest.mark.parametrize(
    ("kind", "location", "message"),
    [
        ("package", "no_such_package/model", "no_such_package is not installed"),
        ("package", "el/no_such_folder", "is not a folder"),
        ("folder", "no_such_folder", "no_such_folder is not a folder"),
    ],
)
def test_encoder_that_is_not_there(source: EncoderSource, kind: str, location: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(source, source=kind, location=location).resolve()


def test_encoder_in_a_package(source: EncoderSource) -> None:
    found = replace(source, source="package", location="el/models").resolve()
    assert Path(found, "tower.py").is_file()
    assert replace(source, source="hub", location="some/name").resolve() == "some/name"


def test_folder_without_a_model(source: EncoderSource, tmp_path: Path) -> None:
    with pytest.raises(ElError, match="encoder tiny: cannot load"):
        load_tower(replace(source, location=str(tmp_path)), normalize=False)
    with pytest.raises(ElError, match="no tokenizer"):
        load_tokenizer(tmp_path, 8)


def test_positions_of_a_roberta_begin_after_its_padding() -> None:
    config = RobertaConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=12,
        pad_token_id=1,
    )
    tower = Tower(RobertaModel(config), "cls", normalize=False)
    assert tower.max_positions == 10
    longest = torch.full((1, 10), 5)
    assert tower(longest, torch.ones_like(longest)).shape == (1, 8)
    with pytest.raises(ValueError, match="the tower has 10 positions"):
        tower(torch.full((1, 11), 5), torch.ones(1, 11))
