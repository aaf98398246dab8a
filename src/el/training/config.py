"""How a model is trained, as a value; apart from the trainer, whose import takes seconds."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from el.base.errors import ConfigError

TEACHER_TEMPERATURE = 0.05


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Attributes:
        steps: optimiser steps; with 0 the model stays as it is.
        learning_rate: peak rate of the tower; rises over `warmup_steps`, then falls linearly to 0.
        head_learning_rate: peak rate of the hyper-head; a bi-encoder has none.
        warmup_steps: steps until the peak.
        weight_decay: AdamW's.
        label_weight: weight of the cross-entropy with the gold concepts.
        label_items: how many of a query's own items take part in it, first ones first; None for all.
        margin_weight: weight of the margin-MSE over a query's own items; its teacher is what the miner
            scored them, as a dot product at the aligned tower's temperature.
        distillation_weight: weight of the distance to the scores of a teacher.
        joint_weight: weight of all these once more, for the dot products of a Hypencoder's query tower:
            its vectors retrieve what the q-nets then score. A bi-encoder has no other scores: `run_recipe`
            leaves it out there; it and the distillation where a Hypencoder's vectors are not of length 1.
        joint_distillation_weight: the distillation_weight of those dot products, whose teacher is always the
            frozen passage tower. A bi-encoder, whose scores they are, is trained with this one where
            `joint_weight` is above 0.
        qnet_gradients: whether the query tower learns from the q-nets' losses too; if not, by its own dot
            products alone, as a bi-encoder's, which takes a `joint_weight`.
        teacher: whose dot products a q-net's distillation takes: "frozen", the passage tower's; "own", those
            of its query tower as that learns, which takes a `joint_weight`.
        squared_weight: weight, inside the distillation, of the squared difference.
        evaluate_every: steps between looks at dev accuracy; the best state there is kept.
        seed: of dropout and batches.
    """

    steps: int
    learning_rate: float
    head_learning_rate: float
    warmup_steps: int
    weight_decay: float
    label_weight: float
    distillation_weight: float
    squared_weight: float
    evaluate_every: int
    seed: int
    label_items: int | None = None
    margin_weight: float = 0.0
    joint_weight: float = 0.0
    joint_distillation_weight: float = 0.0
    qnet_gradients: bool = True
    teacher: Literal["frozen", "own"] = "frozen"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigError(f"steps is {self.steps}; it must not be negative")
        for name in ("evaluate_every", "label_items"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("learning_rate", "head_learning_rate"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        weights = ("label_weight", "margin_weight", "distillation_weight")
        joint = ("joint_weight", "joint_distillation_weight")
        for name in ("warmup_steps", "weight_decay", "squared_weight", *joint, *weights):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.teacher == "own" and not self.joint_weight:
            raise ConfigError("teacher: own needs a joint_weight above 0, by which that teacher learns")
        if not self.qnet_gradients and not self.joint_weight:
            raise ConfigError("qnet_gradients: false needs a joint_weight above 0, by which the tower learns")
        if not any(getattr(self, name) for name in weights):
            raise ConfigError(f"{', '.join(weights)} are all 0: nothing to learn")

    @property
    def needs_frozen_teacher(self) -> bool:
        """Whether some loss takes the dot products of the frozen passage tower."""
        if self.joint_weight and self.joint_distillation_weight:
            return True
        return self.distillation_weight > 0 and self.teacher == "frozen"


def run_key(config: Any, inputs: dict[str, str]) -> str:
    """A short name for a training's scratch folder: equal where parameters and inputs are equal."""
    text = json.dumps([asdict(config), inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
