"""The trainer of bi-encoders and Hypencoders, and the selection of the best state on dev."""

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from el.base.errors import ElError
from el.base.extras import needs_extra
from el.base.files import atomic_file
from el.models.base import RetrievalModel, inference_precision
from el.models.dot_product import DotProducts
from el.training.collator import Collator, batch_scores, candidate_scores, passage_vectors
from el.training.config import TEACHER_TEMPERATURE, TrainConfig
from el.training.losses import distillation, margin_mse, masked_cross_entropy
from el.training.pairs import Pair
from el.training.planned import PlannedTrainer, last_checkpoint, planned_arguments, step_of, two_rate_adamw

if TYPE_CHECKING:
    from dvclive.live import Live

# If training fails with less free space than this, in bytes, the error is reported as a full disk. A
# checkpoint of even a small tower with its optimiser needs more space. With a larger value, other errors on a
# nearly full disk are reported as a full disk too.
_CHECKPOINT_BYTES = 1 << 28


class _Steps(Dataset[tuple[int, list[Pair]]]):
    """The planned batches. Item i is the batch of step i, so that a resumed training skips the steps done."""

    def __init__(self, batches: Sequence[list[Pair]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> tuple[int, list[Pair]]:
        return step, self.batches[step]


class PairTrainer(PlannedTrainer):
    """Trains on planned batches, one batch a step, and selects the state with the best dev accuracy.

    Args:
        model: the model to train.
        config: the parameters.
        batches: the batch of each step, from `plan_batches`.
        collator: makes training batches.
        dev: mentions with mined candidates, to select on.
        dev_collator: makes dev batches, without random names.
        arguments: the arguments of the trainer of transformers.
        callbacks: the callbacks of the trainer of transformers.
    """

    def __init__(
        self,
        model: RetrievalModel,
        config: TrainConfig,
        batches: Sequence[list[Pair]],
        collator: Collator,
        dev: Sequence[Pair],
        dev_collator: Collator,
        arguments: TrainingArguments,
        callbacks: list[TrainerCallback],
    ) -> None:
        self.config = config
        self.dev = dev
        self.dev_collator = dev_collator
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=_Steps(batches),
            eval_dataset=_Steps([list(dev)]),
            data_collator=lambda items: collator(*items[0]),
            callbacks=callbacks,
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Returns AdamW with one learning rate for the tower and one for the hyper-head."""
        self.optimizer = two_rate_adamw(
            self._retrieval_model() if model is None else model,
            lambda name: not name.startswith("head."),
            learning_rate=self.config.learning_rate,
            head_learning_rate=self.config.head_learning_rate,
            weight_decay=self.config.weight_decay,
        )
        return self.optimizer

    def compute_loss(  # type: ignore[override]
        self, model: RetrievalModel, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Returns the weighted sum of the losses that the parameters ask for."""
        config = self.config
        mentions = inputs["query_ids"], inputs["query_mask"]
        with inference_precision(model.device):
            passages = passage_vectors(model, inputs)
            teacher = _teacher_scores(model, inputs) if config.needs_frozen_teacher else None
            if config.joint_weight:
                queries, vectors = model.encode_with_vectors(*mentions)
                products = candidate_scores(_at_teaching_scale(vectors), passages, inputs)
            else:
                queries, products = model.encode_queries(*mentions), None
            scores = candidate_scores(queries, passages, inputs)
        if products is None:
            loss = self._loss(scores, teacher, config.distillation_weight, inputs)
        else:
            # The query tower learns from labels too, so its products teach more than the frozen tower's.
            taught = products.detach() if config.teacher == "own" else teacher
            joint = self._loss(products, teacher, config.joint_distillation_weight, inputs)
            loss = self._loss(scores, taught, config.distillation_weight, inputs)
            loss = loss + config.joint_weight * joint
        return (loss, {"scores": scores}) if return_outputs else loss

    def _loss(
        self, scores: Tensor, teacher: Tensor | None, distillation_weight: float, inputs: dict[str, Tensor]
    ) -> Tensor:
        config = self.config
        loss = scores.new_zeros(())
        own = inputs["own"].shape[1]
        if config.label_weight:
            ignored = inputs["ignored"].clone()
            ignored[:, config.label_items or own : own] = True
            labels = masked_cross_entropy(scores, inputs["positive"], ignored)
            loss = loss + config.label_weight * labels
        if config.margin_weight:
            margins = margin_mse(
                scores[:, :own],
                inputs["own_scores"] / TEACHER_TEMPERATURE,
                inputs["positive"][:, :own],
                inputs["ignored"][:, :own],
            )
            loss = loss + config.margin_weight * margins
        if distillation_weight:
            assert teacher is not None
            # Ignored places of the query's own items hold no candidate. Shared names always hold one: for a
            # teacher it does not matter whose concept a name belongs to.
            empty = inputs["ignored"].clone()
            empty[:, own:] = False
            distance = distillation(scores, teacher, config.squared_weight, empty)
            loss = loss + distillation_weight * distance
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Returns accuracy@1 on dev among the mined candidates of each mention."""
        metrics = {"eval_accuracy": rerank_accuracy(self._retrieval_model(), self.dev, self.dev_collator)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _retrieval_model(self) -> RetrievalModel:
        assert isinstance(self.model, RetrievalModel)
        return self.model


@torch.no_grad()
def _teacher_scores(model: RetrievalModel, batch: dict[str, Tensor]) -> Tensor:
    vectors = model.encode_passages(batch["query_ids"], batch["query_mask"])
    return candidate_scores(_at_teaching_scale(vectors), batch["passage_vectors"], batch)


def _at_teaching_scale(vectors: Tensor) -> DotProducts:
    return DotProducts(vectors, 1.0 / TEACHER_TEMPERATURE)


@torch.inference_mode()
def rerank_accuracy(
    model: RetrievalModel, pairs: Sequence[Pair], collator: Collator, batch: int = 64
) -> float:
    """Returns the share of mentions whose candidate with the highest score is a positive.

    The candidates are the query's items, and the first items of the other queries in its batch.

    Args:
        model: the model that scores.
        pairs: queries with their items. A query without a positive counts as wrong. A pair counts as often as
            its `count` says.
        collator: a collator without random names.
        batch: how many queries are scored together.
    """
    was_training = model.training
    model.eval()
    hits = 0
    with inference_precision(model.device):
        for start in range(0, len(pairs), batch):
            part = {k: v.to(model.device) for k, v in collator(0, pairs[start : start + batch]).items()}
            scores = batch_scores(model, part).masked_fill(part["ignored"], float("-inf"))
            right = part["positive"].gather(1, scores.argmax(dim=1, keepdim=True))[:, 0].tolist()
            hits += sum(
                pair.count for pair, hit in zip(pairs[start : start + batch], right, strict=True) if hit
            )
    model.train(was_training)
    return hits / sum(pair.count for pair in pairs)


class _LiveCallback(TrainerCallback):
    """Logs the loss and dev accuracy through DVCLive."""

    def __init__(self, live: "Live") -> None:
        self.live = live

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        names = {"loss": "loss", "eval_accuracy": "dev_accuracy"}
        self.live.step = state.global_step
        for name, value in (logs or {}).items():
            if name in names:
                self.live.log_metric(names[name], value)


def train(
    model: RetrievalModel,
    config: TrainConfig,
    batches: Sequence[list[Pair]],
    collator: Collator,
    dev: Sequence[Pair],
    dev_collator: Collator,
    scratch: Path,
    curves: Path | None,
) -> dict[str, float]:
    """Trains a model in place, and leaves it in the state with the best dev accuracy.

    The state before training is kept if no later state is as good.

    Args:
        model: the model to train.
        config: the parameters.
        batches: the batch of each step, from `plan_batches`.
        collator: makes training batches.
        dev: mentions with mined candidates, to select on.
        dev_collator: makes dev batches, without random names.
        scratch: the folder of the checkpoints. A training that finds a checkpoint there continues from it,
            and ends in the same weights as an uninterrupted one.
        curves: the folder that gets DVCLive's curves at the end; None to log no curves.

    Returns:
        "steps"; "dev_accuracy_start", the dev accuracy before training; and "dev_accuracy", that of the state
        that is kept.

    Raises:
        ElError: the disk is full.
        MissingExtraError: a package of the extra "pipeline" is not installed.
    """
    torch.manual_seed(config.seed)
    start = rerank_accuracy(model, dev, dev_collator)
    start_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    last = last_checkpoint(scratch)
    logged = None if curves is None else _logged(scratch / "dvclive", last)
    with needs_extra("pipeline"):
        # transformers needs accelerate to train. Without this import, its error would not name our extra.
        importlib.import_module("accelerate")
    trainer = PairTrainer(
        model,
        config,
        batches,
        collator,
        dev,
        dev_collator,
        _arguments(config, scratch),
        [] if logged is None else [logged],
    )
    try:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    except (RuntimeError, SafetensorError) as error:
        # On a full disk torch and safetensors raise these errors instead of OSError.
        if shutil.disk_usage(scratch).free < _CHECKPOINT_BYTES:
            raise ElError(
                f"{scratch}: the disk is full; free some space and run the same command again"
            ) from error
        raise
    if curves is not None and logged is not None:
        logged.live.end()  # type: ignore[no-untyped-call]
        shutil.copytree(scratch / "dvclive", curves, dirs_exist_ok=True)
    best = trainer.state.best_metric
    if best is None:
        # Fewer steps than `evaluate_every`: dev accuracy was not measured during training.
        best = rerank_accuracy(model, dev, dev_collator)
    if best < start:
        # Training made the model worse.
        model.load_state_dict(start_state)
        best = start
    model.eval()
    return {"steps": config.steps, "dev_accuracy_start": start, "dev_accuracy": best}


def _logged(folder: Path, last: Path | None) -> _LiveCallback:
    """Returns a callback that logs into a folder.

    A resumed training continues the folder's curves from its last checkpoint.
    """
    with needs_extra("pipeline"):
        from dvclive.live import Live

    if last is not None:
        _cut_curves(folder, step_of(last))
    return _LiveCallback(Live(str(folder), resume=last is not None, save_dvc_exp=False, dvcyaml=None))


def _cut_curves(folder: Path, step: int) -> None:
    """Deletes the values after `step` from DVCLive's curves. The resumed training logs them again."""
    for path in folder.rglob("*.tsv"):
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        column = header.split("\t").index("step")
        kept = [row for row in rows if int(row.split("\t")[column]) <= step]
        with atomic_file(path) as temporary:
            temporary.write_text("".join([header, *kept]), encoding="utf-8")


def _arguments(config: TrainConfig, scratch: Path) -> TrainingArguments:
    return planned_arguments(
        scratch,
        steps=config.steps,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        save_steps=config.evaluate_every,
        seed=config.seed,
        eval_strategy="steps",
        eval_steps=config.evaluate_every,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        greater_is_better=True,
    )
