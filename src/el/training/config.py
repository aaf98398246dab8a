"""The parameters of a training.

The module stands apart from the trainer because importing the trainer takes seconds.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from el.base.errors import ConfigError

# Dot products of vectors of length 1 are divided by this temperature before a softmax. A larger value makes a
# teacher's distribution over the candidates flatter.
TEACHER_TEMPERATURE = 0.05


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The parameters of a training.

    Attributes:
        steps: the number of optimiser steps. With 0 the model stays as it is.
        learning_rate: the peak learning rate of the tower. The rate rises over `warmup_steps`, then falls
            linearly to 0.
        head_learning_rate: the peak learning rate of the hyper-head; None for a bi-encoder, which has none.
        warmup_steps: the number of steps until the peak.
        weight_decay: the weight decay of AdamW.
        label_weight: the weight of the cross-entropy with the gold concepts.
        label_items: how many of a query's own items take part in the cross-entropy, counted from the first;
            None for all.
        margin_weight: the weight of the margin-MSE over a query's own items. Its teacher is the miner's
            scores, as dot products at the temperature `TEACHER_TEMPERATURE`.
        distillation_weight: the weight of the distance to the scores of a teacher.
        joint_weight: the weight of a second sum of these losses, for the dot products of a Hypencoder's query
            tower. The vectors of that tower retrieve the names that the q-net then scores. A bi-encoder must
            have 0 here, because its scores already are such dot products. A Hypencoder whose vectors are not
            of length 1 must have 0 here and as `distillation_weight`. `run_recipe` refuses other values.
        joint_distillation_weight: takes the place of `distillation_weight` in that second sum. The teacher is
            always the frozen passage tower.
        teacher: the teacher in a q-net's distillation. "frozen": the dot products of the frozen passage
            tower. "own": the dot products of the model's query tower as it learns, which needs a
            `joint_weight`.
        squared_weight: the weight of the squared difference inside the distillation.
        evaluate_every: the number of steps between two measurements of dev accuracy. The state with the best
            dev accuracy is kept.
        seed: the seed of dropout and of the batches.
    """

    steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    label_weight: float
    distillation_weight: float
    squared_weight: float
    evaluate_every: int
    seed: int
    head_learning_rate: float | None = None
    label_items: int | None = None
    margin_weight: float = 0.0
    joint_weight: float = 0.0
    joint_distillation_weight: float = 0.0
    teacher: Literal["frozen", "own"] = "frozen"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigError(f"steps is {self.steps}; it must not be negative")
        for name in ("evaluate_every", "label_items"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("learning_rate", "head_learning_rate"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        weights = ("label_weight", "margin_weight", "distillation_weight")
        joint = ("joint_weight", "joint_distillation_weight")
        for name in ("warmup_steps", "weight_decay", "squared_weight", *joint, *weights):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.teacher == "own" and not self.joint_weight:
            raise ConfigError(
                "teacher: own needs a joint_weight above 0: without it that teacher learns nothing"
            )
        if not any(getattr(self, name) for name in weights):
            raise ConfigError(f"{', '.join(weights)} are all 0: there is nothing to learn. Raise one of them")

    @property
    def needs_frozen_teacher(self) -> bool:
        """Whether a loss needs the dot products of the frozen passage tower."""
        if self.joint_weight and self.joint_distillation_weight:
            return True
        return self.distillation_weight > 0 and self.teacher == "frozen"


def run_key(config: Any, inputs: dict[str, str]) -> str:
    """Returns a short name for a training's scratch folder.

    Trainings with equal parameters and equal inputs have the same name, so that one continues the other.

    Args:
        config: the parameters, a data class.
        inputs: the names of the inputs, and a checksum of each.
    """
    text = json.dumps([asdict(config), inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
