"""Builds, updates and compacts the vectors of names and their graph.

It is apart from `el.index.vectors`, which opens vectors and needs no PyTorch.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.cli import say
from el.base.errors import ElError
from el.base.files import atomic_folder, clear_leftovers, sampled_sha256, write_json
from el.base.lengths import by_length
from el.base.progress import progress
from el.base.resources import check_room
from el.index.encode import PassageEncoder
from el.index.estimate import encoding_minutes
from el.index.graph import (
    BUILT,
    COMPACT_BITS,
    StoredVectors,
    build_graph,
    compact_graph,
    extend_graph,
    graph_bytes,
)
from el.index.vectors import FORMAT, NAMES, PLACES, NameVectors
from el.models.base import RetrievalModel
from el.ontology.ontology import Ontology

# The number of texts from which on it is said how long they take, and the number of those that are tokenized
# for it. With fewer, the estimate is less certain.
_MANY, _MEASURED = 1 << 14, 1 << 10
# Names that are encoded and written as one part. An interrupted build resumes after the last whole part, so
# larger parts lose more work.
_PART = 1 << 14


def vectors_key(model: RetrievalModel, ontology: Ontology, texts: Sequence[str]) -> str:
    """Returns a checksum, 16 hexadecimal digits, of all that names' vectors depend on.

    Args:
        model: its passage tower and settings count.
        ontology: the ontology of the names.
        texts: what the tower reads for each name row.
    """
    parts = [FORMAT, BUILT, model.passage_tower.fingerprint(), model.settings(), ontology.fingerprint]
    return hashlib.sha256("\0".join([*parts, *texts]).encode()).hexdigest()[:16]


def cached_name_vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], cache: Path
) -> NameVectors:
    """Opens the vectors of an earlier call, or builds them, in the folder `cache`/`vectors_key`.

    Raises:
        ElError: as for `build_name_vectors`.
    """
    folder = cache / vectors_key(model, ontology, texts)
    if not folder.is_dir():
        build_name_vectors(model, ontology, texts, folder, cache)
    return NameVectors.open(folder, ontology)


def build_name_vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], folder: Path, scratch: Path
) -> NameVectors:
    """Encodes all names of an ontology and writes them as a vector folder.

    Args:
        model: the model whose passage tower encodes the names.
        ontology: the ontology with the names.
        texts: what the tower reads for each name row, from `name_inputs`.
        folder: the folder to write, atomically.
        scratch: a folder for finished parts, from which an interrupted build resumes. The parts are removed
            at the end.

    Raises:
        ElError: there are no names, the disk or memory has no room, or a vector is not finite.
    """
    _check_names(texts)
    scratch = _scratch(scratch, model, ontology, texts)
    _check_room(len(texts), len(texts), model.passage_tower.width, scratch)
    vectors = _encode(model, texts, scratch)
    clear_leftovers([folder])
    with atomic_folder(folder) as temporary:
        with progress("build the index", len(texts)) as advance:
            build_graph(vectors, temporary / NAMES, advance)
        _write_manifest(temporary, model, ontology)
    shutil.rmtree(scratch)
    return NameVectors.open(folder, ontology)


def update_name_vectors(
    model: RetrievalModel,
    ontology: Ontology,
    texts: Sequence[str],
    old: NameVectors,
    old_texts: Sequence[str],
    folder: Path,
    scratch: Path,
) -> NameVectors:
    """Writes the vectors of a changed ontology. Only names that the old ontology does not have are encoded.

    Names that are removed stay in the graph, but are not found.

    Args:
        model, ontology, texts, folder, scratch: as for `build_name_vectors`.
        old: the vectors of the old ontology, made by the same passage tower, opened from a folder.
        old_texts: what the tower read for the names of the old ontology.

    Raises:
        MismatchError: another passage tower made the old vectors.
        ElError: as for `build_name_vectors`.
    """
    old.check_model(model.passage_tower.fingerprint())
    _check_names(texts)
    assert old.folder is not None
    places = _old_places(texts, old, old_texts)
    new = np.flatnonzero(places < 0)
    new_texts = [texts[row] for row in new.tolist()]
    scratch = _scratch(scratch, model, ontology, new_texts)
    _check_room(len(new), len(new) + len(old.vectors), model.passage_tower.width, scratch)
    vectors = _encode(model, new_texts, scratch)
    places[new] = len(old.vectors) + np.arange(len(new))
    clear_leftovers([folder])
    with atomic_folder(folder) as temporary:
        with progress("extend the index", len(new)) as advance:
            extend_graph(old.folder / NAMES, vectors, temporary / NAMES, advance)
        # Without this file, a search need not check which vectors may be found.
        if not np.array_equal(places, np.arange(len(old.vectors) + len(new))):
            np.save(temporary / PLACES, places.astype(np.int32))
        _write_manifest(temporary, model, ontology)
    shutil.rmtree(scratch)
    return NameVectors.open(folder, ontology)


def compact_name_vectors(vectors: NameVectors, ontology: Ontology, folder: Path) -> NameVectors:
    """Writes a copy of vectors with 6 bits a dimension, less than half as large (`compact_graph`).

    Vectors that have 6 bits already are returned unchanged. Rounding them again would move them further.

    Args:
        vectors: the vectors, opened from a folder.
        ontology: the ontology of the vectors.
        folder: the folder to write, atomically.

    Raises:
        ElError: the disk or memory has no room.
    """
    assert vectors.folder is not None
    assert isinstance(vectors.vectors, StoredVectors)
    if vectors.vectors.bits == COMPACT_BITS:
        return vectors
    size = graph_bytes(*vectors.vectors.shape, COMPACT_BITS)
    check_room(folder, size, 2 * size, f"the compact index of {len(vectors):,} names")
    clear_leftovers([folder])
    with atomic_folder(folder) as temporary:
        with progress("make the index compact", len(vectors.vectors)) as advance:
            compact_graph(vectors.folder / NAMES, temporary / NAMES, advance)
        manifest = vectors.manifest | {"sampled_sha256": sampled_sha256(temporary / NAMES)}
        if vectors.places is not None:
            shutil.copy(vectors.folder / PLACES, temporary / PLACES)
        write_json(temporary / "manifest.json", manifest)
    return NameVectors.open(folder, ontology)


def _old_places(texts: Sequence[str], old: NameVectors, old_texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Returns (N,) for each text the row of the old vector of an equal text, or -1. No row is given twice."""
    known: dict[str, list[int]] = {}
    # In reverse, because rows are taken from the end: equal texts then keep their order.
    for row, text in reversed([*enumerate(old_texts)]):
        known.setdefault(text, []).append(row if old.places is None else int(old.places[row]))
    found = (known[text].pop() if known.get(text) else -1 for text in texts)
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def _check_names(texts: Sequence[str]) -> None:
    if not texts:
        raise ElError("the ontology has no names, so nothing can be linked to it. Give one that has names")


def _check_room(encoded: int, indexed: int, width: int, scratch: Path) -> None:
    """Raises ElError if the disk or memory has no room for a build.

    Args:
        encoded: names to encode. Their vectors are on disk twice, as parts and in order.
        indexed: vectors of the graph.
        width: D.
        scratch: the folder of the parts.
    """
    graph = graph_bytes(indexed, width)
    # The files of an interrupted build have their room already.
    done = sum(path.stat().st_size for path in scratch.glob("*.npy"))
    # Two copies of float16, which has two bytes.
    disk = max(2 * 2 * encoded * width - done, 0) + graph
    check_room(scratch, disk, 5 * graph // 2, f"the index of {indexed:,} names")


def _write_manifest(folder: Path, model: RetrievalModel, ontology: Ontology) -> None:
    """Writes the manifest of a vector folder whose other files are complete."""
    manifest = {
        "format": FORMAT,
        "model": model.passage_tower.fingerprint(),
        "ontology": ontology.fingerprint,
        "names": len(ontology.name_texts),
        "width": model.passage_tower.width,
        "sampled_sha256": sampled_sha256(folder / NAMES),
    }
    if (folder / PLACES).is_file():
        manifest["places_sha256"] = sampled_sha256(folder / PLACES)
    write_json(folder / "manifest.json", manifest)


def _scratch(folder: Path, model: RetrievalModel, ontology: Ontology, texts: Sequence[str]) -> Path:
    """Returns the folder for the parts of these texts. No other build uses it."""
    return folder / f"encode-{vectors_key(model, ontology, texts)}"


def _encode(model: RetrievalModel, texts: Sequence[str], scratch: Path) -> npt.NDArray[np.float16]:
    """Returns (N, D) vectors. Parts that an interrupted build left in `scratch` are not encoded again."""
    scratch.mkdir(parents=True, exist_ok=True)
    # The names of a part have similar lengths, and so do those of its batches: this saves padding.
    parts = by_length([len(text) for text in texts], _PART)
    paths = [scratch / f"{number}.npy" for number in range(len(parts))]
    missing = [(path, rows) for path, rows in zip(paths, parts, strict=True) if not path.is_file()]
    done = len(texts) - sum(len(rows) for _, rows in missing)
    if missing:
        encoder = PassageEncoder(model, len(texts))
        _say_how_long(model, [texts[row] for _, rows in missing for row in rows])
        with progress("encode names", len(texts), done=done) as advance:
            for path, rows in missing:
                _write_part(path, encoder.encode([texts[row] for row in rows]))
                advance(len(rows))
    return _in_order(parts, scratch, (len(texts), model.passage_tower.width))


def _write_part(path: Path, vectors: npt.NDArray[np.float16]) -> None:
    if not np.isfinite(vectors).all():
        raise ElError("the model gives vectors that are not finite (NaN or infinite). Train it again")
    np.save(path.with_suffix(".part.npy"), vectors)
    path.with_suffix(".part.npy").replace(path)


def _say_how_long(model: RetrievalModel, texts: Sequence[str]) -> None:
    """Says about how long it takes to encode many texts on this machine."""
    if len(texts) < _MANY or model.device.type != "cpu":
        return
    some = np.random.default_rng(0).choice(len(texts), _MEASURED, replace=False).tolist()
    tokens = sum(map(len, model.token_ids([texts[row] for row in some]))) / _MEASURED
    # Each weight that is not an embedding is multiplied and added once for each token.
    weights = model.passage_tower.transformer.named_parameters()
    operations = 2 * sum(weight.numel() for name, weight in weights if "embeddings" not in name)
    minutes = encoding_minutes(operations * tokens * len(texts))
    say(
        f"{len(texts):,} names to encode, in about {max(minutes, 1):.0f} min on this machine, and then to "
        "index, in about a third of that. After an interruption, the same command continues"
    )


def _in_order(
    parts: Sequence[npt.NDArray[np.int64]], scratch: Path, shape: tuple[int, int]
) -> npt.NDArray[np.float16]:
    """Joins the encoded parts on disk, in the order of the name rows."""
    vectors = np.lib.format.open_memmap(scratch / "vectors.npy", mode="w+", dtype=np.float16, shape=shape)
    for number, rows in enumerate(parts):
        vectors[rows] = np.load(scratch / f"{number}.npy", allow_pickle=False)
    return vectors
