"""Trained parts: a linker without its ontology and its vectors, small enough to ship.

    manifest.json          format, settings, and what the parts were made from
    model/                 the model in half precision
    combinations.json      the weight of each kind of evidence
    learned_synonyms.tsv   surface forms of training documents and the ids they had; optional
    tagger/                finds mentions in plain text; optional
    README.md              the model card, written by a person

This module exports the trained parts of a linker, and makes a linker from trained parts and an ontology, as
`el index` does.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from el.base.errors import ElError
from el.base.files import atomic_folder, claimed, remove_folder
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

# The largest size of a folder of trained parts, in bytes. A larger folder burdens the git repository and the
# package.
MAX_BYTES = 100_000_000

# The most vectors of a reused index for each name of the new ontology. An index with more holds mostly names
# that were removed; it is built again. At a larger value, searches go through more removed names.
_MOST_VECTORS_PER_NAME = 2

_CARD = "README.md"


def export_trained(linker: Path, folder: Path) -> int:
    """Writes the trained parts of a linker into a folder, completely or not at all.

    The folder is replaced, except for its README.md.

    Returns:
        The size of the parts in bytes.

    Raises:
        InputError: the folder holds no linker, or the linker is broken.
        ElError: the linker's model is no Hypencoder, or the parts take more than `MAX_BYTES`.
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
                f"{linker}: its trained parts take {size:,} bytes; at most {MAX_BYTES:,} can be shipped. "
                "Train with finetune.freeze_embeddings, so that both towers share their embeddings"
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
    """Makes a linker from trained parts and an ontology. Encodes the ontology's names; trains nothing.

    Args:
        trained: a folder that `export_trained` wrote, or a linker's folder.
        ontology: a folder as `el.ontology.ontology.write_ontology` writes it.
        folder: where to write the linker; an existing folder is replaced at the end.
        scratch: a folder for encoded names, by model and ontology. An interrupted build continues from it.
        reused: a linker with the same trained parts; names that it contains are not encoded again. If it is
            compact, so is the new linker.
        compact: whether the vectors take 6 bits per dimension instead of 16.

    Raises:
        InputError: a part is missing or broken.
        MismatchError: the linker to reuse has another model.
        ConfigError: settings that make no sense.
        BusyError: another process encodes the same names into `scratch`.
        ElError: the ontology has no names, or disk space or memory is too small.
    """
    parts = read_trained(trained)
    opened, model = Ontology.load(ontology), load_model(trained / "model")
    synonyms = parts.synonyms and parts.synonyms.of_concepts(opened)
    config = parts.config
    tagger = parts.tagger
    if not synonyms or not synonyms.counts:
        # The ontology shares no id with the training documents. The tagger finds what it was trained on, for
        # which this ontology may have no concept; the ontology's names are the better guide.
        synonyms, tagger = None, None
        config = dataclasses.replace(config, use_learned_synonyms=False)
    # Checked here, so that an error appears before the names are encoded, which takes long.
    chosen_combination(config, parts.combinations)
    texts = name_inputs(opened, parts.inputs.definition_characters)
    # `scratch` needs no check: its index takes the place of the encoded names. `folder` may be elsewhere.
    size = graph_bytes(len(texts), model.passage_tower.width, COMPACT_BITS if compact else HALF_BITS)
    check_room(folder, size + _folder_bytes(ontology) + _folder_bytes(trained), 0, f"the linker {folder}")
    # Builds of other folders share the encoded names, which the first to end removes.
    with claimed(scratch / vectors_key(model, opened, texts)):
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
            remove_folder(path)


def is_reusable(trained: Path, linker: Path) -> bool:
    """Whether `build_linker` can reuse the vectors of a linker for trained parts."""
    try:
        read_trained(linker)
        vectors = NameVectors.open(linker / "vectors", Ontology.load(linker / "ontology"))
        vectors.check_model(load_model(trained / "model").passage_tower.fingerprint())
    except ElError:
        return False
    return True


def _vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], scratch: Path, reused: Path | None
) -> NameVectors:
    """Returns the names' vectors, in a folder of `scratch`, where an interrupted call may have left them."""
    key = vectors_key(model, ontology, texts)
    if reused is None or (scratch / key).is_dir():
        return cached_name_vectors(model, ontology, texts, scratch)
    old_ontology = Ontology.load(reused / "ontology")
    old = NameVectors.open(reused / "vectors", old_ontology)
    old.check_model(model.passage_tower.fingerprint())
    if len(old.vectors) > _MOST_VECTORS_PER_NAME * len(texts):
        return cached_name_vectors(model, ontology, texts, scratch)
    folder = scratch / f"{key}-{old.manifest['sampled_sha256'][:16]}"
    if folder.is_dir():
        return NameVectors.open(folder, ontology)
    old_texts = name_inputs(old_ontology, read_trained(reused).inputs.definition_characters)
    return update_name_vectors(model, ontology, texts, old, old_texts, folder, scratch)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
