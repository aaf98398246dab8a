"""One trainer for both kinds of model, on the trainer of transformers."""

import importlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from el.base.errors import ElError
from el.base.extras import needs_extra
from el.base.files import atomic_file
from el.models.base import RetrievalModel, inference_precision
from el.models.dot_product import DotProducts
from el.training.collator import Collator, batch_scores, candidate_scores, passage_vectors
from el.training.config import TEACHER_TEMPERATURE, TrainConfig
from el.training.losses import distillation, margin_mse, masked_cross_entropy
from el.training.pairs import Pair

if TYPE_CHECKING:
    from dvclive.live import Live

# Less free space than this cannot hold a checkpoint of even a small tower with its optimiser.
_CHECKPOINT_BYTES = 1 << 28


class _Steps(Dataset[tuple[int, list[Pair]]]):
    """The planned batches; item i is step i, so that a resume goes on where it stopped."""

    def __init__(self, batches: Sequence[list[Pair]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> tuple[int, list[Pair]]:
        return step, self.batches[step]


class PairTrainer(Trainer):
    """Trains on planned batches, one batch a step, and selects on dev accuracy."""

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
        self.batches = _Steps(batches)
        self.config = config
        self.dev = dev
        self.dev_collator = dev_collator
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=self.batches,
            eval_dataset=_Steps([list(dev)]),
            data_collator=lambda items: collator(*items[0]),
            callbacks=callbacks,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:  # noqa: ARG002
        return SequentialSampler(self.batches)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate of its own for the hyper-head."""
        model = self._retrieval_model() if model is None else model
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        head = [p for name, p in named if name.startswith("head.")]
        tower = [p for name, p in named if not name.startswith("head.")]
        groups: list[dict[str, Any]] = [
            {"params": tower, "lr": self.config.learning_rate},
            {"params": head, "lr": self.config.head_learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            weight_decay=self.config.weight_decay,
            # One pass over the parameters instead of ten: a third of a step on a CPU.
            fused=True,
        )
        return self.optimizer

    def compute_loss(  # type: ignore[override]
        self, model: RetrievalModel, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """The weighted sum of the losses."""
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
            # Own products learn from labels too, and so teach more than the frozen tower's.
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
            # Ignored own places hold nothing. Shared names are names like others here, whoever's they are.
            empty = inputs["ignored"].clone()
            empty[:, own:] = False
            distance = distillation(scores, teacher, config.squared_weight, empty)
            loss = loss + distillation_weight * distance
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Accuracy@1 on dev among the mined candidates of each mention."""
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
    """The share of mentions whose best-scored candidate is a positive.

    Candidates are a query's own items and the first items of the queries in its batch.

    Args:
        model: scores.
        pairs: queries with their own items; one with no positive among them counts as wrong, and one that
            stands for several mentions counts for all of them.
        collator: one without random names.
        batch: queries at once.
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
    """Logs loss, learning rates and dev accuracy through DVCLive."""

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
    """Trains a model in place and leaves it in its best state on dev; that may be the one it came in.

    Args:
        model: as it starts.
        config: how.
        batches: one a step, from `plan_batches`.
        collator: makes training batches.
        dev: mentions with mined candidates, to select on.
        dev_collator: makes dev batches, without random names.
        scratch: keeps checkpoints; an interrupted training that finds one there goes on. Without an
            interruption the weights would be the same.
        curves: the folder that gets DVCLive's curves at the end; None to log none.

    Returns:
        steps, dev_accuracy at the start, dev_accuracy of the state that was kept.
    """
    torch.manual_seed(config.seed)
    start = rerank_accuracy(model, dev, dev_collator)
    start_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    last = last_checkpoint(scratch)
    logged = None if curves is None else _logged(scratch / "dvclive", last)
    with needs_extra("pipeline"):
        # transformers asks for it where it trains.
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
        # torch and safetensors report a full disk as errors of their own.
        if shutil.disk_usage(scratch).free < _CHECKPOINT_BYTES:
            raise ElError(f"{scratch}: the disk is full; make room and run the same command again") from error
        raise
    if curves is not None and logged is not None:
        logged.live.end()  # type: ignore[no-untyped-call]
        shutil.copytree(scratch / "dvclive", curves, dirs_exist_ok=True)
    best = trainer.state.best_metric
    if best is None:  # fewer steps than `evaluate_every`
        best = rerank_accuracy(model, dev, dev_collator)
    if best < start:
        # What training has made worse is left as it was.
        model.load_state_dict(start_state)
        best = start
    model.eval()
    return {"steps": config.steps, "dev_accuracy_start": start, "dev_accuracy": best}


def last_checkpoint(scratch: Path) -> Path | None:
    """Finds the newest checkpoint that was written to its end, and deletes those that were not."""
    complete = []
    for folder in scratch.glob("checkpoint-*"):
        # The trainer writes this file last.
        if (folder / TRAINER_STATE_NAME).is_file():
            complete.append(folder)
        else:
            shutil.rmtree(folder)
    return max(complete, key=_step_of, default=None)


def _logged(folder: Path, last: Path | None) -> _LiveCallback:
    """Logs into a folder, in which curves of an interrupted training go on from its last checkpoint."""
    with needs_extra("pipeline"):
        from dvclive.live import Live

    if last is not None:
        _cut_curves(folder, _step_of(last))
    return _LiveCallback(Live(str(folder), resume=last is not None, save_dvc_exp=False, dvcyaml=None))


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _cut_curves(folder: Path, step: int) -> None:
    """Deletes from DVCLive's curves what was logged after `step`, for it will be logged again."""
    for path in folder.rglob("*.tsv"):
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        column = header.split("\t").index("step")
        kept = [row for row in rows if int(row.split("\t")[column]) <= step]
        with atomic_file(path) as temporary:
            temporary.write_text("".join([header, *kept]), encoding="utf-8")


def _arguments(config: TrainConfig, scratch: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=config.steps,
        per_device_train_batch_size=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_steps,
        logging_steps=10,
        eval_strategy="steps",
        eval_steps=config.evaluate_every,
        save_strategy="steps",
        save_steps=config.evaluate_every,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        greater_is_better=True,
        seed=config.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        report_to="none",
        # In a log, lines with the loss; a bar only on a terminal.
        disable_tqdm=not sys.stderr.isatty(),
    )
