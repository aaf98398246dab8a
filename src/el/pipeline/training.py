"""What the training stages share: a recipe from the parameters, and what a training leaves behind."""

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
    """The mined pairs: names of the ontology and, of the corpus, dev and maybe training mentions."""
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
    straightened: bool = False,
    **changes: Any,
) -> None:
    """Trains a model by the recipe of a section, with changes to it, and saves it as `name`.

    `straightened` is that of `run_recipe`.
    """
    recipe = load_section(Recipe, space.params, section, **changes)
    out = space.models / name
    outcome = run_recipe(
        model, recipe, files, space.ontology, vectors, RUNS, CURVES / name, out, straightened=straightened
    )
    write_json(METRICS / "training" / f"{name}.json", outcome)


def finetune_changes(space: Workspace, model: RetrievalModel) -> dict[str, Any]:
    """What the section `finetune_bi_encoder` changes in `finetune`; nothing for other models."""
    return dict(space.params["finetune_bi_encoder"]) if isinstance(model, BiEncoder) else {}


def finetune(space: Workspace, model: RetrievalModel, name: str) -> None:
    """Fine-tunes a model of either kind: same pairs, same batches, same steps, same selection.

    Args:
        space: the workspace.
        model: trained in place; where names are frozen, passages get a tower of their own.
        name: what it is called.
    """
    vectors = None
    if space.params["finetune"]["passages"] == "frozen":
        model.split_towers()
        vectors = space.vectors(model)
    files = mined_pairs(space, with_mentions=True)
    changes = finetune_changes(space, model)
    train(space, model, "finetune", files, f"finetuned/{name}", vectors, straightened=True, **changes)
