"""Recipes: files and parameters in, a trained model and its outcome out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.utils.checkpoint

from el.base.errors import ConfigError, InputError, MismatchError
from el.index.vectors import NameVectors
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.loading import load_model
from el.models.tower import EncoderSource
from el.ontology.ontology import Ontology
from el.training import trainer
from el.training.pairs import Pair, write_pairs
from el.training.recipes import PairFiles, Recipe, run_recipe
from tests.tiny import WIDTH, tiny_hypencoder

RECIPE = Recipe(
    steps=2,
    learning_rate=1e-3,
    head_learning_rate=1e-3,
    warmup_steps=0,
    weight_decay=0.0,
    label_weight=1.0,
    distillation_weight=0.5,
    squared_weight=0.1,
    evaluate_every=1,
    seed=1,
    passages="frozen",
    mentions_per_batch=2,
    names_per_batch=3,
    own_items=2,
    random_names=4,
    dev_queries=5,
    dropout=False,
)
ALIGN = replace(RECIPE, passages="trained", distillation_weight=0.0, mentions_per_batch=0, own_items=1)


@pytest.fixture
def files(tmp_path: Path, pairs: list[Pair]) -> PairFiles:
    for name in ("dev", "train", "names"):
        write_pairs(tmp_path / f"{name}.jsonl", pairs)
    return PairFiles(tmp_path / "dev.jsonl", tmp_path / "train.jsonl", tmp_path / "names.jsonl")


def test_frozen_passages(
    source: EncoderSource, ontology: Ontology, vectors: NameVectors, files: PairFiles, tmp_path: Path
) -> None:
    model = tiny_hypencoder(source)
    before = model.passage_tower.fingerprint()
    outcome = run_recipe(
        model, RECIPE, files, ontology, vectors, tmp_path / "runs", tmp_path / "curves", tmp_path / "m"
    )
    assert outcome["steps"] == 2
    assert set(outcome) == {"steps", "dev_accuracy_start", "dev_accuracy"}
    assert model.passage_tower.fingerprint() == before
    assert (tmp_path / "curves" / "plots" / "metrics" / "dev_accuracy.tsv").is_file()
    assert load_model(tmp_path / "m").fingerprint() == model.fingerprint()
    # Checkpoints go when they are no longer needed.
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("start", ["dot product", "published"])
def test_heads_near_the_identity_are_straightened(
    start: str, source: EncoderSource, ontology: Ontology, files: PairFiles, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], normalize=True, input_scale=WIDTH**0.5)
    if start == "dot product":
        model.initialise_as_dot_product(20.0, ["cold"])
    outcome = run_recipe(
        model,
        replace(ALIGN, head_learning_rate=1e-5),
        files,
        ontology,
        None,
        tmp_path / "runs",
        tmp_path / "curves",
        tmp_path / "m",
        straightened=True,
    )
    saved = load_model(tmp_path / "m")
    assert isinstance(saved, Hypencoder)
    assert saved.scores_at_low_rank() == (start == "dot product")
    assert ("dev_accuracy_straightened" in outcome) == (start == "dot product")


def test_query_vectors_are_trained_with_a_joint_weight(
    source: EncoderSource, ontology: Ontology, files: PairFiles, tmp_path: Path
) -> None:
    def trained(joint_weight: float) -> Hypencoder:
        torch.manual_seed(1)
        model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=True, normalize=True)
        recipe = replace(ALIGN, joint_weight=joint_weight, teacher="own" if joint_weight else "frozen")
        folder = tmp_path / str(joint_weight)
        run_recipe(model, recipe, files, ontology, None, folder / "runs", folder / "curves", folder / "model")
        return Hypencoder.from_pretrained(folder / "model")

    jointly, alone = trained(1.0), trained(0.0)
    assert jointly.fingerprint() != alone.fingerprint()
    assert jointly.spec.embedding_representation == "mean"
    assert alone.spec.embedding_representation is None


def test_vectors_of_any_length_take_no_losses_of_cosines(
    source: EncoderSource, ontology: Ontology, files: PairFiles, vectors: NameVectors, tmp_path: Path
) -> None:
    def trained(recipe: Recipe) -> Hypencoder:
        model = Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=True, normalize=False)
        run_recipe(model, recipe, files, ontology, vectors, tmp_path / "runs", None, tmp_path / "m")
        return Hypencoder.from_pretrained(tmp_path / "m")

    jointly = replace(ALIGN, joint_weight=1.0, teacher="own")
    for recipe in (jointly, replace(RECIPE, distillation_weight=1.0)):
        with pytest.raises(ConfigError, match="need vectors of length 1"):
            trained(recipe)
        assert not (tmp_path / "m").exists()
    assert trained(ALIGN).spec.embedding_representation is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_weight": 1.0}, "set joint_weight to 0"),
        ({"joint_weight": 0.5, "teacher": "own"}, "bi-encoder"),
    ],
)
def test_a_bi_encoder_refuses_losses_of_a_hypencoder(
    source: EncoderSource,
    ontology: Ontology,
    files: PairFiles,
    vectors: NameVectors,
    tmp_path: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    model = BiEncoder.from_encoder(source)
    model.split_towers()
    with pytest.raises(ConfigError, match=message):
        run_recipe(
            model, replace(RECIPE, **changes), files, ontology, vectors, tmp_path, None, tmp_path / "m"
        )
    assert not (tmp_path / "m").exists()


def test_a_hypencoder_needs_a_rate_for_its_head(
    source: EncoderSource, ontology: Ontology, files: PairFiles, vectors: NameVectors, tmp_path: Path
) -> None:
    model = tiny_hypencoder(source)
    recipe = replace(RECIPE, head_learning_rate=None)
    with pytest.raises(ConfigError, match="head_learning_rate is missing"):
        run_recipe(model, recipe, files, ontology, vectors, tmp_path, None, tmp_path / "m")


def test_alignment_trains_one_tower_on_names(
    source: EncoderSource, ontology: Ontology, files: PairFiles, tmp_path: Path
) -> None:
    model = BiEncoder.from_encoder(source)
    before = model.fingerprint()
    names_only = replace(files, mentions=None)
    run_recipe(
        model, ALIGN, names_only, ontology, None, tmp_path / "runs", tmp_path / "curves", tmp_path / "m"
    )
    assert model.fingerprint() != before
    with pytest.raises(ConfigError, match="mentions_per_batch is 2, but this training takes no mentions"):
        run_recipe(
            model,
            replace(ALIGN, mentions_per_batch=2),
            names_only,
            ontology,
            None,
            tmp_path,
            tmp_path,
            tmp_path,
        )


def test_what_training_is_given(
    source: EncoderSource,
    ontology: Ontology,
    vectors: NameVectors,
    files: PairFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []

    def fake(*arguments: Any) -> dict[str, float]:
        given.append(arguments)
        arguments[6].mkdir(parents=True)
        return {}

    monkeypatch.setattr(trainer, "train", fake)
    recipes = [RECIPE, RECIPE, replace(RECIPE, learning_rate=2e-3), RECIPE]
    models = [
        tiny_hypencoder(source),
        tiny_hypencoder(source),
        tiny_hypencoder(source),
        # The same weights, other q-nets.
        tiny_hypencoder(source, activation_type="gelu"),
    ]
    for model, recipe in zip(models, recipes, strict=True):
        run_recipe(
            model, recipe, files, ontology, vectors, tmp_path / "runs", tmp_path / "curves", tmp_path / "m"
        )
    _, _, batches, collator, dev, dev_collator, _, _ = given[0]
    assert [len(batch) for batch in batches] == [5, 5]
    assert len(dev) == 5
    assert (collator.candidates.own_items, collator.candidates.random_names) == (2, 4)
    assert (dev_collator.candidates.own_items, dev_collator.candidates.random_names) == (3, 0)
    scratches = [arguments[6] for arguments in given]
    assert scratches[0] == scratches[1]
    assert len(set(scratches)) == 3


def test_other_pairs_do_not_resume_from_an_old_run(
    source: EncoderSource,
    ontology: Ontology,
    vectors: NameVectors,
    files: PairFiles,
    pairs: list[Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratches: list[Path] = []

    def fake(*arguments: Any) -> dict[str, float]:
        scratches.append(arguments[6])
        scratches[-1].mkdir(parents=True)
        return {}

    monkeypatch.setattr(trainer, "train", fake)
    assert files.mentions is not None
    for part in (pairs, pairs[1:]):
        write_pairs(files.mentions, part)
        run_recipe(
            tiny_hypencoder(source),
            RECIPE,
            files,
            ontology,
            vectors,
            tmp_path / "runs",
            tmp_path,
            tmp_path / "m",
        )
    assert scratches[0] != scratches[1]


def test_vectors_of_another_tower(
    source: EncoderSource, ontology: Ontology, vectors: NameVectors, files: PairFiles, tmp_path: Path
) -> None:
    model = tiny_hypencoder(source)
    with torch.no_grad():
        next(model.passage_tower.parameters()).add_(1)
    with pytest.raises(MismatchError, match="made by another model"):
        run_recipe(model, RECIPE, files, ontology, vectors, tmp_path, tmp_path, tmp_path / "m")


def test_empty_pairs(source: EncoderSource, ontology: Ontology, files: PairFiles, tmp_path: Path) -> None:
    assert files.names is not None
    write_pairs(files.names, [])
    with pytest.raises(InputError, match=r"names\.jsonl: holds no pairs"):
        run_recipe(BiEncoder.from_encoder(source), ALIGN, files, ontology, None, *[tmp_path] * 3)


@pytest.mark.parametrize("dropout", [True, False])
def test_dropout_is_switched_off_everywhere(
    dropout: bool,
    source: EncoderSource,
    ontology: Ontology,
    files: PairFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fake(model: BiEncoder, *arguments: Any) -> dict[str, float]:
        arguments[5].mkdir(parents=True)
        model.train()
        batch = model.tokenize(["acute liver failure"])
        first, second = (model.encode_passages(batch["input_ids"], batch["attention_mask"]) for _ in range(2))
        assert torch.equal(first, second) is not dropout
        return {}

    monkeypatch.setattr(trainer, "train", fake)
    recipe = replace(ALIGN, dropout=dropout)
    run_recipe(
        BiEncoder.from_encoder(source),
        recipe,
        files,
        ontology,
        None,
        tmp_path / "runs",
        tmp_path,
        tmp_path / "m",
    )


def test_no_steps_save_the_model_as_it_is(
    source: EncoderSource, ontology: Ontology, files: PairFiles, tmp_path: Path
) -> None:
    model = tiny_hypencoder(source)
    recipe, out = replace(RECIPE, steps=0), tmp_path / "model"
    outcome = run_recipe(model, recipe, files, ontology, None, tmp_path / "runs", tmp_path / "curves", out)
    assert outcome == {"steps": 0}
    assert load_model(out).fingerprint() == tiny_hypencoder(source).fingerprint()
    assert (tmp_path / "curves").is_dir()


def test_checkpointing_changes_memory_only(
    source: EncoderSource,
    ontology: Ontology,
    files: PairFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again: list[Any] = []
    original = torch.utils.checkpoint.checkpoint

    def counted(*arguments: Any, **options: Any) -> Any:
        again.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr("transformers.modeling_utils.checkpoint", counted)
    trained = []
    for checkpointing in (False, True):
        model = tiny_hypencoder(source)
        recipe = replace(ALIGN, names_per_batch=4, gradient_checkpointing=checkpointing)
        folder = tmp_path / str(checkpointing)
        run_recipe(model, recipe, files, ontology, None, folder / "runs", folder / "curves", folder / "model")
        assert bool(again) is checkpointing
        trained.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(trained[0], trained[1], atol=1e-6, rtol=1e-5)
    assert not torch.equal(
        trained[0], torch.cat([p.detach().flatten() for p in tiny_hypencoder(source).parameters()])
    )


@pytest.mark.parametrize("freeze", [True, False])
def test_word_embeddings_stay_where_they_are_frozen(
    freeze: bool,
    source: EncoderSource,
    ontology: Ontology,
    vectors: NameVectors,
    files: PairFiles,
    tmp_path: Path,
) -> None:
    model = tiny_hypencoder(source)
    before = {name: tensor.clone() for name, tensor in model.query_tower.state_dict().items()}
    recipe = replace(RECIPE, freeze_embeddings=freeze)
    run_recipe(model, recipe, files, ontology, vectors, tmp_path / "runs", tmp_path / "c", tmp_path / "m")
    same = {
        name for name, tensor in model.query_tower.state_dict().items() if torch.equal(tensor, before[name])
    }
    words = {name for name in before if "word_embeddings" in name}
    # Nothing is pooled by the pooler.
    pooler = {name for name in before if "pooler" in name}
    assert words
    assert same == (words | pooler if freeze else pooler)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mentions_per_batch": -1}, "mentions_per_batch is -1; it must not be negative"),
        ({"own_items": 1, "in_batch": "none", "random_names": 0}, "nothing to choose between"),
        ({"label_items": 1, "in_batch": "none", "random_names": 0}, "nothing to choose between"),
        ({"own_items": 1, "margin_weight": 1.0}, "a positive and a negative"),
        ({"random_names": -1}, "random_names is -1; it must not be negative"),
        ({"mentions_per_batch": 1, "names_per_batch": 0}, "two queries or more"),
        ({"own_items": 0}, "own_items is 0"),
        ({"dev_queries": 0}, "dev_queries is 0"),
        ({"passages": "trained"}, "distillation needs the frozen passage tower"),
        ({"steps": -1}, "steps is -1"),
    ],
)
def test_recipes_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(RECIPE, **changes)
