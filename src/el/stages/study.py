"""Command: a study. Variants of the fine-tuned models, with several seeds, scored on dev against all names.

    python -m el.stages.study configs/study/depths.yaml

Starts from the pipeline's aligned tower, vectors and mined names (`dvc repro mine`), trains each variant
with the parameters of params.yaml and its own changes, and writes results/<data>-<encoder>/study/<name>:
figures and predictions (the first ids) of each variant and seed, and a table with differences from the
baseline. What is there already is not done again. The test split has no part in it.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from el.cli import command_parser, load_section, run_stage
from el.errors import ConfigError, InputError
from el.evaluation.metrics import PairedDifference, gold_ranks, hits, paired_bootstrap
from el.evaluation.protocol import Protocol, load_protocol
from el.evaluation.rankings import Prediction, read_predictions, write_predictions
from el.evaluation.run import evaluate, load_split
from el.files import atomic_file, read_json, sha256_file, write_json
from el.index.vectors import NameVectors
from el.models import BiEncoder, RetrievalModel, load_model
from el.rankers import ModelRanker
from el.report.tables import markdown_table
from el.stages.common import RUNS, Workspace
from el.stages.evaluate import PROTOCOLS, EvaluateConfig
from el.stages.pretrain import fresh_hypencoder
from el.stages.publish import RESULTS, shortened
from el.stages.training import mined_pairs
from el.training.recipes import PairFiles, Recipe, run_recipe

ROWS = ("all", "unseen_form")
# What a variant may change: all else is the pipeline's and the same for all.
_CHANGEABLE = ("pretrain", "finetune")
_CHANGEABLE_QNET = ("start", "activation_type")
# What a variant's figures rest on.
_SECTIONS = ("encoder", "evaluate", "finetune", "inputs", "pretrain", "qnet")


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        depth: hidden layers of the q-nets; 0 for a bi-encoder.
        seeds: of heads and batches.
        changes: parameters that differ from params.yaml, by their dotted names.
    """

    depth: int
    seeds: tuple[int, ...] = (1,)
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """Variants, and the one that the others are compared with."""

    name: str
    baseline: str
    variants: dict[str, Variant]


def load_study(path: Path) -> Study:
    """Reads a study's YAML file.

    Raises:
        InputError: the file is missing or is no study.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        variants = {
            name: Variant(int(v["depth"]), tuple(v.get("seeds", (1,))), dict(v.get("changes", {})))
            for name, v in values["variants"].items()
        }
        study = Study(path.stem, values["baseline"], variants)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        remedy = "See configs/study for how one looks"
        raise InputError(path, "", f"not a study ({type(error).__name__}: {error})", remedy) from error
    if study.baseline not in variants:
        raise InputError(path, "baseline", f"{study.baseline!r} is no variant", "Name one of the variants")
    return study


def changed(params: Mapping[str, Any], changes: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Returns parameters with some changed, and the seed in both trainings of a model.

    Raises:
        ConfigError: a changed parameter does not exist, or is not one of a model's own training.
    """
    new = copy.deepcopy(dict(params))
    for name, value in changes.items():
        section, _, key = name.partition(".")
        own = section in _CHANGEABLE or (section == "qnet" and key in _CHANGEABLE_QNET)
        if not own or key not in new[section]:
            raise ConfigError(
                f"study: {name} cannot be changed; parameters of {', '.join(_CHANGEABLE)}, and "
                f"{', '.join(f'qnet.{key}' for key in _CHANGEABLE_QNET)} can"
            )
        new[section][key] = value
    for section in ("pretrain", "finetune"):
        new[section]["seed"] = seed
    return new


def train_variant(space: Workspace, depth: int, scratch: Path) -> RetrievalModel:
    """Trains a model as the stages do; goes on where an interrupted run stopped.

    Args:
        space: the workspace, with the variant's parameters.
        depth: hidden layers of the q-nets; 0 for a bi-encoder.
        scratch: a folder of the variant's own, kept until it is done.
    """
    aligned = BiEncoder.from_pretrained(space.models / "aligned")
    model: RetrievalModel = aligned
    if depth:
        if not (scratch / "pretrained").is_dir():
            recipe = load_section(Recipe, space.params, "pretrain")
            fresh = fresh_hypencoder(space, aligned, depth, recipe.seed)
            _run(space, fresh, recipe, mined_pairs(space, with_mentions=False), scratch, "pretrained")
        # Read again as a stage would: training has frozen this and switched off that.
        model = load_model(scratch / "pretrained")
    recipe = load_section(Recipe, space.params, "finetune")
    if recipe.passages == "frozen":
        model.split_towers()
    _run(space, model, recipe, mined_pairs(space, with_mentions=True), scratch, "model")
    return load_model(scratch / "model")


def _run(
    space: Workspace, model: RetrievalModel, recipe: Recipe, files: PairFiles, scratch: Path, name: str
) -> None:
    vectors = NameVectors.open(space.aligned_vectors, space.ontology)
    runs, curves = scratch / "runs", scratch / "curves" / name
    run_recipe(model, recipe, files, space.ontology, vectors, runs, curves, scratch / name)


def score_variant(
    space: Workspace, model: RetrievalModel, name: str, protocol: Protocol
) -> tuple[dict[str, float], list[Prediction]]:
    """Ranks all names for the mentions of dev."""
    config = load_section(EvaluateConfig, space.params, "evaluate")
    vectors = space.vectors(model)
    return evaluate(
        name,
        lambda ids: ModelRanker(model, vectors, space.ontology, config.candidates, ids, f"{name} on dev"),
        load_split(space.data / "corpus", "dev"),
        protocol,
        space.inputs.context_characters,
        config.candidates,
    )


def mean_hits(runs: Sequence[Sequence[Prediction]], row: str, retrieved: int) -> npt.NDArray[np.float64]:
    """(n,) float64: for each mention of a row, the share of runs (seeds) whose first concept is right."""
    each = [hits(gold_ranks([p for p in run if row in p.rows], retrieved), 1) for run in runs]
    mean: npt.NDArray[np.float64] = np.mean(each, axis=0)
    return mean


def difference(
    ours: Sequence[Sequence[Prediction]],
    baseline: Sequence[Sequence[Prediction]],
    row: str,
    protocol: Protocol,
) -> PairedDifference:
    """How two variants differ in accuracy@1, each averaged over its seeds, by documents."""
    documents = [p.document_id for p in baseline[0] if row in p.rows]
    return paired_bootstrap(
        mean_hits(ours, row, protocol.retrieved),
        mean_hits(baseline, row, protocol.retrieved),
        documents,
        protocol.bootstrap_samples,
        protocol.bootstrap_seed,
    )


def study_table(study: Study, runs: Mapping[str, Sequence[Sequence[Prediction]]], protocol: Protocol) -> str:
    """Returns a Markdown table: for each variant accuracy@1, by seed and against the baseline."""
    headings = ["variant", "seeds"]
    for row in ROWS:
        headings += [row, f"{row}, by seed", f"{row}, against {study.baseline} (95 %)"]
    lines = []
    for name, predictions in runs.items():
        cells = [name, str(len(predictions))]
        for row in ROWS:
            seeds = [mean_hits([one], row, protocol.retrieved).mean() for one in predictions]
            compared = difference(predictions, runs[study.baseline], row, protocol)
            against = f"{compared.difference:+.3f} ({compared.lo:+.3f} to {compared.hi:+.3f})"
            cells += [
                f"{np.mean(seeds):.3f}",
                " ".join(f"{seed:.3f}" for seed in seeds),
                "" if name == study.baseline else against,
            ]
        lines.append(cells)
    return markdown_table(headings, lines)


def run_study(space: Workspace, study: Study, protocol: Protocol) -> Path:
    """Trains and scores what is not there yet, and writes the table. Returns the folder.

    Raises:
        ConfigError: the models of the parameters are given ones.
    """
    if space.qnet.pretrained:
        raise ConfigError("a study makes its own heads: set qnet.pretrained to null")
    folder = RESULTS / space.label / "study" / study.name
    inputs = _inputs(space)
    runs: dict[str, list[list[Prediction]]] = {}
    for name, variant in study.variants.items():
        for seed in variant.seeds:
            one = Workspace(changed(space.params, variant.changes, seed))
            used = {section: one.params[section] for section in _SECTIONS}
            record = {"depth": variant.depth, "params": used, "inputs": inputs}
            path = folder / f"{name}-{seed}.jsonl.gz"
            if not _is_done(path, record):
                key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
                scratch = RUNS / f"study-{key}"
                model = train_variant(one, variant.depth, scratch)
                metrics, predictions = score_variant(one, model, name, protocol)
                write_predictions(path, [shortened(prediction) for prediction in predictions])
                # Last, for it says that the run is done.
                write_json(_record_path(path), {**record, "metrics": metrics})
                shutil.rmtree(scratch)
            runs.setdefault(name, []).append(read_predictions(path))
    caption = (
        f"Protocol `{protocol.name}`, dev, all names; accuracy@1 of the model's own scores over the "
        f"{space.params['evaluate']['candidates']} names that it retrieves. Differences: paired bootstrap "
        f"over documents, seeds averaged. `python -m el.stages.study configs/study/{study.name}.yaml`\n\n"
    )
    with atomic_file(folder / "table.md") as temporary:
        temporary.write_text(caption + study_table(study, runs, protocol), encoding="utf-8")
    return folder


def _inputs(space: Workspace) -> dict[str, str]:
    """Checksums of what all variants start from."""
    mined = space.models / "mined"
    files = [mined / f"{name}.jsonl" for name in ("dev", "names", "train")]
    vectors = read_json(space.aligned_vectors / "manifest.json")
    return {
        "aligned": vectors["model"],
        "ontology": vectors["ontology"],
        "dev": sha256_file(space.data / "corpus" / "dev.jsonl"),
        **{f"mined_{path.stem}": sha256_file(path) for path in files},
    }


def _record_path(predictions: Path) -> Path:
    return predictions.with_suffix("").with_suffix(".json")


def _is_done(predictions: Path, record: Mapping[str, Any]) -> bool:
    """Whether a run is there, made with these parameters from these inputs."""
    path = _record_path(predictions)
    if not path.is_file() or not predictions.is_file():
        return False
    stored = read_json(path)
    return {key: stored.get(key) for key in record} == dict(record)


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("study", type=Path, help="a file such as configs/study/depths.yaml")
    study = load_study(parser.parse_args().study)
    print(run_study(Workspace.here(), study, load_protocol(PROTOCOLS / "full.yaml")) / "table.md")


if __name__ == "__main__":
    run_stage(main)
