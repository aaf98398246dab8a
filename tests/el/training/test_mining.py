"""Mined names against brute force."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from el.base.errors import ConfigError
from el.base.markers import markers
from el.index.encode import encode_texts
from el.index.vectors import NameVectors
from el.models.biencoder import BiEncoder
from el.ontology.ontology import Ontology
from el.training.mining import Miner, MiningConfig
from el.training.pairs import Item, Pair

PAIRS = [
    Pair("1", "APAP : given [ APAP ]", "APAP", ("D000082",), ()),
    Pair("2", "cold", "cold", ("D003139", "D003080"), ()),
    Pair("3", "Lithium-7", "Lithium-7", ("D008094",), ()),
]


@pytest.fixture
def miner(model: BiEncoder, vectors: NameVectors, ontology: Ontology) -> Miner:
    texts = [f"{text} : defined" for text in ontology.name_texts]
    return Miner(model, vectors, ontology, MiningConfig(names=10, nearest=12, positives=3), texts)


def similarities(miner: Miner, pair: Pair) -> np.ndarray:  # type: ignore[type-arg]
    query = encode_texts(miner.model, [pair.mention])[0].astype(np.float32)
    similar: np.ndarray = miner.vectors.vectors[:] @ query  # type: ignore[type-arg]
    return similar


def rows_of(ontology: Ontology, items: tuple[Item, ...]) -> list[int]:
    return [ontology.name_rows(item.concept_id)[item.place] for item in items]


def has_other_markers(ontology: Ontology, pair: Pair, row: int) -> bool:
    wanted, known = markers(pair.mention), markers(ontology.name_texts[row])
    return bool(wanted) and bool(known) and wanted != known


def test_negatives_with_other_numbers_go_first(miner: Miner, ontology: Ontology) -> None:
    texts = ["Lithium-7", "sodium 22", "sodium"]
    pairs = [Pair(text, text, text, ("D008094",), ()) for text in texts]
    for pair, mined in zip(pairs, miner.for_training(pairs, "", names=False), strict=True):
        negatives = rows_of(ontology, tuple(item for item in mined.items if item.type == "negative"))
        other = [has_other_markers(ontology, pair, row) for row in negatives]
        # A mention without markers has none that differ.
        assert any(other) == (pair.mention != "sodium")
        assert other == sorted(other, reverse=True)


@pytest.mark.parametrize("names", [True, False])
def test_positives_first_then_the_nearest_others(miner: Miner, ontology: Ontology, names: bool) -> None:
    for pair, mined in zip(PAIRS, miner.for_training(PAIRS, "", names=names), strict=True):
        scores = similarities(miner, pair)
        own = [row for id_ in pair.concept_ids for row in ontology.name_rows(id_)]
        fit = [row for row in own if not names or ontology.name_texts[row] != pair.mention]
        positives = sorted(fit, key=lambda row: -scores[row])[:3]
        nearest = np.argsort(-scores, kind="stable")[:12]
        found = rows_of(ontology, mined.items)
        types = [item.type for item in mined.items]
        assert types == ["positive"] * len(positives) + ["negative"] * (len(found) - len(positives))
        np.testing.assert_allclose(scores[found[: len(positives)]], scores[positives], atol=1e-5)
        assert set(found[len(positives) :]) == set(nearest) - set(own)
        others = [row for row in found[len(positives) :] if not has_other_markers(ontology, pair, row)]
        assert (np.diff(scores[others]) <= 1e-6).all()
        np.testing.assert_allclose([item.score for item in mined.items], scores[found], atol=1e-5)
        assert (mined.id, mined.content, mined.concept_ids) == (pair.id, pair.content, pair.concept_ids)


def test_a_name_is_no_positive_of_its_own(miner: Miner) -> None:
    mentions, names = (next(miner.for_training(PAIRS, "", names=names)) for names in (False, True))
    assert mentions.items[0].content == "APAP : defined"
    assert "APAP : defined" not in [item.content for item in names.items]


def test_a_name_without_another_is_left_out(miner: Miner) -> None:
    alone = Pair("4", "Lead", "Lead", ("D007854",), ())
    assert [pair.id for pair in miner.for_training([alone, *PAIRS], "", names=True)] == ["1", "2", "3"]
    assert [pair.id for pair in miner.for_training([alone], "", names=False)] == ["4"]


def test_selection_is_what_retrieval_finds(miner: Miner, ontology: Ontology) -> None:
    for pair, mined in zip(PAIRS, miner.for_selection(PAIRS, ""), strict=True):
        scores = similarities(miner, pair)
        found = rows_of(ontology, mined.items)
        assert len(found) == 12
        np.testing.assert_allclose(scores[found], np.sort(scores)[::-1][:12], atol=1e-5)
        for item in mined.items:
            assert item.type == ("positive" if item.concept_id in pair.concept_ids else "negative")


def test_queries_are_mined_for_by_their_mention(miner: Miner) -> None:
    longer = Pair("1", "another text", "APAP", ("D000082",), ())
    found = [next(miner.for_selection([pair], "")).items for pair in (PAIRS[0], longer)]
    assert found[0] == found[1]


@pytest.mark.parametrize("values", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_numbers_below_one(values: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="each must be 1 or more"):
        MiningConfig(*values)


def test_mining_leaves_no_gradients(miner: Miner, item_of: Callable[[str], Item]) -> None:
    assert (
        next(miner.for_training(PAIRS, "", names=False)).items[0].concept_id
        == item_of("D000082/0").concept_id
    )
    assert all(parameter.grad is None for parameter in miner.model.parameters())
    assert torch.is_grad_enabled()
