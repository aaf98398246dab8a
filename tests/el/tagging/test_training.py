"""Training: a toy task is learnt, and an interruption changes nothing."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from el.base.errors import ConfigError
from el.corpus.types import Document
from el.evaluation.mentions import figures, gold_spans, span_tally
from el.models.biencoder import BiEncoder
from el.tagging import training
from el.tagging.compile import make_tagger
from el.tagging.config import TaggerConfig
from el.tagging.encoding import WordEncoder
from el.tagging.finder import DictionaryFinder
from el.tagging.labels import COUNT, KIND_OF_LABEL, is_legal
from el.tagging.model import crf_loss, word_scores
from el.tagging.store import TrainedTagger, fresh_tagger
from el.tagging.training import Example, collate, examples, plan, train_tagger
from tests.el.tagging.conftest import document
from tests.tiny import TINY_TAGGER


def toy(count: int) -> list[Document]:
    """Chemicals behind "of", diseases in brackets; the same words are both, some of them names."""
    words = ["aspirin", "cold", "lithium", "gno", "hep", "headache", "x7"]
    documents = []
    for number in range(count):
        one, two = words[number % 7], words[(3 * number + 2) % 7]
        text = f"Use of {one} 2 for ({two} ab)."
        documents.append(document(f"d{number}", text, (one, "chemical"), (f"{two} ab", "disease")))
    return documents


def data_of(tagger: TrainedTagger, documents: list[Document], finder: DictionaryFinder) -> list[Example]:
    encoder = WordEncoder(tagger.tokenizer, finder, tagger.reading.max_pieces)
    return [e for d in documents for e in examples(encoder.words(d), gold_spans(d), tagger.reading)]


def trained(
    start: BiEncoder,
    finder: DictionaryFinder,
    scratch: Path,
    config: TaggerConfig = TINY_TAGGER,
    count: int = 16,
) -> TrainedTagger:
    tagger = fresh_tagger(start, config)
    train_tagger(tagger.model, config, data_of(tagger, toy(count), finder), tagger.reading, scratch)
    return tagger


def test_a_toy_task_is_learnt(start: BiEncoder, finder: DictionaryFinder, tmp_path: Path) -> None:
    tagger = trained(start, finder, tmp_path / "scratch")
    documents = toy(40)[16:]
    found = make_tagger(tagger, finder).mentions(documents)
    flat = figures(span_tally(documents, found))
    assert min(flat["chemical/f1"], flat["disease/f1"]) > 0.9
    assert not (tmp_path / "scratch").exists()
    before, after = (m.transformer.embeddings for m in (fresh_tagger(start, TINY_TAGGER).model, tagger.model))
    assert torch.equal(before.word_embeddings.weight, after.word_embeddings.weight)
    assert not torch.equal(before.position_embeddings.weight, after.position_embeddings.weight)


def test_a_killed_training_ends_in_the_same_weights(
    start: BiEncoder, finder: DictionaryFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY_TAGGER, epochs=2)
    whole = trained(start, finder, tmp_path / "whole", config)
    make, made = training.collate, []

    def killed(*arguments: object) -> dict[str, Tensor]:
        made.append(arguments)
        if len(made) == 6:
            raise KeyboardInterrupt
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "collate", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(start, finder, tmp_path / "killed", config)
    again = trained(start, finder, tmp_path / "killed", config)
    # 8 steps in all, 6 tried before; from the checkpoint of step 4 on.
    assert len(made) < 6 + 8
    ours, theirs = again.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_labels_are_legal_where_a_window_cuts_a_mention(start: BiEncoder, finder: DictionaryFinder) -> None:
    tagger = fresh_tagger(start, replace(TINY_TAGGER, max_tokens=8, overlap=2))
    own = document("d", "a bcd ef gh", ("bcd ef gh", "disease"))
    data = data_of(tagger, [own], finder)
    assert len(data) > 1
    assert all(is_legal(example.labels) and any(example.labels) for example in data)
    assert [len(example.labels) for example in data] == [e.window.last - e.window.first for e in data]


def test_steps_take_all_of_each_epoch_and_like_lengths_together() -> None:
    lengths = [7, 1, 3, 9, 2, 8, 5]
    steps = plan(lengths, 2, 3, seed=1)
    assert len(steps) == 12
    for start in range(0, 12, 4):
        assert sorted(row for step in steps[start : start + 4] for row in step) == list(range(7))
        order = sorted(range(7), key=lengths.__getitem__)
        assert all(
            abs(order.index(step[0]) - order.index(step[-1])) <= 1 for step in steps[start : start + 4]
        )
    assert steps != plan(lengths, 2, 3, seed=2)
    assert steps == plan(lengths, 2, 3, seed=1)


def test_crf_loss_is_the_likelihood_among_all_legal_paths() -> None:
    torch.manual_seed(1)
    emissions, transitions = torch.randn(2, 2, COUNT), torch.randn(COUNT + 2, COUNT + 2)
    legal = [(0, 0), (1, 3), (0, 4), (8, 8), (5, 7), (4, 0), (0, 8), (4, 4), (4, 8), (8, 4), (8, 0)]

    def score(row: int, path: tuple[int, ...]) -> Tensor:
        ends = (COUNT, *path, COUNT + 1)
        steps = sum(transitions[a, b] for a, b in itertools.pairwise(ends))
        return steps + sum(emissions[row, place, label] for place, label in enumerate(path))

    first = score(0, (1, 3)) - torch.logsumexp(torch.stack([score(0, path) for path in legal]), 0)
    short = torch.stack([score(1, (label,)) for label in (0, 4, 8)])
    second = short[1] - torch.logsumexp(short, 0)
    nothing = torch.zeros(2, COUNT, dtype=torch.bool)
    loss = crf_loss(emissions, torch.tensor([[1, 3], [4, -1]]), nothing, transitions)
    assert loss.item() == pytest.approx(-(first + second).item() / 3, abs=1e-5)


def test_labels_of_kinds_that_a_corpus_does_not_annotate_are_neither_right_nor_wrong() -> None:
    torch.manual_seed(1)
    emissions, transitions = torch.randn(1, 2, COUNT), torch.randn(COUNT + 2, COUNT + 2)
    chemicals = torch.tensor([[kind == "chemical" for kind in KIND_OF_LABEL]])
    nothing = torch.zeros(1, COUNT, dtype=torch.bool)

    def likelihood(labels: list[int], unknown: Tensor) -> float:
        return float(torch.exp(-2 * crf_loss(emissions, torch.tensor([labels]), unknown, transitions)))

    # Where no disease is annotated at the second word: no mention, or any of a chemical.
    fitting = [[0, 0], [4, 0], [0, 4], [4, 4], [1, 3]]
    expected = sum(likelihood(labels, nothing) for labels in fitting)
    assert likelihood([0, 0], chemicals) == pytest.approx(expected, rel=1e-4)
    # The annotated disease at the first word stays.
    expected = sum(likelihood(labels, nothing) for labels in ([8, 0], [8, 4]))
    assert likelihood([8, 0], chemicals) == pytest.approx(expected, rel=1e-4)


def test_word_scores_are_the_mean_of_pieces() -> None:
    scores = torch.arange(10.0).reshape(1, 5, 2)
    means = word_scores(scores, torch.tensor([[3, 0, 0, 1, 3]]), 3)
    assert means.tolist() == [[[3.0, 4.0], [6.0, 7.0], [0.0, 0.0]]]


def test_what_is_hidden(start: BiEncoder, finder: DictionaryFinder) -> None:
    tagger = fresh_tagger(start, TINY_TAGGER)
    (example,) = data_of(tagger, [document("d", "acute liver failure or headache")], finder)
    names, masked = set(), set()
    config = replace(TINY_TAGGER, hidden_words=0.5, hidden_names=0.5)
    for seed in range(50):
        batch = collate([example], tagger.reading, config, np.random.default_rng(seed))
        own = batch["words"][0] < 5
        for word in range(5):
            pieces = batch["input_ids"][0][batch["words"][0] == word]
            # A word is hidden as a whole, or not at all.
            assert len(set((pieces == tagger.reading.mask).tolist())) == 1
            masked.add((word, bool(pieces[0] == tagger.reading.mask)))
        places = [int(batch["names"][0][batch["words"][0] == word][0]) for word in range(5)]
        names.add(tuple(places))
        assert not batch["names"][0][~own].any()
    full = tuple(example.words.names)
    assert full == (5, 6, 7, 0, 8)
    # So is what the dictionary finds.
    assert names == {full, (*full[:4], 0), (0, 0, 0, 0, 8), (0,) * 5}
    assert len(masked) == 10


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch": 0}, {"layers": 0}, {"dropout": 1.0}, {"overlap": 46}, {"learning_rate": 0.0}],
)
def test_settings_that_make_no_sense(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        replace(TINY_TAGGER, **changes)  # type: ignore[arg-type]


def test_more_than_the_encoder_has(start: BiEncoder) -> None:
    with pytest.raises(ConfigError, match="max_tokens is 65"):
        fresh_tagger(start, replace(TINY_TAGGER, max_tokens=65))
    with pytest.raises(ConfigError, match="layers is 3"):
        fresh_tagger(start, replace(TINY_TAGGER, layers=3))
    assert len(fresh_tagger(start, replace(TINY_TAGGER, layers=1)).model.transformer.encoder.layer) == 1
