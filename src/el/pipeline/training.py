"""What the training stages share: a recipe from the parameters, and what a training leaves behind."""

from pathlib import Path
from typing import Any

from el.base.files import write_json
from el.base.params import load_section
from el.index.vectors import NameVectors
from el.models.base import RetrievalModel
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
