"""The trainer: exact resumption, what is trained and what is not, and which state is kept."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from transformers import TrainingArguments

from el.base.errors import ConfigError
from el.index.vectors import NameVectors
from el.models.base import RetrievalModel, inference_precision
from el.models.biencoder import BiEncoder
from el.models.dot_product import DotProducts
from el.models.hypencoder import Hypencoder
from el.models.tower import EncoderSource, Tower
from el.ontology.ontology import Ontology
from el.training import trainer as module
from el.training.batches import Source, plan_batches
from el.training.collator import Candidates, Collator, batch_scores, candidate_scores
from el.training.config import TrainConfig, run_key
from el.training.losses import masked_cross_entropy
from el.training.pairs import Pair
from el.training.trainer import rerank_accuracy, train
from tests.tiny import WIDTH, tiny_hypencoder

CONFIG = TrainConfig(
    steps=6,
    learning_rate=1e-3,
    head_learning_rate=3e-3,
    warmup_steps=1,
    weight_decay=0.01,
    label_weight=1.0,
    distillation_weight=0.0,
    squared_weight=0.1,
    evaluate_every=2,
    seed=1,
)


def make_model(kind: str, source: EncoderSource) -> RetrievalModel:
    """Two towers, the passage tower frozen."""
    model: RetrievalModel
    if kind == "bi_encoder":
        torch.manual_seed(5)
        one = BiEncoder.from_encoder(source)
        model = BiEncoder(one.query_tower, copy.deepcopy(one.query_tower), one.tokenizer)
    else:
        # Scaled as the pipeline does, or else so small a q-net hardly learns from unit vectors.
        model = tiny_hypencoder(source, seed=5, input_scale=math.sqrt(WIDTH))
    model.freeze_passage_tower()
    return model


def without_dropout(model: RetrievalModel) -> RetrievalModel:
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    return model


class KilledError(Exception):
    """As if the process were killed."""


class KillingCollator(Collator):
    """A collator that is killed when it makes the batch of one step."""

    kill_at: int | None = None

    def __call__(self, step: int, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        if step == self.kill_at:
            raise KilledError
        return super().__call__(step, pairs)


class Run:
    """One training in one folder, to be run until it ends."""

    def __init__(
        self, ontology: Ontology, pairs: list[Pair], vectors: NameVectors | None, folder: Path
    ) -> None:
        self.ontology, self.pairs, self.vectors, self.folder = ontology, pairs, vectors, folder

    def __call__(
        self, model: RetrievalModel, config: TrainConfig = CONFIG, kill_at: int | None = None
    ) -> dict[str, float]:
        batches = plan_batches([Source(self.pairs, 4)], config.steps, config.seed)
        collator = KillingCollator(model, self.ontology, Candidates(2, 3), self.vectors, config.seed)
        collator.kill_at = kill_at
        dev = Collator(model, self.ontology, Candidates(3, 0), self.vectors, config.seed)
        scratch, curves = self.folder / "scratch", self.folder / "curves"
        return train(model, config, batches, collator, self.pairs, dev, scratch, curves)

    def curve(self, name: str) -> list[int]:
        lines = (self.folder / "curves" / "plots" / "metrics" / f"{name}.tsv").read_text().splitlines()
        return [int(line.split("\t")[lines[0].split("\t").index("step")]) for line in lines[1:]]


@pytest.fixture
def run(ontology: Ontology, pairs: list[Pair], vectors: NameVectors, tmp_path: Path) -> Run:
    return Run(ontology, pairs, vectors, tmp_path / "run")


@pytest.mark.parametrize("kind", ["bi_encoder", "hypencoder"])
def test_killed_training_ends_in_the_same_weights(
    kind: str, source: EncoderSource, run: Run, tmp_path: Path
) -> None:
    run.folder = tmp_path / "whole"
    whole = make_model(kind, source)
    # Dropout is on: the random numbers must go on too.
    assert any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in whole.modules())
    outcome = run(whole)
    run.folder = tmp_path / "killed"
    for kill_at in (3, 5):
        with pytest.raises(KilledError):
            run(make_model(kind, source), kill_at=kill_at)
    # The next look at dev, and the checkpoint that was being written when the machine went down.
    (run.folder / "scratch" / "checkpoint-6").mkdir()
    (curve,) = (run.folder / "scratch" / "dvclive").rglob("dev_accuracy.tsv")
    with curve.open("a") as stream:
        stream.write("6\t0.5\n")
    resumed = make_model(kind, source)
    assert run(resumed) == outcome
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    # No point of the curve twice.
    assert run.curve("dev_accuracy") == [2, 4, 6]
    # Once more at the end, as when the process was killed before it saved the model.
    again = make_model(kind, source)
    assert run(again) == outcome
    assert again.fingerprint() == whole.fingerprint()


def test_kill_before_the_first_checkpoint(source: EncoderSource, run: Run, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run(make_model("hypencoder", source), kill_at=1)
    resumed = make_model("hypencoder", source)
    run(resumed)
    run.folder = tmp_path / "whole"
    whole = make_model("hypencoder", source)
    run(whole)
    assert resumed.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("kind", ["bi_encoder", "hypencoder"])
def test_frozen_passage_tower_stays(
    kind: str, source: EncoderSource, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def spy(name: str) -> None:
        function = getattr(module, name)

        def called(model: RetrievalModel, batch: dict[str, Tensor]) -> Tensor:
            modes.append((model.training, model.query_tower.training, model.passage_tower.training))
            result: Tensor = function(model, batch)
            return result

        monkeypatch.setattr(module, name, called)

    # Training looks names up with the one, dev is scored with the other.
    spy("passage_vectors")
    spy("batch_scores")
    model = make_model(kind, source)
    before = model.passage_tower.fingerprint()
    query_before = model.query_tower.fingerprint()
    run(model)
    assert set(modes) == {(True, True, False), (False, False, False)}
    assert model.passage_tower.fingerprint() == before
    assert model.query_tower.fingerprint() != query_before
    assert not model.training


def test_the_head_has_a_learning_rate_of_its_own(
    source: EncoderSource, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.Optimizer] = []
    create = module.PairTrainer.create_optimizer

    def spy(self: Any, model: Any = None) -> torch.optim.Optimizer:
        made.append(create(self, model))
        return made[-1]

    monkeypatch.setattr(module.PairTrainer, "create_optimizer", spy)
    model = make_model("hypencoder", source)
    assert isinstance(model, Hypencoder)
    run(model, replace(CONFIG, steps=2))
    groups = made[0].param_groups
    assert [group["initial_lr"] for group in groups] == [1e-3, 3e-3]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.01]
    grouped = [{id(p) for p in group["params"]} for group in groups]
    assert grouped == [
        {id(p) for p in model.query_tower.parameters()},
        {id(p) for p in model.head.parameters()},
    ]
    run.folder = run.folder / "bi_encoder"
    run(make_model("bi_encoder", source), replace(CONFIG, steps=2))
    assert [group["initial_lr"] for group in made[1].param_groups] == [1e-3]


@pytest.mark.parametrize(
    ("accuracies", "best_step"), [([0.5, 0.9, 0.7], 4), ([0.9, 0.5, 0.7], 2), ([0.5, 0.5, 0.6], 6)]
)
def test_best_state_on_dev_is_kept(
    accuracies: list[float],
    best_step: int,
    source: EncoderSource,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states: list[str] = []
    values = iter([0.1, *accuracies])

    def fake(model: RetrievalModel, *_: Any) -> float:
        states.append(model.fingerprint())
        return next(values)

    monkeypatch.setattr(module, "rerank_accuracy", fake)
    model = make_model("bi_encoder", source)
    outcome = run(model)
    assert outcome == {"steps": 6, "dev_accuracy_start": 0.1, "dev_accuracy": max(accuracies)}
    assert len(set(states)) == 4
    assert model.fingerprint() == states[best_step // 2]


def test_training_that_made_it_worse_is_taken_back(
    source: EncoderSource, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.9, 0.1, 0.2, 0.3])
    monkeypatch.setattr(module, "rerank_accuracy", lambda *_: next(accuracies))
    model = make_model("hypencoder", source)
    before = model.fingerprint()
    assert run(model)["dev_accuracy"] == 0.9
    assert model.fingerprint() == before


def test_fewer_steps_than_until_the_first_look(source: EncoderSource, run: Run, pairs: list[Pair]) -> None:
    model = make_model("bi_encoder", source)
    outcome = run(model, replace(CONFIG, evaluate_every=50, learning_rate=1e-9))
    assert outcome["dev_accuracy"] == outcome["dev_accuracy_start"]


@pytest.mark.parametrize("kind", ["bi_encoder", "hypencoder"])
def test_loss_falls(kind: str, source: EncoderSource, run: Run, pairs: list[Pair]) -> None:
    model = without_dropout(make_model(kind, source))
    batch = Collator(model, run.ontology, Candidates(3, 0), run.vectors, 1)(0, pairs)
    before = label_loss(model, batch)
    outcome = run(model, replace(CONFIG, steps=20, evaluate_every=20, head_learning_rate=1e-2))
    assert label_loss(model, batch) < 0.8 * before
    assert outcome["dev_accuracy"] > outcome["dev_accuracy_start"]


@torch.inference_mode()
def label_loss(model: RetrievalModel, batch: dict[str, Tensor]) -> float:
    with inference_precision(model.device):
        scores = batch_scores(model.eval(), batch)
    return masked_cross_entropy(scores, batch["positive"], batch["ignored"]).item()


def test_distillation_draws_scores_to_the_frozen_tower(
    source: EncoderSource, run: Run, pairs: list[Pair]
) -> None:
    config = replace(CONFIG, label_weight=0.0, distillation_weight=1.0, steps=20, evaluate_every=20)
    model = without_dropout(make_model("hypencoder", source))
    batch = Collator(model, run.ontology, Candidates(3, 0), run.vectors, 1)(0, pairs)
    before = gap(model, batch)
    run(model, config)
    assert gap(model, batch) < 0.8 * before


@torch.inference_mode()
def gap(model: RetrievalModel, batch: dict[str, Tensor], teacher_tower: Tower | None = None) -> float:
    one = BiEncoder(teacher_tower or model.passage_tower, None, None)
    with inference_precision(model.device):
        scores = batch_scores(model.eval(), batch)
        teacher = batch_scores(one, batch)
    return module.distillation(scores, teacher, 0.1, torch.zeros_like(scores, dtype=torch.bool)).item()


def test_weights_of_the_losses(source: EncoderSource, run: Run, pairs: list[Pair], tmp_path: Path) -> None:
    model = make_model("hypencoder", source).eval()
    assert isinstance(model, Hypencoder)
    with torch.no_grad():
        # As if it had been trained: no longer the passage tower's twin.
        for parameter in model.query_tower.parameters():
            parameter.mul_(1.2)
    collator = Collator(model, run.ontology, Candidates(3, 0), run.vectors, 1)
    batch = collator(0, pairs)
    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)

    def loss(**changes: Any) -> float:
        config = replace(CONFIG, **changes)
        trainer = module.PairTrainer(model, config, [pairs], collator, pairs, collator, arguments, [])
        with torch.no_grad():
            return float(trainer.compute_loss(model, batch))

    labels = loss()
    assert labels == pytest.approx(label_loss(model, batch), rel=1e-4)
    assert loss(label_weight=0.5, distillation_weight=2.0) == pytest.approx(
        0.5 * labels + 2.0 * gap(model, batch), rel=1e-4
    )
    # All items have score 1: of a margin of 0 the squares are those of the scores' own differences.
    margins = loss(label_weight=0.0, margin_weight=1.0)
    assert loss(label_weight=0.5, margin_weight=3.0) == pytest.approx(0.5 * labels + 3.0 * margins, rel=1e-4)
    assert margins == pytest.approx(own_margins(model, batch), rel=1e-4)
    # The same losses once more, of the query tower's own dot products, which may be the q-nets' teacher.
    model.retrieve_by_query_tower(trained=True)
    own, taught = query_towers_losses(model, batch)
    anchors: dict[Literal["frozen", "own"], float] = {
        "frozen": gap(model, batch),
        "own": gap(model, batch, model.query_tower),
    }
    assert anchors["frozen"] != pytest.approx(anchors["own"], rel=1e-3)
    for teacher, anchor in anchors.items():
        both = loss(
            label_weight=0.5,
            distillation_weight=2.0,
            joint_weight=3.0,
            joint_distillation_weight=0.7,
            teacher=teacher,
        )
        expected = 0.5 * labels + 2.0 * anchor + 3.0 * (0.5 * own + 0.7 * taught)
        assert both == pytest.approx(expected, rel=1e-4)
    assert loss(joint_weight=3.0) == pytest.approx(labels + 3.0 * own, rel=1e-4)
    # Fewer competitors, less to lose.
    assert 0 < loss(label_items=1) < labels


@torch.no_grad()
def query_towers_losses(model: RetrievalModel, batch: dict[str, Tensor]) -> tuple[float, float]:
    """Of the query tower's own vectors: the cross-entropy, and the distance to the passage tower's."""
    with inference_precision(model.device):
        query = DotProducts(model.query_tower(batch["query_ids"], batch["query_mask"]), 1 / 0.05)
        teacher = DotProducts(model.passage_tower(batch["query_ids"], batch["query_mask"]), 1 / 0.05)
        scores, target = (candidate_scores(q, batch["passage_vectors"], batch) for q in (query, teacher))
    labels = masked_cross_entropy(scores, batch["positive"], batch["ignored"])
    distance = module.distillation(scores, target, 0.1, torch.zeros_like(scores, dtype=torch.bool))
    return labels.item(), distance.item()


@torch.no_grad()
def own_margins(model: RetrievalModel, batch: dict[str, Tensor]) -> float:
    with inference_precision(model.device):
        scores = batch_scores(model, batch).float()
    squares = []
    for row in range(len(scores)):
        own = [i for i in range(batch["own"].shape[1]) if not batch["ignored"][row, i]]
        positive = [i for i in own if batch["positive"][row, i]]
        squares += [
            (scores[row, p] - scores[row, n]).item() ** 2 for p in positive for n in own if n not in positive
        ]
    return sum(squares) / len(squares)


def test_names_as_text_are_trained_too(source: EncoderSource, run: Run) -> None:
    run.vectors = None
    model = BiEncoder.from_encoder(source)
    before = model.passage_tower.fingerprint()
    run(model, replace(CONFIG, steps=2))
    assert model.passage_tower.fingerprint() != before


def test_accuracy_is_over_own_items_and_the_batch(
    ontology: Ontology, pairs: list[Pair], vectors: NameVectors, model: BiEncoder
) -> None:
    collator = Collator(model, ontology, Candidates(3, 0), vectors, 1)
    pairs = [replace(pair, count=number + 1) for number, pair in enumerate(pairs)]
    model.train()
    found = rerank_accuracy(model, pairs, collator, batch=len(pairs))
    assert model.training
    hits = 0
    batch = collator(0, pairs)
    with torch.inference_mode(), inference_precision(model.device):
        scores = batch_scores(model.eval(), batch)
    for row in range(len(pairs)):
        allowed = [i for i in range(scores.shape[1]) if not batch["ignored"][row, i]]
        best = max(allowed, key=lambda i: scores[row, i].item())
        hits += bool(batch["positive"][row, best]) * (row + 1)
    assert found == hits / sum(range(1, len(pairs) + 1))
    assert 0 < found < 1
    # A query with no positive counts as wrong.
    none = [replace(pair, items=pair.items[1:]) for pair in pairs]
    assert rerank_accuracy(model, none, collator) == 0.0


def test_run_key_is_that_of_parameters_and_inputs() -> None:
    key = run_key(CONFIG, {"train": "abc"})
    assert key == run_key(replace(CONFIG), {"train": "abc"})
    others = [
        run_key(replace(CONFIG, seed=2), {"train": "abc"}),
        run_key(replace(CONFIG, learning_rate=2e-3), {"train": "abc"}),
        run_key(CONFIG, {"train": "abd"}),
        run_key(CONFIG, {"train": "abc", "more": ""}),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0"),
        ({"head_learning_rate": 1.0}, r"head_learning_rate is 1\.0"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"squared_weight": -0.1}, "squared_weight"),
        ({"label_weight": 0.0}, "nothing to learn"),
        ({"margin_weight": -1.0}, "margin_weight"),
        ({"joint_weight": -1.0}, "joint_weight"),
        ({"joint_distillation_weight": -1.0}, "joint_distillation_weight"),
        ({"teacher": "own"}, "needs a joint_weight"),
        ({"label_items": 0}, "label_items is 0"),
    ],
)
def test_config_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)
