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
from pathlib import Path

from el.errors import ElError
from el.files import atomic_folder
from el.index.build import (
    cached_name_vectors,
    compact_name_vectors,
    update_name_vectors,
    vectors_key,
)
from el.index.vectors import NameVectors
from el.inputs import name_inputs
from el.linker import chosen_combination, copy_trained, read_trained, save_linker
from el.models import Hypencoder, load_model
from el.models.checkpoint import compact_tensors
from el.ontology import Ontology

# Where the repository keeps what it ships.
TRAINED = Path("trained")
# What a folder of trained parts may take: they are kept in a repository.
MAX_BYTES = 100_000_000

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
        size = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
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
        ontology: a folder as `el.ontology.write_ontology` writes it.
        folder: where the linker goes; what stands there is replaced at the end.
        scratch: keeps what was encoded, by model and ontology, so that an interrupted build goes on.
        reused: a linker of the same trained parts; names that it has are not encoded again. Where it is
            compact, the new one is too.
        compact: whether the vectors take 6 bits a dimension, in place of 16.

    Raises:
        InputError: a part is missing or broken.
        MismatchError: the linker to reuse has another model.
        ConfigError: settings that make no sense.
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
    made = scratch / vectors_key(model, opened, texts)
    if reused is not None and not made.is_dir():
        old = Ontology.load(reused / "ontology")
        old_vectors = NameVectors.open(reused / "vectors", old)
        old_texts = name_inputs(old, read_trained(reused).inputs.definition_characters)
        update_name_vectors(model, opened, texts, old_vectors, old_texts, made, scratch)
    vectors = cached_name_vectors(model, opened, texts, scratch)
    if compact:
        vectors = compact_name_vectors(vectors, opened, scratch / f"{made.name}-compact")
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
    for path in {made, vectors.folder or made}:
        shutil.rmtree(path)
