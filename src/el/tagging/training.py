"""Trains a tagger: planned batches of windows, the loss of the CRF, and checkpoints.

An interrupted training continues from its last checkpoint, and ends in the same weights as an
uninterrupted one.
"""

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from el.models.base import inference_precision
from el.ontology.ontology import Kind
from el.tagging.config import TaggerConfig
from el.tagging.encoding import Reading, Window, Words, make_batch, piece_count, windows
from el.tagging.finder import Found
from el.tagging.labels import KIND_OF_LABEL, TYPES, labels_of
from el.tagging.model import TaggerModel, crf_loss, word_scores
from el.training.planned import PlannedTrainer, last_checkpoint, planned_arguments, two_rate_adamw

# How many batches are filled from examples that are sorted by length together. A larger value means less
# padding, and batches that differ less from epoch to epoch.
_POOL = 16


@dataclass(frozen=True, eq=False)
class Example:
    """A window of an annotated document, and the labels of the window's words.

    Attributes:
        words: all words of the document.
        labels: the labels of the words in the window.
        window: the window.
        kinds: the kinds of mention that the document's corpus annotates. It is unknown which words belong to
            mentions of other kinds.
    """

    words: Words
    labels: list[int]
    window: Window
    kinds: tuple[Kind, ...] = TYPES


def examples(
    words: Words, gold: Sequence[Found], reading: Reading, kinds: tuple[Kind, ...] = TYPES
) -> list[Example]:
    """Returns an example for each window of a document.

    Where a window cuts a mention, the words inside the window are labelled like a whole mention.

    Args:
        words: the document's words.
        gold: the document's mentions, in order of their starts.
        reading: the encoder's special tokens and window size.
        kinds: the kinds of mention that the document's corpus annotates.
    """
    return [
        Example(words, labels_of(gold, words.spans[window.first : window.last]), window, kinds)
        for window in windows(words, reading)
    ]


def plan(lengths: Sequence[int], batch: int, epochs: int, seed: int) -> list[list[int]]:
    """Plans which examples each step reads.

    Each epoch reads each example once. Examples of similar length share a batch, so that little is padded.

    Args:
        lengths: the number of pieces of each example.
        batch: the number of examples in a step. The last step of an epoch may have fewer.
        epochs: the number of passes over the examples.
        seed: the seed of the shuffling.

    Returns:
        A list of places in `lengths` for each step.
    """
    chooser = random.Random(seed)
    steps: list[list[int]] = []
    for _ in range(epochs):
        rows = list(range(len(lengths)))
        chooser.shuffle(rows)
        pools = [rows[start : start + _POOL * batch] for start in range(0, len(rows), _POOL * batch)]
        epoch: list[list[int]] = []
        for pool in pools:
            pool.sort(key=lambda row: lengths[row])
            epoch += [pool[start : start + batch] for start in range(0, len(pool), batch)]
        chooser.shuffle(epoch)
        steps += epoch
    return steps


def collate(
    rows: Sequence[Example], reading: Reading, config: TaggerConfig, generator: np.random.Generator
) -> dict[str, Tensor]:
    """Returns one batch as tensors, with some words and names hidden.

    Args:
        rows: the examples of the batch.
        reading: the encoder's special tokens and window size.
        config: says how much is hidden.
        generator: decides what is hidden.

    Returns:
        For B windows of S tokens and up to W words: the arguments of `TaggerModel.forward` (`input_ids`,
        `attention_mask`, `names` and `shapes`), the `words` of `word_scores`, all (B, S) int64; and the
        `labels` and `unknown` of `crf_loss`.
    """
    hidden = [(_hidden(row.words, reading, config, generator), row.window) for row in rows]
    batch = make_batch(hidden, reading)
    count = max(len(row.labels) for row in rows)
    labels = [row.labels + [-1] * (count - len(row.labels)) for row in rows]
    return {
        "input_ids": torch.from_numpy(batch.ids),
        "attention_mask": torch.from_numpy(batch.mask),
        "names": torch.from_numpy(batch.names),
        "shapes": torch.from_numpy(batch.shapes),
        "words": torch.from_numpy(np.where(batch.words < 0, count, batch.words)),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "unknown": torch.tensor(
            [[k is not None and k not in row.kinds for k in KIND_OF_LABEL] for row in rows]
        ),
    }


def _hidden(words: Words, reading: Reading, config: TaggerConfig, generator: np.random.Generator) -> Words:
    """Returns a document's words with some words masked and some of the dictionary's names hidden."""
    hidden = generator.random(len(words.pieces)) < config.hidden_words
    pieces = [
        [reading.mask] * len(word) if hide else word for word, hide in zip(words.pieces, hidden, strict=True)
    ]
    return replace(words, pieces=pieces, names=_hide_names(words.names, config.hidden_names, generator))


def _hide_names(names: Sequence[int], share: float, generator: np.random.Generator) -> list[int]:
    """Returns labels from which some names are removed, each with all its words."""
    out = list(names)
    hidden = False
    for place, label in enumerate(names):
        # Labels "begin" and "single": a name starts here.
        if label % 4 in (0, 1) and label:
            hidden = bool(generator.random() < share)
        if label and hidden:
            out[place] = 0
    return out


class _Steps(Dataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, step: int) -> int:
        return step


class TaggerTrainer(PlannedTrainer):
    """Trains on planned batches, one a step."""

    def __init__(
        self,
        model: TaggerModel,
        config: TaggerConfig,
        data: Sequence[Example],
        reading: Reading,
        scratch: Path,
    ) -> None:
        self.config = config
        steps = plan([piece_count(e.words, e.window) for e in data], config.batch, config.epochs, config.seed)

        def batch(items: list[int]) -> dict[str, Tensor]:
            (step,) = items
            generator = np.random.default_rng([config.seed, step])
            return collate([data[row] for row in steps[step]], reading, config, generator)

        super().__init__(
            model=model,
            args=planned_arguments(
                scratch,
                steps=len(steps),
                learning_rate=config.learning_rate,
                warmup_steps=len(steps) // 10,
                save_steps=config.checkpoint_every,
                seed=config.seed,
            ),
            train_dataset=_Steps(len(steps)),
            data_collator=batch,
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Returns AdamW with one learning rate for the encoder, and one for weights not pretrained."""
        model = self.model if model is None else model
        self.optimizer = two_rate_adamw(
            model,
            lambda name: name.startswith("transformer."),
            learning_rate=self.config.learning_rate,
            head_learning_rate=self.config.head_learning_rate,
            weight_decay=self.config.weight_decay,
        )
        return self.optimizer

    def compute_loss(  # type: ignore[override]
        self, model: TaggerModel, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Returns the loss of the CRF (`crf_loss`)."""
        words, labels = inputs["words"], inputs["labels"]
        with inference_precision(words.device):
            scores = model(**{n: inputs[n] for n in ("input_ids", "attention_mask", "names", "shapes")})
        emissions = word_scores(scores.float(), words, labels.shape[1])
        loss = crf_loss(emissions, labels, inputs["unknown"], model.transitions)
        return (loss, {"scores": scores}) if return_outputs else loss


def train_tagger(
    model: TaggerModel, config: TaggerConfig, data: Sequence[Example], reading: Reading, scratch: Path
) -> None:
    """Trains a model in place. Word embeddings stay as they are.

    A training that finds a checkpoint in `scratch` continues from it, and ends in the same weights as an
    uninterrupted one.

    Args:
        model: the model to train. It is left on the CPU and in evaluation mode.
        config: the parameters.
        data: the examples.
        reading: the encoder's special tokens and window size.
        scratch: the folder of the checkpoints. It is deleted at the end.
    """
    torch.manual_seed(config.seed)
    model.dropout.p = config.dropout
    for module in model.transformer.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.transformer.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
    if not torch.cuda.is_available():
        # On a CPU, the fused attention's backward pass takes three times as long as the plain attention's.
        model.transformer.set_attn_implementation("eager")  # type: ignore[operator]
    trainer = TaggerTrainer(model, config, data, reading, scratch)
    last = last_checkpoint(scratch)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    # The trainer may have moved the model to a GPU. Saving and compiling need it on the CPU.
    model.eval().cpu()
    shutil.rmtree(scratch)
