"""Command: runs a study, which compares variants of the fine-tuned models, with several seeds, on dev.

    python -m el.studies.study configs/study/depths.yaml

A study starts from the aligned tower, vectors and mined names of the pipeline (`dvc repro mine`). It trains
each variant with the parameters of params.yaml and the changes of the variant. It writes
results/<data>-<encoder>/study/<name>: figures and predictions (the first ids) of each variant and seed, and a
table with differences from the baseline. Variants that are already scored are not trained again. The test
split is used only if the study's file names it; that is for variants that are finished.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import yaml

from el.base.cli import command_parser, run_command
from el.base.errors import ConfigError, InputError
from el.base.files import atomic_file, read_json, sha256_file, write_json
from el.base.params import load_section
from el.base.text import normalise
from el.corpus.splits import split_checksum, split_documents
from el.evaluation.metrics import PairedDifference, gold_ranks, hits, paired_bootstrap
from el.evaluation.predictions import Prediction, read_predictions, write_predictions
from el.evaluation.protocol import Protocol, named_protocol
from el.evaluation.run import evaluate, load_split
from el.index.vectors import NameVectors
from el.linking.rankers import ModelRanker
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.inputs import name_inputs, tokens_for
from el.models.loading import load_model
from el.pipeline.common import RUNS, Workspace
from el.pipeline.pretrain import fresh_hypencoder
from el.pipeline.publish import RESULTS, shortened
from el.pipeline.scoring import EvaluateConfig
from el.pipeline.training import finetune_changes, mined_pairs
from el.report.tables import markdown_table
from el.runtime.compile import make_engine
from el.studies.controls import FixedScorer, fix_hidden_layers
from el.training.make_pairs import mention_pairs
from el.training.mining import Miner, MiningConfig
from el.training.pairs import read_pairs, write_pairs
from el.training.recipes import PairFiles, Recipe, run_recipe

ROWS = ("all", "unseen_form")
# The parameters that a variant may change. All others are the same for all variants, because they change what
# the variants start from.
_CHANGEABLE_SECTIONS = ("pretrain", "finetune", "finetune_bi_encoder")
CONTEXT = "inputs.context_characters"
_CHANGEABLE = ("qnet.start", "qnet.activation_type", CONTEXT)
# The sections of params.yaml that a variant's figures depend on. If one changes, the variant is run again.
_SECTIONS = ("encoder", "evaluate", "finetune", "finetune_bi_encoder", "inputs", "pretrain", "qnet")


ScorerName = Literal["generated", "fixed_hidden", "fixed"]
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        depth: number of hidden layers of the q-nets; 0 for a bi-encoder.
        seeds: the seeds of heads and batches; the variant is trained once per seed.
        changes: parameters that differ from params.yaml, by their dotted names.
        scorer: "generated": a q-net for each query; "fixed_hidden": a q-net of which only the last layer is
            generated; "fixed": one network for all queries (`FixedScorer`).
        against: the variant that it is compared with; None for the study's baseline.
        rounds: the number of trainings, each from the same start. From the second round on, the hard
            negatives of mentions are the names that the model of the round before finds nearest.
    """

    depth: int
    seeds: tuple[int, ...] = (1,)
    changes: dict[str, Any] = field(default_factory=dict)
    scorer: ScorerName = "generated"
    against: str | None = None
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; 1 or more are needed")
        if self.scorer not in get_args(ScorerName):
            raise ValueError(f"scorer is {self.scorer!r}; one of {', '.join(get_args(ScorerName))} is needed")
        least = 0 if self.scorer == "generated" else 1
        if self.depth < least:
            raise ValueError(f"depth is {self.depth}; with scorer {self.scorer} it must be {least} or more")


@dataclass(frozen=True)
class Study:
    """Variants, and how they are scored and compared.

    Attributes:
        name: the name of the file, without its suffix.
        baseline: the variant that the others are compared with, unless they name another.
        variants: name -> variant.
        splits: the splits that are scored.
        contexts: characters of context on each side; every variant is scored with each of them, and with the
            context that it was trained with. None for the latter only.
        names: the approximate number of names, of concepts drawn at random, that are ranked in addition to
            those of all gold concepts; None for all names.
        every: n to score every n-th document of a split.
    """

    name: str
    baseline: str
    variants: dict[str, Variant]
    splits: tuple[str, ...] = ("dev",)
    contexts: tuple[int, ...] | None = None
    names: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if not set(self.splits) <= set(_SPLITS):
            raise ValueError(f"splits is {list(self.splits)}; some of {', '.join(_SPLITS)} are needed")
        if self.every < 1 or (self.names is not None and self.names < 1):
            raise ValueError(f"every is {self.every}, names is {self.names}; 1 or more are needed")

    def scorings(self, own_context: int) -> list["Scoring"]:
        """Returns the scorings of a variant. `own_context` is the context that it was trained with."""
        contexts = sorted({own_context, *(self.contexts or ())})
        return [self.scoring(split, context) for split in self.splits for context in contexts]

    def scoring(self, split: str, context: int) -> "Scoring":
        """Returns the scoring of a split with `context` characters of context on each side."""
        return Scoring(split, context, self.names, self.every)


@dataclass(frozen=True)
class Scoring:
    """One way to score: the split, the context on each side, and `names` and `every` of the study."""

    split: str
    context: int
    names: int | None = None
    every: int = 1

    def path(self, folder: Path, variant: str, seed: int, own_context: int) -> Path:
        """Returns the file of the predictions."""
        context = "" if self.context == own_context else f"-context{self.context}"
        return folder / f"{variant}-{seed}{_suffix(self.split)}{context}.jsonl.gz"


def _suffix(split: str) -> str:
    """Returns the suffix of the names of a split's files; "" for dev, the usual split of studies."""
    return "" if split == "dev" else f"-{split}"


def load_study(path: Path) -> Study:
    """Reads a study's YAML file.

    Raises:
        InputError: the file is missing, or it is not a study.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        variants = {name: Variant(**_tuples(variant)) for name, variant in values.pop("variants").items()}
        # Misspelt keys raise a TypeError here.
        study = Study(name=path.stem, variants=variants, **_tuples(values))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        remedy = "See configs/study for examples"
        raise InputError(path, "", f"not a study ({type(error).__name__}: {error})", remedy) from error
    named = {"baseline": study.baseline}
    named |= {f"variant {name}, against": v.against for name, v in variants.items() if v.against}
    for place, name in named.items():
        if name not in variants:
            raise InputError(path, place, f"{name!r} is no variant", "Give the name of a variant")
    return study


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def changed(params: Mapping[str, Any], changes: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Returns parameters with some changes, and with the seed in both trainings of a model.

    If the context is changed, the input length of the towers is raised to fit it.

    Raises:
        ConfigError: a changed parameter does not exist, or does not belong to the training of a model.
    """
    new = copy.deepcopy(dict(params))
    for name, value in changes.items():
        section, _, key = name.partition(".")
        changeable = section in _CHANGEABLE_SECTIONS or name in _CHANGEABLE
        if not changeable or key not in new[section]:
            raise ConfigError(
                f"study: {name} cannot be changed. Only parameters of {', '.join(_CHANGEABLE_SECTIONS)}, and "
                f"{', '.join(_CHANGEABLE)}, can be changed"
            )
        new[section][key] = value
    if CONTEXT in changes:
        new["encoder"]["max_tokens"] = max(new["encoder"]["max_tokens"], tokens_for(changes[CONTEXT]))
    for section in ("pretrain", "finetune"):
        new[section]["seed"] = seed
    return new


def train_variant(space: Workspace, variant: Variant, scratch: Path) -> RetrievalModel:
    """Trains a model as the stages do. An interrupted training continues where it stopped.

    Args:
        space: the workspace, with the variant's parameters.
        variant: what is trained.
        scratch: a folder for this variant only; it is kept until the variant is scored.
    """
    if (scratch / "model").is_dir():
        return _load(scratch / "model", variant)
    files = mined_pairs(space, with_mentions=True)
    if space.inputs.context_characters:
        files = pairs_in_context(space, files, scratch / "pairs")
    for number in range(1, variant.rounds):
        trained = _train_round(space, variant, files, scratch, f"round-{number}")
        files = mined_again(space, trained, files, scratch / f"mined-{number}")
    return _train_round(space, variant, files, scratch, "model")


def _train_round(
    space: Workspace, variant: Variant, files: PairFiles, scratch: Path, name: str
) -> RetrievalModel:
    """Trains a new model, unless `scratch` has it. Returns the model."""
    if not (scratch / name).is_dir():
        model = _fresh_model(space, variant, scratch)
        recipe = load_section(Recipe, space.params, "finetune", **finetune_changes(space, model))
        if recipe.passages == "frozen":
            model.split_towers()
        _read_context(model, space.inputs.context_characters)
        _run(space, model, recipe, files, scratch, name)
    return _load(scratch / name, variant)


def mined_again(space: Workspace, model: RetrievalModel, files: PairFiles, folder: Path) -> PairFiles:
    """Writes the training mentions with new hard negatives: the names that are nearest by a model's vectors.

    The pairs of names and the pairs of dev stay as they are.
    """
    assert files.mentions is not None
    vectors = NameVectors.open(space.aligned_vectors, space.ontology)
    vectors.check_model(model.passage_tower.fingerprint())
    # The miner encodes queries, so it gets the query tower of the model as a bi-encoder.
    queries = BiEncoder(model.retrieval_tower, None, model.tokenizer)
    texts = name_inputs(space.ontology, space.inputs.definition_characters)
    config = load_section(MiningConfig, space.params, "mining")
    miner = Miner(queries, vectors, space.ontology, config, texts)
    pairs = [replace(pair, items=()) for pair in read_pairs(files.mentions)]
    write_pairs(folder / "train.jsonl", miner.for_training(pairs, "mine again", names=False))
    return replace(files, mentions=folder / "train.jsonl")


def _fresh_model(space: Workspace, variant: Variant, scratch: Path) -> RetrievalModel:
    aligned = BiEncoder.from_pretrained(space.models / "aligned")
    recipe = load_section(Recipe, space.params, "pretrain")
    if not variant.depth:
        return aligned
    if variant.scorer == "fixed":
        torch.manual_seed(recipe.seed)
        return FixedScorer(aligned.query_tower, None, aligned.tokenizer, variant.depth)
    if not (scratch / "pretrained").is_dir():
        fresh = fresh_hypencoder(space, aligned, variant.depth, recipe.seed)
        if variant.scorer == "fixed_hidden":
            fix_hidden_layers(fresh)
        _run(space, fresh, recipe, mined_pairs(space, with_mentions=False), scratch, "pretrained")
    # Loaded from disk as a stage does, because training froze parameters and switched off dropout.
    return _load(scratch / "pretrained", variant)


def _load(folder: Path, variant: Variant) -> RetrievalModel:
    if variant.scorer == "fixed":
        return FixedScorer.from_pretrained(folder)
    model = load_model(folder)
    if variant.scorer == "fixed_hidden":
        assert isinstance(model, Hypencoder)
        fix_hidden_layers(model)
    return model


def _run(
    space: Workspace, model: RetrievalModel, recipe: Recipe, files: PairFiles, scratch: Path, name: str
) -> None:
    vectors = NameVectors.open(space.aligned_vectors, space.ontology)
    runs, curves = scratch / "runs", scratch / "curves" / name
    run_recipe(model, recipe, files, space.ontology, vectors, runs, curves, scratch / name)


def pairs_in_context(space: Workspace, mined: PairFiles, folder: Path) -> PairFiles:
    """Writes the mined pairs of mentions again, one for each mention, with the context of its document.

    The names of a pair are those that were mined for the bare mention.
    """
    written = {}
    for split, path in (("train", mined.mentions), ("dev", mined.dev)):
        assert path is not None
        items = {(normalise(pair.mention), pair.concept_ids): pair.items for pair in read_pairs(path)}
        documents = split_documents(space.data / "corpus", split)
        pairs = mention_pairs(documents, space.ontology, space.inputs)
        written[split] = folder / f"{split}.jsonl"
        write_pairs(
            written[split],
            (replace(pair, items=items[normalise(pair.mention), pair.concept_ids]) for pair in pairs),
        )
    return PairFiles(dev=written["dev"], mentions=written["train"], names=mined.names)


def _read_context(model: RetrievalModel, characters: int) -> None:
    """Raises the input length of a model, so that it reads `characters` of context on each side."""
    assert model.tokenizer is not None
    if characters:
        model.tokenizer.model_max_length = tokens_for(characters)


def score_variant(
    space: Workspace, model: RetrievalModel, name: str, protocol: Protocol, scoring: Scoring
) -> tuple[dict[str, float], list[Prediction]]:
    """Scores a model on the mentions of a split. Returns its figures and predictions."""
    config = load_section(EvaluateConfig, space.params, "evaluate")
    vectors = space.vectors(model)
    pool = None if scoring.names is None else _pool(space, scoring.names, scoring.split)
    _read_context(model, scoring.context)
    engine = make_engine(model)

    def make(ids: set[str] | None) -> ModelRanker:
        allowed = pool if ids is None else ids
        description = f"{name} on {scoring.split}"
        return ModelRanker(engine, vectors, space.ontology, config.candidates, allowed, description)

    split = load_split(space.data / "corpus", scoring.split)
    corpora = {name: documents[:: scoring.every] for name, documents in split.corpora.items()}
    documents = [document for of_corpus in corpora.values() for document in of_corpus]
    split = replace(split, documents=documents or split.documents[:: scoring.every], corpora=corpora)
    return evaluate(name, make, split, protocol, scoring.context, config.candidates)


def _pool(space: Workspace, names: int, split: str) -> set[str]:
    """Returns the gold concepts of train, dev and the split, and concepts drawn at random.

    The concepts drawn at random have about `names` names.
    """
    ontology = space.ontology
    gold = {
        concept_id
        for name in {"train", "dev", split}
        for document in split_documents(space.data / "corpus", name)
        for mention in document.mentions
        for concept_id in mention.concept_ids
    }
    share = names / len(ontology.name_texts)
    drawn = np.random.default_rng(1).random(len(ontology.ids)) < share
    return gold | {ontology.ids[row] for row in np.flatnonzero(drawn)}


def mean_hits(runs: Sequence[Sequence[Prediction]], row: str, retrieved: int) -> npt.NDArray[np.float64]:
    """Returns (n,) float64: for each mention of a row, the share of seeds whose first concept is right."""
    each = [hits(gold_ranks([p for p in run if row in p.rows], retrieved), 1) for run in runs]
    mean: npt.NDArray[np.float64] = np.mean(each, axis=0)
    return mean


def difference(
    ours: Sequence[Sequence[Prediction]],
    baseline: Sequence[Sequence[Prediction]],
    row: str,
    protocol: Protocol,
) -> PairedDifference:
    """Returns the difference of two variants in accuracy@1, each averaged over its seeds.

    The interval is by bootstrap over documents.
    """
    documents = [p.document_id for p in baseline[0] if row in p.rows]
    return paired_bootstrap(
        mean_hits(ours, row, protocol.retrieved),
        mean_hits(baseline, row, protocol.retrieved),
        documents,
        protocol.bootstrap_samples,
        protocol.bootstrap_seed,
    )


def study_table(study: Study, runs: Mapping[str, Sequence[Sequence[Prediction]]], protocol: Protocol) -> str:
    """Returns a Markdown table: for each variant accuracy@1, its values by seed, and the difference."""
    headings = ["variant", "seeds"]
    for row in ROWS:
        headings += [row, f"{row}, by seed", f"{row}, against {study.baseline} (95 %)"]
    lines = []
    for name, predictions in runs.items():
        cells = [name, str(len(predictions))]
        for row in ROWS:
            seeds = [mean_hits([one], row, protocol.retrieved).mean() for one in predictions]
            cells += [
                f"{np.mean(seeds):.3f}",
                " ".join(f"{seed:.3f}" for seed in seeds),
                _compared(study, name, runs, row, protocol),
            ]
        lines.append(cells)
    return markdown_table(headings, lines)


def _compared(
    study: Study,
    name: str,
    runs: Mapping[str, Sequence[Sequence[Prediction]]],
    row: str,
    protocol: Protocol,
) -> str:
    baseline = study.variants[name].against or study.baseline
    if name == baseline:
        return ""
    found = difference(runs[name], runs[baseline], row, protocol)
    text = f"{found.difference:+.3f} ({found.lo:+.3f} to {found.hi:+.3f})"
    return text if baseline == study.baseline else f"{text}, against {baseline}"


def run_study(space: Workspace, study: Study, protocol: Protocol) -> list[Path]:
    """Trains and scores the variants that are not scored yet, and writes the tables. Returns their paths.

    Raises:
        ConfigError: the parameters name released checkpoints, `qnet.pretrained`.
    """
    if space.qnet.pretrained:
        raise ConfigError("a study trains fresh heads: set qnet.pretrained to null")
    folder = RESULTS / space.label / "study" / study.name
    runs: dict[str, list[dict[Scoring, list[Prediction]]]] = {}
    for name, variant in study.variants.items():
        for seed in variant.seeds:
            one = Workspace(changed(space.params, variant.changes, seed))
            runs.setdefault(name, []).append(run_variant(one, study, name, seed, folder, protocol))
    tables = []
    for split in study.splits:
        tables.append(folder / f"table{_suffix(split)}.md")
        with atomic_file(tables[-1]) as temporary:
            text = _caption(space, study, split, protocol) + _tables(space, study, split, runs, protocol)
            temporary.write_text(text, encoding="utf-8")
    return tables


def run_variant(
    space: Workspace, study: Study, name: str, seed: int, folder: Path, protocol: Protocol
) -> dict[Scoring, list[Prediction]]:
    """Trains and scores a variant with one seed, unless it is already scored. Returns its predictions."""
    variant = study.variants[name]
    own_context = space.inputs.context_characters
    training: dict[str, Any] = {
        "depth": variant.depth,
        "params": {section: space.params[section] for section in _SECTIONS},
        "inputs": _inputs(space),
    }
    if variant.scorer != "generated":
        training["scorer"] = variant.scorer
    if variant.rounds != 1:
        training["rounds"] = variant.rounds
    key = hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest()[:16]
    scratch = RUNS / f"study-{key}"
    found = {}
    for scoring in study.scorings(own_context):
        path = scoring.path(folder, name, seed, own_context)
        record = training | _scoring_record(space, scoring, own_context)
        if not _is_done(path, record):
            model = train_variant(space, variant, scratch)
            metrics, predictions = score_variant(space, model, name, protocol, scoring)
            write_predictions(path, [shortened(prediction) for prediction in predictions])
            # Written last, because this file marks the run as done.
            write_json(_record_path(path), {**record, "metrics": metrics})
        found[scoring] = read_predictions(path)
    shutil.rmtree(scratch, ignore_errors=True)
    return found


def _scoring_record(space: Workspace, scoring: Scoring, own_context: int) -> dict[str, Any]:
    """Returns what a scoring depends on in addition to the training; only values that are not the default."""
    record: dict[str, Any] = {}
    if scoring.split != "dev":
        sha256 = split_checksum(space.data / "corpus", scoring.split)
        record["split"] = {"name": scoring.split, "sha256": sha256}
    if scoring.context != own_context:
        record["context_characters"] = scoring.context
    if scoring.names is not None:
        record["names"] = scoring.names
    if scoring.every != 1:
        record["every"] = scoring.every
    return record


def _caption(space: Workspace, study: Study, split: str, protocol: Protocol) -> str:
    names = "all names"
    if study.names is not None:
        names = f"the names of all gold concepts and about {study.names:,} more"
    documents = "" if study.every == 1 else f" (one document of {study.every})"
    retrieved = space.params["evaluate"]["candidates"]
    return (
        f"Protocol `{protocol.name}`, {split}{documents}, {names}; accuracy@1 of the model's scores alone, "
        f"over the {retrieved} names that it retrieves. Differences are by paired bootstrap over documents, "
        f"with seeds averaged. `python -m el.studies.study configs/study/{study.name}.yaml`\n\n"
    )


def _tables(
    space: Workspace,
    study: Study,
    split: str,
    runs: Mapping[str, Sequence[Mapping[Scoring, list[Prediction]]]],
    protocol: Protocol,
) -> str:
    """Returns the tables of a split, as Markdown.

    The first has each variant with the context that it was trained with. With `study.contexts`, one more
    table for each row has all contexts.
    """
    contexts = {
        name: variant.changes.get(CONTEXT, space.inputs.context_characters)
        for name, variant in study.variants.items()
    }
    text = study_table(
        study,
        {name: [run[study.scoring(split, contexts[name])] for run in runs[name]] for name in runs},
        protocol,
    )
    for row in ROWS if study.contexts else ():
        scorings = [study.scoring(split, context) for context in study.contexts or ()]
        lines = [
            [name, *(_mean([run[scoring] for run in runs[name]], row, protocol) for scoring in scorings)]
            for name in runs
        ]
        text += f"\n`{row}`, by characters of context on each side that the model reads:\n\n"
        text += markdown_table(["variant", *map(str, study.contexts or ())], lines)
    return text


def _mean(runs: Sequence[Sequence[Prediction]], row: str, protocol: Protocol) -> str:
    return f"{mean_hits(runs, row, protocol.retrieved).mean():.3f}"


def _inputs(space: Workspace) -> dict[str, str]:
    """Returns checksums of the files and the tower that all variants start from."""
    mined = space.models / "mined"
    files = [mined / f"{name}.jsonl" for name in ("dev", "names", "train")]
    vectors = read_json(space.aligned_vectors / "manifest.json")
    return {
        "aligned": vectors["model"],
        "ontology": vectors["ontology"],
        "dev": split_checksum(space.data / "corpus", "dev"),
        **{f"mined_{path.stem}": sha256_file(path) for path in files},
    }


def _record_path(predictions: Path) -> Path:
    return predictions.with_suffix("").with_suffix(".json")


def _is_done(predictions: Path, record: Mapping[str, Any]) -> bool:
    """Whether a run is complete and was made with these parameters and inputs."""
    path = _record_path(predictions)
    if not path.is_file() or not predictions.is_file():
        return False
    stored = read_json(path)
    return {key: stored.get(key) for key in record} == dict(record)


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("study", type=Path, help="a file such as configs/study/depths.yaml")
    study = load_study(parser.parse_args().study)
    for table in run_study(Workspace.here(), study, named_protocol("full")):
        print(table)


if __name__ == "__main__":
    run_command(main)
