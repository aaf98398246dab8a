"""Trains a model by a recipe: its parameters and its batches.

All trainings of the pipeline are recipes: aligning a tower, pretraining a hyper-head, and fine-tuning on a
corpus.
"""

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
from el.training.neighbours import pair_neighbours
from el.training.pairs import Pair, read_pairs

# How many queries, mentions first, show to straightening which values occur. More take more time.
_SHOWN_QUERIES = 1000


@dataclass(frozen=True, kw_only=True)
class Recipe(TrainConfig):
    """The parameters of a training and of its batches. Those of `TrainConfig` are described there.

    Attributes:
        passages: "frozen": the names' stored vectors are used. "trained": names are encoded with gradients,
            which costs a pass over each candidate.
        mentions_per_batch: how many queries of a batch are gold mentions.
        names_per_batch: how many queries of a batch are names of the ontology.
        own_items: how many of a query's own items are candidates: its positives, nearest first, then the
            nearest negatives.
        random_names: how many names of the whole ontology all queries of a batch share as candidates.
        dev_queries: the most dev mentions on which dev accuracy is measured during training.
        dropout: whether the towers' dropout is on. Short trainings do not need dropout, and on a CPU drawing
            its random numbers takes as long as the rest of a pass.
        in_batch: which items of the batch's other queries are candidates too.
        gradient_checkpointing: whether the towers keep only the inputs of their layers, and compute the rest
            again for the gradients. This takes less memory and a third more time.
        freeze_embeddings: whether the towers' word embeddings stay as they are. Steps are then faster. Two
            towers that started as one also keep these weights in common, which are half of a small tower's.
        repeat_mentions: whether a form with many mentions occurs more often, as `Source.repeated` describes.
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
        for name in ("mentions_per_batch", "names_per_batch", "random_names"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.mentions_per_batch + self.names_per_batch < 2:
            raise ConfigError(
                f"mentions_per_batch is {self.mentions_per_batch} and names_per_batch is "
                f"{self.names_per_batch}; a batch needs two queries or more. Raise one of them"
            )
        for name in ("own_items", "dev_queries"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        shares_nothing = self.in_batch == "none" and not self.random_names
        if self.label_weight and shares_nothing and 1 in (self.own_items, self.label_items):
            raise ConfigError(
                "each query has a single candidate, so there is nothing to choose between. Raise own_items, "
                "label_items or random_names, or set in_batch to first"
            )
        if self.margin_weight and self.own_items == 1:
            raise ConfigError(
                "margin_weight needs a positive and a negative for each query; set own_items to 2 or more"
            )
        if self.needs_frozen_teacher and self.passages == "trained":
            raise ConfigError(
                "distillation needs the frozen passage tower as its teacher; set passages to frozen"
            )


@dataclass(frozen=True)
class PairFiles:
    """The files of pairs for a training.

    Attributes:
        dev: the dev mentions with mined candidates, to select on.
        mentions: the training mentions; None if the recipe uses none.
        names: the pairs of names; None if the recipe uses none.
    """

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
    neighbours: int = 0,
    straightened: bool = False,
) -> dict[str, float]:
    """Trains a model by a recipe and saves the model.

    An interrupted run continues from its last checkpoint if the recipe and all inputs are the same.

    Args:
        model: the model, which is trained in place.
        recipe: the parameters.
        files: the pairs.
        ontology: the ontology whose names are candidates.
        vectors: the vectors of the names; needed if passages are frozen.
        runs: the folder for checkpoints, which are deleted at the end.
        curves: the folder for the curves of loss and dev accuracy; None to log no curves.
        out: the folder for the trained model.
        neighbours: how many pairs of names follow a pair of names into its batch: those that the model, as it
            is before training, finds nearest. 0 for a shuffled order.
        straightened: whether a head near the identity is straightened (`el.models.straightening`) before the
            model is saved.

    Returns:
        What `train` returns, measured before straightening, and "dev_accuracy_straightened" if the head was
        straightened. For a recipe of 0 steps, "steps" only.

    Raises:
        InputError: a file of pairs is missing, broken or empty.
        MismatchError: the vectors were made by another passage tower.
        ConfigError: the recipe uses mentions or names that `files` lacks, or does not fit the model.
    """
    if recipe.steps == 0:
        model.save_pretrained(out)
        # The curves are kept in git, and git keeps no empty folder.
        if curves is not None:
            write_json(curves / "metrics.json", {"step": 0})
        return {"steps": 0}
    # Imported here, because importing the trainer takes seconds and a recipe of 0 steps does not need it.
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
        # On a CPU, the fused attention's backward pass takes three times as long as the plain attention's.
        model.query_tower.transformer.set_attn_implementation("eager")  # type: ignore[operator]
    frozen = recipe.passages == "frozen"
    if frozen:
        assert vectors is not None
        vectors.check_model(model.passage_tower.fingerprint())
        model.freeze_passage_tower()
    lookup = vectors if frozen else None
    sources = []
    if files.mentions is not None and recipe.mentions_per_batch:
        mentions = _read(files.mentions)
        sources.append(Source(mentions, recipe.mentions_per_batch, repeated=recipe.repeat_mentions))
    if files.names is not None and recipe.names_per_batch:
        names = _read(files.names)
        near = pair_neighbours(model, names, neighbours) if neighbours else None
        sources.append(Source(names, recipe.names_per_batch, near, recipe.repeat_mentions))
    batches = plan_batches(sources, recipe.steps, recipe.seed)
    dev = _read(files.dev)[: recipe.dev_queries]
    candidates = Candidates(recipe.own_items, recipe.random_names, recipe.in_batch)
    dev_candidates = Candidates(max(len(pair.items) for pair in dev), 0)
    inputs = {path.name: sha256_file(path) for path in (files.dev, files.mentions, files.names) if path}
    inputs |= {"start": model.fingerprint(), "model": model.settings(), "ontology": ontology.fingerprint}
    inputs |= {"neighbours": str(neighbours)}
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
            print(f"head straightened: dev accuracy {before:.4f} before, {after:.4f} after", file=sys.stderr)
    # The checkpoints are deleted last, so that a run interrupted before this line loses nothing.
    model.save_pretrained(out)
    shutil.rmtree(scratch)
    return outcome


def _check_fits(recipe: Recipe, model: RetrievalModel) -> None:
    """Raises ConfigError if a recipe has losses or parameters that do not fit the model."""
    if isinstance(model, BiEncoder) and recipe.joint_weight:
        raise ConfigError(
            f"joint_weight is {recipe.joint_weight}, but the scores of a bi-encoder already are the dot "
            "products of its query tower; set joint_weight to 0"
        )
    if not isinstance(model, Hypencoder):
        return
    if recipe.head_learning_rate is None:
        raise ConfigError(
            "head_learning_rate is missing; a Hypencoder has a head. Set it to a rate between 0 and 1"
        )
    if not model.spec.normalize and (recipe.joint_weight or recipe.distillation_weight):
        raise ConfigError(
            "distillation_weight and joint_weight need vectors of length 1, because their temperature is "
            "meant for cosines. The vectors of this checkpoint have any length. Set both to 0 and teacher to "
            "frozen"
        )


def _switch_off_dropout(model: RetrievalModel) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _read(path: Path) -> Sequence[Pair]:
    pairs = list(read_pairs(path))
    if not pairs:
        raise InputError(path, "", "holds no pairs", "Check the split that the file was made from")
    return pairs
