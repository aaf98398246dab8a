"""A linker on disk: opens, checks and writes its folder.

The folder contains everything that the linker needs, so that the linker works offline:

    manifest.json          format, fingerprints, settings, and what the linker was made from
    model/                 a Hypencoder or a bi-encoder
    compiled/              the model's query side, ready to run
    ontology/              concepts and names
    vectors/               the names' vectors, made by the model's passage tower, and their graph
    spellings.npz          the names by their spelling
    learned_synonyms.tsv   surface forms of training documents; optional
    combinations.json      weights of the kinds of evidence, for each choice of groups
    tagger/                finds mentions in plain text; optional

vectors/, ontology/ and spellings.npz grow with the ontology. For the 783,980 names of MeSH they take 715, 17
and 11 MB; with compact vectors 342, 17 and 11 MB. The size of the other parts depends on the model only.
"""

import dataclasses
import shutil
from collections.abc import Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from el.base.errors import ElError, InputError, MismatchError
from el.base.files import atomic_folder, read_json, write_json
from el.index.vectors import NameVectors
from el.linking.config import LinkerConfig, check_synonyms, chosen_combination
from el.linking.evidence import Calibration, Combination, OperatingPoint
from el.linking.synonyms import LearnedSynonyms
from el.models.inputs import InputVariant
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings
from el.runtime.engine import CompiledEngine
from el.tagging.manifest import tagger_weights

FORMAT = "el-linker-9"

_MANIFEST, _MODEL, COMPILED, _ONTOLOGY, _VECTORS, _SPELLINGS, _SYNONYMS, _COMBINATIONS, _TAGGER = (
    "manifest.json",
    "model",
    "compiled",
    "ontology",
    "vectors",
    "spellings.npz",
    "learned_synonyms.tsv",
    "combinations.json",
    "tagger",
)


@dataclass(frozen=True)
class TrainedParts:
    """The trained parts of a linker, except its model.

    Attributes:
        config: the linker's settings.
        inputs: the inputs that the model was trained on.
        combinations: weights, by `combination_name`.
        synonyms: learned synonyms; None if there are none.
        made_by: what the linker was made from.
        tagger: the folder of the tagger; None if there is none.
    """

    config: LinkerConfig
    inputs: InputVariant
    combinations: dict[str, Combination]
    synonyms: LearnedSynonyms | None
    made_by: dict[str, Any]
    tagger: Path | None


def is_linker(folder: Path) -> bool:
    """Whether a folder holds a linker of any format."""
    return (folder / _MANIFEST).is_file() and (folder / _ONTOLOGY).is_dir()


def trained_on(folder: Path) -> str | None:
    """Returns the name of the data that a linker was trained on; None if there is no linker, or no name."""
    try:
        made_by = read_json(folder / _MANIFEST)["made_by"]
        return str(made_by["data"])
    except (ElError, KeyError, TypeError):
        return None


def read_trained(folder: Path, known: Container[str] | None = None) -> TrainedParts:
    """Reads the trained parts of a linker's folder, or of a folder that has only trained parts.

    Args:
        folder: the folder.
        known: the ids that the learned synonyms may contain; None for any.

    Raises:
        InputError: the folder holds no linker, or a part is missing or broken.
        MismatchError: the format is another, or the tagger is not the one that the manifest names.
        ConfigError: settings that make no sense.
    """
    manifest = _read_manifest(folder)
    synonyms = None
    if (folder / _SYNONYMS).is_file():
        synonyms = LearnedSynonyms.load(folder / _SYNONYMS, known)
    return TrainedParts(
        _settings(LinkerConfig, folder, manifest, "settings"),
        _settings(InputVariant, folder, manifest, "inputs"),
        _read_combinations(folder),
        synonyms,
        dict(manifest.get("made_by", {})),
        _tagger(folder, manifest),
    )


@dataclass(frozen=True)
class OpenedLinker:
    """The parts of a linker's folder, opened and checked against each other."""

    engine: CompiledEngine
    ontology: Ontology
    vectors: NameVectors
    spellings: Spellings
    trained: TrainedParts


def open_linker(folder: Path) -> OpenedLinker:
    """Opens a linker's folder.

    Raises:
        InputError: the folder holds no linker, or a part is missing or broken.
        MismatchError: the format is another, or parts do not belong together.
        ConfigError: settings that make no sense.
    """
    manifest = _read_manifest(folder)
    # The networks are opened in a thread while the ontology is read. Both take about the same time.
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(CompiledEngine, folder / COMPILED)
        ontology = Ontology.load(folder / _ONTOLOGY)
        if ontology.fingerprint != manifest.get("ontology"):
            raise _mismatch(folder, "ontology")
        trained = read_trained(folder, ontology)
        engine = opening.result()
    if engine.model != manifest.get("model"):
        raise _mismatch(folder, "model")
    vectors = NameVectors.open(folder / _VECTORS, ontology)
    if vectors.vectors.shape[1] != engine.width:
        raise _mismatch(folder, "model")
    return OpenedLinker(engine, ontology, vectors, Spellings.load(folder / _SPELLINGS, ontology), trained)


def copy_trained(linker: Path, folder: Path) -> None:
    """Copies the trained parts of a linker into an existing folder, which `read_trained` can read."""
    manifest = _read_manifest(linker)
    # These fingerprints become wrong: the ontology is left out, and the weights of the model are rounded.
    for key in ("ontology", "model"):
        manifest.pop(key, None)
    tagger = _tagger(linker, manifest)
    write_json(folder / _MANIFEST, manifest)
    if tagger is not None:
        shutil.copytree(tagger, folder / _TAGGER, ignore=shutil.ignore_patterns(COMPILED))
    shutil.copytree(linker / _MODEL, folder / _MODEL)
    for name in (_COMBINATIONS, _SYNONYMS):
        if (linker / name).is_file():
            shutil.copy(linker / name, folder / name)


def save_linker(
    folder: Path,
    *,
    model: Path,
    ontology: Path,
    vectors: NameVectors,
    combinations: Mapping[str, Combination],
    config: LinkerConfig,
    inputs: InputVariant,
    synonyms: LearnedSynonyms | None = None,
    made_by: Mapping[str, Any],
    tagger: Path | None = None,
) -> None:
    """Writes a linker's folder, completely or not at all.

    Args:
        folder: where to write; an existing folder is replaced.
        model: the folder of a saved model; copied.
        ontology: the folder of the ontology; copied.
        vectors: the vectors of the ontology's names, made by the model's passage tower and opened from a
            folder; copied.
        combinations: weights, by `combination_name`.
        config: the settings that the linker starts with.
        inputs: the inputs that the model was trained on.
        synonyms: learned synonyms; written even if the config does not switch them on.
        made_by: what the linker was made from (system, data), as JSON values, for the manifest.
        tagger: the folder of a trained tagger; it may share the model's embeddings.

    Raises:
        InputError: a part is missing or broken.
        MismatchError: the vectors were made from another ontology or by another model, or the learned
            synonyms are of another ontology.
        ConfigError: learned synonyms are switched on, but there are none.
    """
    # Imported here, because only making a linker needs PyTorch; running one does not.
    from el.models.loading import load_model
    from el.runtime.compile import compile_model
    from el.tagging.compile import compile_tagger
    from el.tagging.store import load_tagger, word_embeddings

    opened = Ontology.load(ontology)
    if vectors.manifest["ontology"] != opened.fingerprint:
        raise MismatchError(f"{ontology}: the vectors were made from another ontology. Build them again")
    unknown = [i for i in (synonyms.concept_counts if synonyms else ()) if i not in opened]
    if unknown:
        raise MismatchError(
            f"{ontology}: lacks {unknown[0]}, which has learned synonyms. Give the ontology that they were "
            "learned with"
        )
    assert vectors.folder is not None
    with atomic_folder(folder) as temporary:
        loaded = load_model(model)
        compile_model(loaded, temporary / COMPILED)
        engine = CompiledEngine(temporary / COMPILED)
        vectors.check_model(engine.passage_tower)
        check_synonyms(config, synonyms)
        chosen_combination(config, combinations)
        shutil.copytree(model, temporary / _MODEL)
        shutil.copytree(ontology, temporary / _ONTOLOGY)
        shutil.copytree(vectors.folder, temporary / _VECTORS)
        Spellings.of_ontology(opened).save(temporary / _SPELLINGS)
        if synonyms is not None:
            synonyms.save(temporary / _SYNONYMS)
        write_combinations(temporary, combinations)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "ontology": opened.fingerprint,
            "model": engine.model,
            "settings": dataclasses.asdict(config),
            "inputs": dataclasses.asdict(inputs),
            "made_by": dict(made_by),
        }
        if tagger is not None:
            embeddings = word_embeddings(loaded.query_tower.transformer)
            trained = load_tagger(tagger, embeddings)
            trained.save(temporary / _TAGGER, embeddings)
            compile_tagger(trained, temporary / _TAGGER / COMPILED)
            manifest["tagger"] = tagger_weights(temporary / _TAGGER)
        write_json(temporary / _MANIFEST, manifest)


def write_combinations(folder: Path, combinations: Mapping[str, Combination]) -> None:
    """Writes the weights of a linker, or of trained parts, in place of earlier ones."""
    write_json(folder / _COMBINATIONS, {name: dataclasses.asdict(c) for name, c in combinations.items()})


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / _MANIFEST).is_file():
        remedy = "`el index` makes one; or give another folder"
        raise InputError(folder, "", "no linker here", remedy)
    manifest = read_json(folder / _MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise MismatchError(
            f"{folder}: the linker has format {found!r}; this version reads {FORMAT!r}. Make the linker "
            "again with `el index`, in another folder or with --force"
        )
    return dict(manifest)


def _tagger(folder: Path, manifest: Mapping[str, Any]) -> Path | None:
    """Returns the folder of a linker's tagger, or None. Raises MismatchError if it is another tagger."""
    if manifest.get("tagger") is None:
        return None
    if tagger_weights(folder / _TAGGER) != manifest["tagger"]:
        raise _mismatch(folder, "tagger")
    return folder / _TAGGER


def write_synonyms(folder: Path, synonyms: LearnedSynonyms) -> None:
    """Writes learned synonyms into a linker's folder or into trained parts, in place of others."""
    synonyms.save(folder / _SYNONYMS)


def _read_combinations(folder: Path) -> dict[str, Combination]:
    path = folder / _COMBINATIONS
    stored = read_json(path)
    try:
        return {
            name: Combination(
                dict(one["weights"]),
                dict(one["none_weights"]),
                {group: Calibration(**line) for group, line in one["calibrations"].items()},
                float(one["found_below"]),
                tuple(OperatingPoint(**point) for point in one["curve"]),
            )
            for name, one in stored.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"not weights by kind of evidence ({error})"
        raise InputError(path, "", problem, "Make the linker again") from error


_Settings = TypeVar("_Settings", LinkerConfig, InputVariant)


def _settings(kind: type[_Settings], folder: Path, manifest: Mapping[str, Any], section: str) -> _Settings:
    try:
        return kind(**manifest[section])
    except (KeyError, TypeError) as error:
        problem = f"{section} are missing or unknown ({error})"
        raise InputError(folder / _MANIFEST, "", problem, "Make the linker again") from error


def _mismatch(folder: Path, part: str) -> MismatchError:
    return MismatchError(
        f"{folder}: holds another {part} than the one that the manifest names. Make the linker again"
    )
