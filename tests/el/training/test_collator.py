"""Which candidates a batch has, and how they are marked."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.tower import EncoderSource
from el.ontology.ontology import Ontology
from el.training.collator import Candidates, Collator, batch_scores, name_rows
from el.training.pairs import Item, Pair
from tests.tiny import WIDTH, tiny_hypencoder


@pytest.fixture
def two(item_of: Callable[[str], Item]) -> list[Pair]:
    """The second query's first item is a name of the first query's concept."""

    def make(mention: str, concepts: tuple[str, ...], *items: str) -> Pair:
        return Pair(mention, mention, mention, concepts, tuple(map(item_of, items)))

    return [
        make("APAP", ("D000082",), "D000082/1", "D000082/0", "!D001241/0"),
        make("aspirin and apap", ("D001241", "D000082"), "D000082/1", "!D007854/0"),
    ]


def collate(
    model: RetrievalModel,
    ontology: Ontology,
    pairs: list[Pair],
    candidates: Candidates,
    vectors: NameVectors | None = None,
    step: int = 0,
    seed: int = 1,
) -> dict[str, torch.Tensor]:
    return Collator(model, ontology, candidates, vectors, seed)(step, pairs)


def test_marks(model: BiEncoder, ontology: Ontology, two: list[Pair]) -> None:
    batch = collate(model, ontology, two, Candidates(3, 0))
    # Three own items, then the first items of both queries.
    assert batch["positive"].tolist() == [
        [True, True, False, False, False],
        [True, False, False, False, False],
    ]
    # The empty place of the second query; names of own concepts among the shared ones.
    assert batch["ignored"].tolist() == [
        [False, False, False, True, True],
        [False, False, True, True, True],
    ]
    assert not (batch["positive"] & batch["ignored"]).any()


def test_shared_names_of_others_are_negatives(
    model: BiEncoder, ontology: Ontology, two: list[Pair], item_of: Callable[[str], Item]
) -> None:
    other = replace(two[1], concept_ids=("D007854",), items=(item_of("D007854/0"),))
    batch = collate(model, ontology, [two[0], other], Candidates(1, 0))
    assert batch["ignored"].tolist() == [[False, True, False], [False, False, True]]
    assert batch["positive"].tolist() == [[True, False, False], [True, False, False]]


def test_distinct_names_are_encoded_once(
    model: BiEncoder, ontology: Ontology, two: list[Pair], vectors: NameVectors
) -> None:
    batch = collate(model, ontology, two, Candidates(3, 0), vectors)
    # D000082/1, D000082/0, D001241/0, D007854/0.
    assert batch["passage_vectors"].shape == (4, WIDTH)
    assert batch["own"].tolist() == [[0, 1, 2], [0, 3, 0]]
    assert batch["shared"].tolist() == [0, 0]
    rows = [
        ontology.name_rows(id_)[place]
        for id_, place in (("D000082", 1), ("D000082", 0), ("D001241", 0), ("D007854", 0))
    ]
    assert np.array_equal(batch["passage_vectors"].numpy(), vectors.vectors[rows].astype(np.float32))
    assert name_rows(ontology, two[0].items).tolist() == rows[:3]
    batch = collate(model, ontology, two, Candidates(3, 0))
    assert batch["passage_ids"].shape == batch["passage_mask"].shape
    assert len(batch["passage_ids"]) == 4


def test_only_the_first_own_items(model: BiEncoder, ontology: Ontology, two: list[Pair]) -> None:
    batch = collate(model, ontology, two, Candidates(1, 0))
    assert batch["own"].tolist() == [[0], [0]]
    assert batch["positive"].shape == (2, 3)


def test_what_the_queries_of_a_batch_share(model: BiEncoder, ontology: Ontology, two: list[Pair]) -> None:
    alone = collate(model, ontology, two, Candidates(3, 0, "none"))
    assert alone["positive"].shape == (2, 3)
    assert alone["shared"].tolist() == []
    every = collate(model, ontology, two, Candidates(3, 0, "all"))
    # D000082/1, D000082/0, D001241/0 of the first query; D000082/1, D007854/0 of the second.
    assert every["shared"].tolist() == [0, 1, 2, 0, 3]
    # A query's own items are not counted twice, and names of own concepts are no negatives.
    assert every["ignored"].tolist() == [
        [False, False, False, True, True, True, True, False],
        [False, False, True, True, True, True, True, True],
    ]


def test_what_the_miner_scored(model: BiEncoder, ontology: Ontology, two: list[Pair]) -> None:
    items = [replace(item, score=0.25 * place) for place, item in enumerate(two[0].items)]
    batch = collate(model, ontology, [replace(two[0], items=tuple(items)), two[1]], Candidates(3, 0))
    assert batch["own_scores"].tolist() == [[0.0, 0.25, 0.5], [1.0, 1.0, 0.0]]


def test_random_names_are_those_of_the_step(
    model: BiEncoder, ontology: Ontology, two: list[Pair], vectors: NameVectors
) -> None:
    def shared(step: int, seed: int = 1) -> list[list[float]]:
        batch = collate(model, ontology, two, Candidates(1, 20), vectors, step, seed)
        assert batch["shared"].shape == (22,)
        names: list[list[float]] = batch["passage_vectors"][batch["shared"]].tolist()
        return names

    assert shared(3) == shared(3)
    assert shared(3) != shared(4)
    assert shared(3) != shared(3, seed=2)


def test_random_names_of_own_concepts_are_ignored(
    model: BiEncoder, ontology: Ontology, two: list[Pair], vectors: NameVectors
) -> None:
    batch = collate(model, ontology, two, Candidates(1, 200), vectors)
    every = vectors.vectors[:]
    for row, pair in enumerate(two):
        own = [name for id_ in pair.concept_ids for name in ontology.name_rows(id_)]
        for column, number in enumerate(batch["shared"].tolist(), start=1):
            vector = batch["passage_vectors"][number].numpy()
            is_own = any(np.array_equal(vector, every[name]) for name in own)
            assert bool(batch["ignored"][row, column]) is is_own
    assert not batch["positive"][:, 1:].any()


@pytest.mark.parametrize("kind", ["bi_encoder", "hypencoder"])
def test_text_and_vectors_give_the_same_scores(
    kind: str, source: EncoderSource, ontology: Ontology, two: list[Pair], vectors: NameVectors
) -> None:
    model = (BiEncoder.from_encoder(source) if kind == "bi_encoder" else tiny_hypencoder(source)).eval()
    vectors.check_model(model.passage_tower.fingerprint())
    scores = []
    for lookup in (None, vectors):
        batch = collate(model, ontology, two, Candidates(3, 5), lookup)
        with torch.inference_mode():
            scores.append(batch_scores(model, batch))
        assert scores[-1].shape == batch["positive"].shape == (2, 10)
    torch.testing.assert_close(scores[0], scores[1], atol=2e-2, rtol=2e-2)


def test_scores_stand_where_the_marks_stand(
    model: BiEncoder, ontology: Ontology, two: list[Pair], vectors: NameVectors
) -> None:
    batch = collate(model.eval(), ontology, two, Candidates(3, 0), vectors)
    with torch.inference_mode():
        scores = batch_scores(model, batch)
        queries = model.encode_queries(batch["query_ids"], batch["query_mask"])
        every = queries(torch.from_numpy(vectors.gather(np.arange(len(ontology.name_texts)))))
    for row, pair in enumerate(two):
        rows = (
            name_rows(ontology, pair.items).tolist() + name_rows(ontology, [p.items[0] for p in two]).tolist()
        )
        columns = [*range(len(pair.items)), 3, 4]
        torch.testing.assert_close(scores[row, columns], every[row, rows])


def test_gradients_flow_into_names_as_text_only(
    model: BiEncoder, ontology: Ontology, two: list[Pair], vectors: NameVectors
) -> None:
    batch = collate(model, ontology, two, Candidates(3, 0))
    assert model.encode_passages(batch["passage_ids"], batch["passage_mask"]).requires_grad
    assert not collate(model, ontology, two, Candidates(3, 0), vectors)["passage_vectors"].requires_grad
