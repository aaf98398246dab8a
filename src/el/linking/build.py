"""What was learned, small enough to ship: a linker without its ontology and the names' vectors.

    manifest.json          format, settings, and what made it
    model/                 the model in half precision
    combinations.json      how much each kind of evidence counts
    learned_synonyms.tsv   surface forms of training documents and the ids they had; optional
    tagger/                finds mentions in plain text; optional
    README.md              the model card, written by a person

`python -m el.index` adds an ontology and makes a linker of it.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from el.base.errors import ElError
from el.base.files import atomic_folder
from el.base.resources import check_room
from el.index.build import (
    cached_name_vectors,
    compact_name_vectors,
    update_name_vectors,
    vectors_key,
)
from el.index.graph import COMPACT_BITS, HALF_BITS, graph_bytes
from el.index.vectors import NameVectors
from el.linking.config import chosen_combination
from el.linking.folder import copy_trained, read_trained, save_linker
from el.models.base import RetrievalModel
from el.models.checkpoint import compact_tensors
from el.models.hypencoder import Hypencoder
from el.models.inputs import name_inputs
from el.models.loading import load_model
from el.ontology.ontology import Ontology

# What ships with the package.
TRAINED = Path(__file__).parents[1] / "trained"
# What a folder of trained parts may take: they are kept in a repository.
MAX_BYTES = 100_000_000

# An index with so many vectors a name, most of them of names that are gone, is made anew, not updated.
_MOST_GONE = 2

_CARD = "README.md"


def export_trained(linker: Path, folder: Path) -> int:
    """Writes the learned parts of a linker into a folder, whole or not at all. Returns their size in bytes.

    A README.md that stands in the folder stays; all else there is replaced.

    Raises:
        InputError: there is no linker, or it is broken.
        ElError: its model is no Hypencoder, or the parts are larger than may be shipped.
    """
    if not isinstance(load_model(linker / "model"), Hypencoder):
        raise ElError(f"{linker}: only a Hypencoder can be exported; copy the folder instead")
    with atomic_folder(folder) as temporary:
        copy_trained(linker, temporary)
        if (folder / _CARD).is_file():
            shutil.copy(folder / _CARD, temporary / _CARD)
        compact_tensors(temporary / "model" / "model.safetensors")
        size = _folder_bytes(temporary)
        if size > MAX_BYTES:
            raise ElError(
                f"{linker}: its learned parts take {size:,} bytes, {MAX_BYTES:,} may be shipped. Train with "
                "finetune.freeze_embeddings, so that both towers have these in common"
            )
    return size


def build_linker(
    trained: Path,
    ontology: Path,
    folder: Path,
    scratch: Path,
    reused: Path | None = None,
    compact: bool = False,
) -> None:
    """Makes a linker of trained parts and an ontology: encodes its names, without any training.

    Args:
        trained: what `export_trained` wrote, or another linker's folder.
        ontology: a folder as `el.ontology.ontology.write_ontology` writes it.
        folder: where the linker goes; what stands there is replaced at the end.
        scratch: keeps what was encoded, by model and ontology, so that an interrupted build goes on.
        reused: a linker of the same trained parts; names that it has are not encoded again. Where it is
            compact, the new one is too.
        compact: whether the vectors take 6 bits a dimension, in place of 16.

    Raises:
        InputError: a part is missing or broken.
        MismatchError: the linker to reuse has another model.
        ConfigError: settings that make no sense.
        ElError: no names, or no room on disk or in memory.
    """
    parts = read_trained(trained)
    opened, model = Ontology.load(ontology), load_model(trained / "model")
    synonyms = parts.synonyms and parts.synonyms.of_concepts(opened)
    config = parts.config
    tagger = parts.tagger
    if not synonyms or not synonyms.counts:
        # An ontology of other ids has learned nothing, and its names tell better what texts are searched for:
        # a tagger finds what it was taught, for which there may be no concept.
        synonyms, tagger = None, None
        config = dataclasses.replace(config, use_learned_synonyms=False)
    # Said before the long part, not after it.
    chosen_combination(config, parts.combinations)
    texts = name_inputs(opened, parts.inputs.definition_characters)
    # On the disk of `scratch` it takes the place of what was encoded; it may be another.
    size = graph_bytes(len(texts), model.passage_tower.width, COMPACT_BITS if compact else HALF_BITS)
    check_room(folder, size + _folder_bytes(ontology) + _folder_bytes(trained), 0, f"the linker {folder}")
    vectors = made = _vectors(model, opened, texts, scratch, reused)
    assert made.folder is not None
    if compact:
        vectors = compact_name_vectors(made, opened, made.folder.with_name(f"{made.folder.name}-compact"))
    save_linker(
        folder,
        model=trained / "model",
        ontology=ontology,
        vectors=vectors,
        combinations=parts.combinations,
        config=config,
        inputs=parts.inputs,
        synonyms=synonyms,
        made_by=parts.made_by,
        tagger=tagger,
    )
    for path in {made.folder, vectors.folder or made.folder}:
        shutil.rmtree(path)


def _vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], scratch: Path, reused: Path | None
) -> NameVectors:
    """The names' vectors, in a folder of `scratch`; those that an interrupted call left there, if it did."""
    key = vectors_key(model, ontology, texts)
    if reused is None or (scratch / key).is_dir():
        return cached_name_vectors(model, ontology, texts, scratch)
    old_ontology = Ontology.load(reused / "ontology")
    old = NameVectors.open(reused / "vectors", old_ontology)
    old.check_model(model.passage_tower.fingerprint())
    if len(old.vectors) > _MOST_GONE * len(texts):
        return cached_name_vectors(model, ontology, texts, scratch)
    folder = scratch / f"{key}-{old.manifest['sampled_sha256'][:16]}"
    if folder.is_dir():
        return NameVectors.open(folder, ontology)
    old_texts = name_inputs(old_ontology, read_trained(reused).inputs.definition_characters)
    return update_name_vectors(model, ontology, texts, old, old_texts, folder, scratch)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
