"""What the trainers of models and of taggers share: the order of batches, the optimiser, and checkpoints.

A planned training decides before its first step what each step reads. An interrupted training therefore
continues from its last checkpoint, and ends in the same weights as an uninterrupted one.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME


class PlannedTrainer(Trainer):
    """A trainer whose step i reads item i of the training data."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        data: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(data)


def planned_arguments(
    scratch: Path,
    *,
    steps: int,
    learning_rate: float,
    warmup_steps: int,
    save_steps: int,
    seed: int,
    **more: Any,
) -> TrainingArguments:
    """Returns the arguments of a `PlannedTrainer`.

    Args:
        scratch: the folder of the checkpoints.
        steps: the number of optimiser steps.
        learning_rate: the peak learning rate. The rate rises over `warmup_steps`, then falls linearly to 0.
        warmup_steps: the number of steps until the peak.
        save_steps: the number of steps between two checkpoints.
        seed: the seed of dropout.
        more: further arguments of `TrainingArguments`.
    """
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=warmup_steps,
        logging_steps=10,
        save_strategy="steps",
        save_steps=save_steps,
        save_total_limit=1,
        seed=seed,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        report_to="none",
        # A progress bar is for a terminal only. A log gets lines with the loss.
        disable_tqdm=not sys.stderr.isatty(),
        **more,
    )


def two_rate_adamw(
    model: nn.Module,
    is_pretrained: Callable[[str], bool],
    *,
    learning_rate: float,
    head_learning_rate: float | None,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Returns AdamW for the parameters of a model that take gradients.

    Args:
        model: the model.
        is_pretrained: whether the parameter of a name has the first learning rate.
        learning_rate: the learning rate of pretrained parameters.
        head_learning_rate: the learning rate of the other parameters; None if there are none.
        weight_decay: the weight decay of all parameters.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if is_pretrained(name)], "lr": learning_rate},
        {"params": [p for name, p in named if not is_pretrained(name)], "lr": head_learning_rate},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        weight_decay=weight_decay,
        # The fused optimiser passes over the parameters once instead of ten times. On a CPU that saves a
        # third of a step.
        fused=True,
    )


def last_checkpoint(scratch: Path) -> Path | None:
    """Returns the newest complete checkpoint, or None. Incomplete checkpoints are deleted."""
    complete = []
    for folder in scratch.glob("checkpoint-*"):
        # The trainer writes this file last, so a checkpoint without it is incomplete.
        if (folder / TRAINER_STATE_NAME).is_file():
            complete.append(folder)
        else:
            shutil.rmtree(folder)
    return max(complete, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """Returns the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])
