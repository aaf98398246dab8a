"""The three trainings of the pipeline: align a tower, pretrain a hyper-head, fine-tune on a corpus."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from el.base.errors import ConfigError, InputError
from el.base.files import sha256_file, write_json
from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.straightening import straighten
from el.ontology.ontology import Ontology
from el.training.batches import Source, plan_batches
from el.training.collator import Candidates, Collator, InBatch
from el.training.config import TrainConfig, run_key
from el.training.pairs import Pair, read_pairs

# Queries, mentions first, that show how a head is to be straightened.
_SHOWN_QUERIES = 1000


@dataclass(frozen=True, kw_only=True)
class Recipe(TrainConfig):
    """A training and the batches that it takes.

    Attributes:
        passages: "frozen" takes the names' vectors as they are; "trained" encodes names with
            gradients, which costs a pass over each candidate.
        mentions_per_batch: queries of a batch that are gold mentions.
        names_per_batch: queries of a batch that are names of the ontology.
        own_items: candidates of each query's own: its positives, nearest first, then the nearest others.
        random_names: names of the whole ontology, shared by a batch.
        dev_queries: at most so many dev mentions are looked at during training.
        dropout: whether the towers' dropout is on. Short trainings do not need it, and on a CPU
            drawing its random numbers takes as long as the rest of a pass.
        in_batch: which items of the other queries of a batch are candidates too.
        gradient_checkpointing: whether the towers keep only the inputs of their layers and compute the
            rest again for the gradients: less memory, a third more time.
        freeze_embeddings: whether the towers' embeddings of tokens stay as they are. A step is faster then,
            and two towers that began as one keep these weights, half of a small tower's, in common.
        repeat_mentions: whether a form of many mentions comes more often, as `Source.repeated` says.
    """

    passages: Literal["frozen", "trained"]
    mentions_per_batch: int
    names_per_batch: int
    own_items: int
    random_names: int
    dev_queries: int
    dropout: bool
    in_batch: InBatch = "first"
    gradient_checkpointing: bool = False
    freeze_embeddings: bool = False
    repeat_mentions: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mentions_per_batch < 0 or self.names_per_batch < 0 or self.random_names < 0:
            raise ConfigError("mentions_per_batch, names_per_batch and random_names must not be negative")
        if self.mentions_per_batch + self.names_per_batch < 2:
            raise ConfigError(
                "a batch needs two queries or more: raise mentions_per_batch or names_per_batch"
            )
        if self.own_items < 1 or self.dev_queries < 1:
            raise ConfigError("own_items and dev_queries must be 1 or more")
        alone = self.in_batch == "none" and not self.random_names
        if self.label_weight and alone and 1 in (self.own_items, self.label_items):
            raise ConfigError(
                "a single item and nothing shared leave nothing to tell apart: raise own_items, label_items "
                "or random_names, or set in_batch to first"
            )
        if self.margin_weight and self.own_items == 1:
            raise ConfigError("margin_weight needs own_items of 2 or more: a positive and a negative")
        if self.needs_frozen_teacher and self.passages == "trained":
            raise ConfigError("distillation needs passages: frozen; its teacher is the frozen passage tower")


@dataclass(frozen=True)
class PairFiles:
    """The pair files of a training; a part that the recipe does not use may be left out."""

    dev: Path
    mentions: Path | None = None
    names: Path | None = None


def run_recipe(
    model: RetrievalModel,
    recipe: Recipe,
    files: PairFiles,
    ontology: Ontology,
    vectors: NameVectors | None,
    runs: Path,
    curves: Path | None,
    out: Path,
    *,
    straightened: bool = False,
) -> dict[str, float]:
    """Trains a model by a recipe and saves it, going on where an interrupted run of the same recipe stopped.

    Args:
        model: trained in place.
        recipe: how.
        files: the pairs.
        ontology: whose names are candidates.
        vectors: of the names; needed where passages are frozen.
        runs: where checkpoints are kept while it runs.
        curves: a folder for the curves of loss and dev accuracy; None to log none.
        out: where the model is saved.
        straightened: whether a head near the identity is straightened (`el.models.straightening`) before the
            model is saved.

    Returns:
        What `train` returns, of before, and dev_accuracy_straightened where that was done; of 0 steps just
        their number.

    Raises:
        InputError: a pair file is missing, broken or empty.
        MismatchError: the vectors were made by another passage tower.
        ConfigError: the recipe takes mentions or names that `files` does not have.
    """
    if recipe.steps == 0:
        model.save_pretrained(out)
        # Curves of nothing: git, which keeps them, keeps no empty folders.
        if curves is not None:
            write_json(curves / "metrics.json", {"step": 0})
        return {"steps": 0}
    # Here, because importing it takes seconds, and recipes without steps do without.
    from el.training.trainer import rerank_accuracy, train

    for name, path, count in (
        ("mentions", files.mentions, recipe.mentions_per_batch),
        ("names", files.names, recipe.names_per_batch),
    ):
        if count and path is None:
            raise ConfigError(f"{name}_per_batch is {count}, but this training takes no {name}; set it to 0")
    _check_fits(recipe, model)
    if isinstance(model, Hypencoder) and model.spec.normalize:
        model.retrieve_by_query_tower(trained=recipe.joint_weight > 0)
    if not recipe.dropout:
        _switch_off_dropout(model)
    if recipe.freeze_embeddings:
        model.freeze_word_embeddings()
    if recipe.gradient_checkpointing:
        for tower in {model.query_tower, model.passage_tower}:
            tower.transformer.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    if not torch.cuda.is_available():
        # The fused attention is fast forwards, but takes thrice as long as the plain one backwards.
        model.query_tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]
    frozen = recipe.passages == "frozen"
    if frozen:
        assert vectors is not None
        vectors.check_model(model.passage_tower.fingerprint())
        model.freeze_passage_tower()
    lookup = vectors if frozen else None
    sources = [
        Source(_read(path), count, recipe.repeat_mentions)
        for path, count in (
            (files.mentions, recipe.mentions_per_batch),
            (files.names, recipe.names_per_batch),
        )
        if path is not None and count
    ]
    batches = plan_batches(sources, recipe.steps, recipe.seed)
    dev = _read(files.dev)[: recipe.dev_queries]
    candidates = Candidates(recipe.own_items, recipe.random_names, recipe.in_batch)
    dev_candidates = Candidates(max(len(pair.items) for pair in dev), 0)
    inputs = {path.name: sha256_file(path) for path in (files.dev, files.mentions, files.names) if path}
    inputs |= {"start": model.fingerprint(), "model": model.settings(), "ontology": ontology.fingerprint}
    scratch = runs / f"train-{run_key(recipe, inputs)}"
    dev_collator = Collator(model, ontology, dev_candidates, lookup, recipe.seed)
    outcome = train(
        model,
        recipe,
        batches,
        Collator(model, ontology, candidates, lookup, recipe.seed),
        dev,
        dev_collator,
        scratch,
        curves,
    )
    if straightened and isinstance(model, Hypencoder):
        shown = list(dict.fromkeys(pair.content for source in sources for pair in source.pairs))
        if straighten(model, shown[:_SHOWN_QUERIES]):
            before, after = outcome["dev_accuracy"], rerank_accuracy(model, dev, dev_collator)
            outcome["dev_accuracy_straightened"] = after
            print(f"straightened: accuracy on dev {before:.4f}, now {after:.4f}", file=sys.stderr)
    # Only now are the checkpoints of no more use.
    model.save_pretrained(out)
    shutil.rmtree(scratch)
    return outcome


def _check_fits(recipe: Recipe, model: RetrievalModel) -> None:
    """Raises ConfigError where a recipe asks for what a model cannot learn."""
    if isinstance(model, BiEncoder) and recipe.joint_weight:
        raise ConfigError(
            "a bi-encoder's scores are the dot products of its query tower already; set joint_weight to 0"
        )
    if not isinstance(model, Hypencoder):
        return
    if recipe.head_learning_rate is None:
        raise ConfigError("head_learning_rate is missing; a Hypencoder has a head")
    if not model.spec.normalize and (recipe.joint_weight or recipe.distillation_weight):
        raise ConfigError(
            "distillation_weight and joint_weight need vectors of length 1, for their temperature is one of "
            "cosines; this checkpoint has vectors of any length. Set both to 0 and teacher to frozen"
        )


def _switch_off_dropout(model: RetrievalModel) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _read(path: Path) -> Sequence[Pair]:
    pairs = list(read_pairs(path))
    if not pairs:
        raise InputError(path, "", "holds no pairs", "Check the split that it was made from")
    return pairs
