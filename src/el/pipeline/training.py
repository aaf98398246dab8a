"""What the training stages share: the recipe from the parameters, and the outputs of a training."""

from pathlib import Path
from typing import Any

from el.base.files import write_json
from el.base.params import load_section
from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.pipeline.common import METRICS, RUNS, Workspace
from el.training.recipes import PairFiles, Recipe, run_recipe

CURVES = Path("dvclive")


def mined_pairs(space: Workspace, *, with_mentions: bool) -> PairFiles:
    """Returns the files of mined pairs: names of the ontology, mentions of dev, and optionally of train."""
    mined = space.models / "mined"
    mentions = mined / "train.jsonl" if with_mentions else None
    return PairFiles(dev=mined / "dev.jsonl", mentions=mentions, names=mined / "names.jsonl")


def train(
    space: Workspace,
    model: RetrievalModel,
    section: str,
    files: PairFiles,
    name: str,
    vectors: NameVectors | None,
    *,
    neighbours: int = 0,
    straightened: bool = False,
    **changes: Any,
) -> None:
    """Trains a model by the recipe of a section of the parameters, and saves it as `name`.

    Args:
        space: the workspace.
        model: the model; trained in place.
        section: the section of the recipe.
        files: the training pairs.
        name: the name of the model's folder below `space.models`.
        vectors: the names' vectors; see `run_recipe`.
        neighbours, straightened: see `run_recipe`.
        changes: fields of the recipe that differ from the section.
    """
    recipe = load_section(Recipe, space.params, section, **changes)
    out = space.models / name
    outcome = run_recipe(
        model,
        recipe,
        files,
        space.ontology,
        vectors,
        RUNS,
        CURVES / name,
        out,
        neighbours=neighbours,
        straightened=straightened,
    )
    write_json(METRICS / "training" / f"{name}.json", outcome)


def finetune_changes(space: Workspace, model: RetrievalModel) -> dict[str, Any]:
    """Returns the changes of the section `finetune_bi_encoder` to `finetune`; none for other models."""
    return dict(space.params["finetune_bi_encoder"]) if isinstance(model, BiEncoder) else {}


def finetune(space: Workspace, model: RetrievalModel, name: str) -> None:
    """Fine-tunes a model. All kinds of models get the same pairs, batches, steps and selection.

    Args:
        space: the workspace.
        model: trained in place. If `finetune.passages` is frozen, it gets a separate passage tower.
        name: the name of the system.
    """
    vectors = None
    if space.params["finetune"]["passages"] == "frozen":
        model.split_towers()
        vectors = space.vectors(model)
    files = mined_pairs(space, with_mentions=True)
    changes = finetune_changes(space, model)
    train(space, model, "finetune", files, f"finetuned/{name}", vectors, straightened=True, **changes)
