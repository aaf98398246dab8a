"""Names' vectors made: encoded in parts, put together, and joined to a graph."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from el.base.errors import ElError
from el.base.files import atomic_folder, sampled_sha256, write_json
from el.base.progress import progress
from el.base.resources import check_room
from el.index.encode import encode_texts
from el.index.graph import (
    COMPACT_BITS,
    StoredVectors,
    build_graph,
    compact_graph,
    extend_graph,
    graph_bytes,
)
from el.index.lengths import by_length
from el.index.vectors import FORMAT, NAMES, PLACES, NameVectors
from el.models.base import RetrievalModel
from el.ontology.ontology import Ontology

# Names are encoded and written in parts of this size; an interrupted build goes on after the last.
_PART = 1 << 14


def vectors_key(model: RetrievalModel, ontology: Ontology, texts: Sequence[str]) -> str:
    """What names' vectors depend on, as 16 hexadecimal digits: model, ontology, and what is read."""
    parts = [FORMAT, model.passage_tower.fingerprint(), model.settings(), ontology.fingerprint]
    return hashlib.sha256("\0".join([*parts, *texts]).encode()).hexdigest()[:16]


def cached_name_vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], cache: Path
) -> NameVectors:
    """Opens the vectors of an earlier call, or builds them: `cache`/`vectors_key`."""
    folder = cache / vectors_key(model, ontology, texts)
    if not folder.is_dir():
        build_name_vectors(model, ontology, texts, folder, cache)
    return NameVectors.open(folder, ontology)


def build_name_vectors(
    model: RetrievalModel, ontology: Ontology, texts: Sequence[str], folder: Path, scratch: Path
) -> NameVectors:
    """Encodes all names of an ontology and writes them as a vector folder.

    Args:
        model: its passage tower encodes.
        ontology: whose names.
        texts: what the tower reads for each name row, from `name_inputs`.
        folder: where the result goes.
        scratch: keeps finished parts, so that an interrupted build goes on; emptied at the end.

    Raises:
        ElError: no names, no room on disk or in memory, or vectors that are no numbers.
    """
    _check_names(texts)
    scratch = _scratch(scratch, model, ontology, texts)
    _check_room(len(texts), len(texts), model.passage_tower.width, scratch)
    vectors = _encode(model, texts, scratch)
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
    """Writes the vectors of an ontology most of whose names another has: only the rest is encoded.

    The names that are gone stay in the graph and are not found.

    Args:
        model, ontology, texts, folder, scratch: as of `build_name_vectors`.
        old: the vectors of the other ontology, made by the same passage tower, opened from a folder.
        old_texts: what the tower read for these.

    Raises:
        MismatchError: another passage tower made the old ones.
        ElError: as of `build_name_vectors`.
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
    with atomic_folder(folder) as temporary:
        extend_graph(old.folder / NAMES, vectors, temporary / NAMES)
        # As long as names stand where their vectors do, a search need not ask which may be found.
        if not np.array_equal(places, np.arange(len(old.vectors) + len(new))):
            np.save(temporary / PLACES, places.astype(np.int32))
        _write_manifest(temporary, model, ontology)
    shutil.rmtree(scratch)
    return NameVectors.open(folder, ontology)


def compact_name_vectors(vectors: NameVectors, ontology: Ontology, folder: Path) -> NameVectors:
    """Writes vectors once more with 6 bits a dimension: less than half as large; see `compact_graph`.

    Those that have 6 bits already are returned as they are: rounded once more, they would drift.

    Args:
        vectors: opened from a folder.
        ontology: theirs.
        folder: where the result goes.

    Raises:
        ElError: no room on disk or in memory.
    """
    assert vectors.folder is not None
    assert isinstance(vectors.vectors, StoredVectors)
    if vectors.vectors.bits == COMPACT_BITS:
        return vectors
    size = graph_bytes(*vectors.vectors.shape, COMPACT_BITS)
    check_room(folder, size, 2 * size, f"the compact index of {len(vectors):,} names")
    with atomic_folder(folder) as temporary:
        with progress("make the index compact", len(vectors.vectors)) as advance:
            compact_graph(vectors.folder / NAMES, temporary / NAMES, advance)
        manifest = vectors.manifest | {"sampled_sha256": sampled_sha256(temporary / NAMES)}
        if vectors.places is not None:
            shutil.copy(vectors.folder / PLACES, temporary / PLACES)
        write_json(temporary / "manifest.json", manifest)
    return NameVectors.open(folder, ontology)


def _old_places(texts: Sequence[str], old: NameVectors, old_texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) for each text the row of a vector made of the same, none twice; -1 where there is none."""
    known: dict[str, list[int]] = {}
    # The last first, so that of equal texts each finds its own.
    for row, text in reversed([*enumerate(old_texts)]):
        known.setdefault(text, []).append(row if old.places is None else int(old.places[row]))
    found = (known[text].pop() if known.get(text) else -1 for text in texts)
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def _check_names(texts: Sequence[str]) -> None:
    if not texts:
        raise ElError("the ontology has no names, and nothing can be linked to it. Give one that has some")


def _check_room(encoded: int, indexed: int, width: int, scratch: Path) -> None:
    """Raises ElError where `encoded` names in parts and in order, and a graph of `indexed`, have no room."""
    graph = graph_bytes(indexed, width)
    # What an interrupted call left is there already.
    done = sum(path.stat().st_size for path in scratch.glob("*.npy"))
    disk = max(2 * 2 * encoded * width - done, 0) + graph
    check_room(scratch, disk, 2 * graph, f"the index of {indexed:,} names")


def _write_manifest(folder: Path, model: RetrievalModel, ontology: Ontology) -> None:
    """Writes the manifest of the vectors in a folder."""
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
    """Where the parts of these texts are kept, apart from those of others."""
    return folder / f"encode-{vectors_key(model, ontology, texts)}"


def _encode(model: RetrievalModel, texts: Sequence[str], scratch: Path) -> npt.NDArray[np.float16]:
    """Returns (N, D) vectors; parts that an interrupted call left in `scratch` are taken over."""
    scratch.mkdir(parents=True, exist_ok=True)
    # Parts hold names of similar length; batches inside them too.
    parts = by_length([len(text) for text in texts], _PART)
    with progress("encode names", len(texts)) as advance:
        for number, rows in enumerate(parts):
            path = scratch / f"{number}.npy"
            if not path.is_file():
                part = encode_texts(model, [texts[row] for row in rows])
                if not np.isfinite(part).all():
                    raise ElError(
                        "the model gives vectors that are no numbers (NaN or infinite). Train it again"
                    )
                np.save(path.with_suffix(".part.npy"), part)
                path.with_suffix(".part.npy").replace(path)
            advance(len(rows))
    return _in_order(parts, scratch, (len(texts), model.passage_tower.width))


def _in_order(
    parts: Sequence[npt.NDArray[np.int64]], scratch: Path, shape: tuple[int, int]
) -> npt.NDArray[np.float16]:
    """Puts the encoded parts together, on disk, in the order of the name rows."""
    vectors = np.lib.format.open_memmap(scratch / "vectors.npy", mode="w+", dtype=np.float16, shape=shape)
    for number, rows in enumerate(parts):
        vectors[rows] = np.load(scratch / f"{number}.npy", allow_pickle=False)
    return vectors
