"""The vectors of names: exact search, and what is checked when they are opened."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from el.base.errors import ElError, InputError, MismatchError
from el.base.files import sampled_sha256
from el.index import build as module
from el.index import exact
from el.index.build import build_name_vectors, compact_name_vectors, update_name_vectors
from el.index.encode import PassageEncoder, encode_texts
from el.index.exact import ExactIndex
from el.index.graph import build_graph, graph_bytes
from el.index.graph_index import open_index
from el.index.vectors import FORMAT, NAMES, NameVectors
from el.models.biencoder import BiEncoder
from el.ontology.ontology import Concept, Name, Ontology
from tests.tiny import WIDTH, tiny_encoder, tiny_ontology


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BiEncoder:
    return BiEncoder.from_encoder(tiny_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return tiny_ontology()


@pytest.fixture
def built(model: BiEncoder, ontology: Ontology, tmp_path: Path) -> Path:
    build_name_vectors(model, ontology, ontology.name_texts, tmp_path / "vectors", tmp_path / "scratch")
    return tmp_path / "vectors"


def random_vectors(count: int, width: int = 8) -> NameVectors:
    matrix = np.random.default_rng(1).normal(size=(count, width)).astype(np.float16)
    return NameVectors(matrix, {})


def search_naively(
    vectors: NameVectors, queries: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    scores = queries @ vectors.vectors[rows].astype(np.float32).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), rows[order]


@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("k", [1, 10, 100, 500])
def test_search_is_exact(block: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_BLOCK", block)
    vectors, queries = random_vectors(100), random_vectors(9).gather(np.arange(9))
    scores, rows = ExactIndex(vectors, query_batch=4).search(queries, k)
    expected_scores, expected_rows = search_naively(vectors, queries, k, np.arange(100))
    assert rows.shape == (9, min(k, 100))
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    assert np.array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block", [3, 1000])
def test_search_among_some_rows(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_BLOCK", block)
    vectors, queries = random_vectors(100), random_vectors(3).gather(np.arange(3))
    some = np.array([2, 3, 50, 51, 97, 99])
    for k in (2, 6, 20):
        scores, rows = ExactIndex(vectors).search(queries, k, some)
        expected_scores, expected_rows = search_naively(vectors, queries, k, some)
        assert np.array_equal(rows, expected_rows)
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5)
    assert ExactIndex(vectors).search(queries, 5, np.array([], dtype=np.int64))[1].shape == (3, 0)


def test_negative_scores_are_found() -> None:
    vectors = NameVectors(-np.ones((3, 2), dtype=np.float16), {})
    scores, rows = ExactIndex(vectors).search(np.ones((1, 2), dtype=np.float32), 3)
    assert sorted(rows[0]) == [0, 1, 2]
    assert (scores == -2).all()


def test_gather() -> None:
    vectors = random_vectors(10)
    gathered = vectors.gather(np.array([[3, 1], [1, 0], [9, 9]]))
    assert (gathered.shape, gathered.dtype) == ((3, 2, 8), np.float32)
    assert np.array_equal(gathered[0, 1], vectors.vectors[1].astype(np.float32))
    assert vectors.gather(np.empty((4, 0), dtype=np.int64)).shape == (4, 0, 8)


def test_gather_in_half_precision(built: Path, ontology: Ontology) -> None:
    vectors, rows = NameVectors.open(built, ontology), np.array([[3, 1], [1, 0]])
    for own in (vectors, random_vectors(10)):
        gathered = own.gather_half(rows)
        assert gathered.dtype == np.float16
        assert np.array_equal(gathered.astype(np.float32), own.gather(rows))


def changed(ontology: Ontology) -> Ontology:
    """Without the first concept, and with one whose names are another's and new."""
    concepts = [ontology.concept(row) for row in range(len(ontology))]
    added = Concept("Z1", (concepts[1].names[0], Name("entirely new")), "disease")
    return Ontology.from_concepts([*concepts[1:], added])


def test_update_encodes_what_is_new(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, scratch = changed(ontology), tmp_path / "scratch"
    old, counting = NameVectors.open(built, ontology), Counting()
    monkeypatch.setattr(module, "PassageEncoder", counting)
    texts = newer.name_texts
    update = update_name_vectors(model, newer, texts, old, ontology.name_texts, tmp_path / "new", scratch)
    # The name that two concepts have now was there once.
    assert sorted(counting.texts) == sorted([ontology.concept(1).names[0].text, "entirely new"])
    assert not any(scratch.iterdir())
    same_as_built_anew(model, newer, update, tmp_path)
    # Once more, back to the first.
    counting.texts.clear()
    back = update_name_vectors(
        model, ontology, ontology.name_texts, update, texts, tmp_path / "back", scratch
    )
    assert sorted(counting.texts) == sorted(name.text for name in ontology.concept(0).names)
    same_as_built_anew(model, ontology, back, tmp_path)


def test_an_index_that_is_updated_without_a_change_stays_as_simple(
    model: BiEncoder, ontology: Ontology, tmp_path: Path
) -> None:
    # Two names may read the same.
    texts = [*ontology.name_texts[:-1], ontology.name_texts[0]]
    old = build_name_vectors(model, ontology, texts, tmp_path / "old", tmp_path / "scratch")
    update = update_name_vectors(model, ontology, texts, old, texts, tmp_path / "new", tmp_path / "scratch")
    assert old.places is update.places is None
    np.testing.assert_array_equal(update.vectors[:], old.vectors[:])


def same_as_built_anew(model: BiEncoder, ontology: Ontology, found: NameVectors, scratch: Path) -> None:
    texts, count = ontology.name_texts, len(ontology.name_texts)
    anew = build_name_vectors(model, ontology, texts, scratch / "anew", scratch / "s")
    found = NameVectors.open(found.folder or Path(), ontology)
    assert len(found) == len(anew) == count < len(found.vectors)
    every = np.arange(count)
    np.testing.assert_allclose(found.gather(every), anew.gather(every), atol=2e-3)
    queries = anew.gather(every)
    similarities, rows = open_index(found).search(queries, count)
    assert all(sorted(each) == [*every] for each in rows.tolist())
    expected = np.einsum("qd,qkd->qk", queries, anew.gather(rows))
    np.testing.assert_allclose(similarities, expected, atol=5e-3)
    np.testing.assert_allclose(similarities[:, 0], open_index(found).search(queries, 1)[0][:, 0], atol=1e-6)


def test_parts_of_a_build_are_not_taken_for_those_of_an_update(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", 2)
    newer, scratch = changed(ontology), tmp_path / "parts"
    with monkeypatch.context() as patched:
        patched.setattr(module, "PassageEncoder", Counting(parts=1))
        with pytest.raises(KeyboardInterrupt):
            build_name_vectors(model, newer, newer.name_texts, tmp_path / "new", scratch)
    old = NameVectors.open(built, ontology)
    update = update_name_vectors(
        model, newer, newer.name_texts, old, ontology.name_texts, tmp_path / "new", scratch
    )
    same_as_built_anew(model, newer, update, tmp_path)


def test_names_that_only_go_take_no_model(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer, old = Ontology.from_concepts([*ontology][3:]), NameVectors.open(built, ontology)
    monkeypatch.setattr(module, "PassageEncoder", lambda *_: pytest.fail("encodes"))
    update = update_name_vectors(
        model, fewer, fewer.name_texts, old, ontology.name_texts, tmp_path / "new", tmp_path / "scratch"
    )
    monkeypatch.undo()
    same_as_built_anew(model, fewer, update, tmp_path)


def test_many_updates(model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path) -> None:
    vectors, now, concepts = NameVectors.open(built, ontology), ontology, [*ontology]
    for number in range(12):
        # The oldest goes, a new one comes, and every third time one comes back.
        concepts = [*concepts[1:], Concept(f"Z{number}", (Name(f"new {'x' * number} name"),), "disease")]
        concepts += [ontology.concept(number // 3)] if number % 3 == 2 else []
        then, now, folder = now, Ontology.from_concepts(concepts), tmp_path / str(number)
        vectors = update_name_vectors(
            model, now, now.name_texts, vectors, then.name_texts, folder, tmp_path / "scratch"
        )
    same_as_built_anew(model, now, vectors, tmp_path)


def test_an_interrupted_update_goes_on(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", 1)
    newer, before, after = changed(ontology), Counting(parts=1), Counting()
    texts = ontology.name_texts
    arguments = (model, newer, newer.name_texts, NameVectors.open(built, ontology), texts, tmp_path / "new")
    monkeypatch.setattr(module, "PassageEncoder", before)
    with pytest.raises(KeyboardInterrupt):
        update_name_vectors(*arguments, tmp_path / "scratch")
    monkeypatch.setattr(module, "PassageEncoder", after)
    update = update_name_vectors(*arguments, tmp_path / "scratch")
    assert (len(before.texts), len(after.texts)) == (1, 1)
    monkeypatch.undo()
    same_as_built_anew(model, newer, update, tmp_path)


def test_a_compact_index_takes_vectors_unlike_its_own(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path
) -> None:
    one = Ontology.from_concepts([ontology.concept(0)])
    made = build_name_vectors(model, one, one.name_texts, tmp_path / "one", tmp_path / "scratch")
    compact = compact_name_vectors(made, one, tmp_path / "compact")
    # As it is already, however often.
    assert compact_name_vectors(compact, one, tmp_path / "again") is compact
    update = update_name_vectors(
        model, ontology, ontology.name_texts, compact, one.name_texts, tmp_path / "new", tmp_path / "scratch"
    )
    exact = NameVectors.open(built, ontology).gather(np.arange(len(update)))
    assert (update.vectors.bits, len(update)) == (6, len(exact))
    # Old and new ones are as if all had been there from the start: a step is a 63rd part of the range.
    off = np.abs(update.gather(np.arange(len(update))) - exact) / (np.ptp(exact, axis=0) / 63)
    assert off.max() < 2


def test_update_of_another_model(built: Path, ontology: Ontology, tmp_path: Path) -> None:
    other = BiEncoder.from_encoder(tiny_encoder(tmp_path / "encoder"), normalize=False)
    old, texts = NameVectors.open(built, ontology), ontology.name_texts
    with pytest.raises(MismatchError, match="made by another model"):
        update_name_vectors(other, ontology, texts, old, texts, tmp_path / "new", tmp_path / "scratch")


def test_broken_places(model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path) -> None:
    newer, old = changed(ontology), NameVectors.open(built, ontology)
    update_name_vectors(
        model, newer, newer.name_texts, old, ontology.name_texts, tmp_path / "new", tmp_path / "scratch"
    )
    (tmp_path / "new" / "places.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"places\.npy: missing, truncated or altered"):
        NameVectors.open(tmp_path / "new", newer)


def test_build_is_in_name_row_order(model: BiEncoder, ontology: Ontology, built: Path) -> None:
    opened = NameVectors.open(built, ontology)
    expected = encode_texts(model, ontology.name_texts)
    np.testing.assert_allclose(opened.vectors[:], expected.astype(np.float32), atol=2e-3)
    assert opened.manifest == {
        "format": FORMAT,
        "model": model.passage_tower.fingerprint(),
        "ontology": ontology.fingerprint,
        "names": len(ontology.name_texts),
        "width": 32,
        "sampled_sha256": sampled_sha256(built / NAMES),
    }
    opened.check_model(model.passage_tower.fingerprint())


class Counting:
    """Encodes, counts the texts, and is interrupted after some parts."""

    def __init__(self, parts: int | None = None) -> None:
        self.texts: list[str] = []
        self.parts = parts

    def __call__(self, model: BiEncoder, count: int) -> "Counting":
        self.encoder = PassageEncoder(model, count)
        return self

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float16]:
        if self.parts == 0:
            raise KeyboardInterrupt
        if self.parts is not None:
            self.parts -= 1
        self.texts += texts
        return self.encoder.encode(texts)


def test_interrupted_build_goes_on(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", 10)
    texts, out, scratch = ontology.name_texts, tmp_path / "again", tmp_path / "scratch"
    before = Counting(parts=2)
    monkeypatch.setattr(module, "PassageEncoder", before)
    with pytest.raises(KeyboardInterrupt):
        build_name_vectors(model, ontology, texts, out, scratch)
    assert not out.exists()
    assert len(before.texts) == 20
    after = Counting()
    monkeypatch.setattr(module, "PassageEncoder", after)
    vectors = build_name_vectors(model, ontology, texts, out, scratch).vectors
    # Every name once over both runs.
    assert sorted(before.texts + after.texts) == sorted(texts)
    whole = NameVectors.open(built, ontology).vectors[:]
    np.testing.assert_allclose(vectors[:], whole, atol=2e-3)
    assert not any(scratch.iterdir())


def test_no_room_is_said_before_anything_is_encoded(
    model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, texts = Counting(), ontology.name_texts
    monkeypatch.setattr(module, "PassageEncoder", counting)
    monkeypatch.setattr(module, "graph_bytes", lambda count, width, bits=16: count * 10**15)
    with pytest.raises(ElError, match=rf"index of {len(texts)} names takes .* on disk"):
        build_name_vectors(model, ontology, texts, tmp_path / "new", tmp_path / "scratch")
    newer, old = changed(ontology), NameVectors.open(built, ontology)
    with pytest.raises(ElError, match="on disk"):
        update_name_vectors(
            model, newer, newer.name_texts, old, texts, tmp_path / "new", tmp_path / "scratch"
        )
    with pytest.raises(ElError, match=rf"compact index of {len(texts)} names takes .* on disk"):
        compact_name_vectors(old, ontology, tmp_path / "new")
    assert not counting.texts
    assert not (tmp_path / "new").exists()


def test_parts_that_are_there_need_no_room(
    model: BiEncoder, ontology: Ontology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(module, "_PART", 10)
    monkeypatch.setattr(module, "check_room", lambda folder, disk, memory, purpose: asked.append(disk))
    monkeypatch.setattr(module, "PassageEncoder", Counting(parts=2))
    arguments = (model, ontology, ontology.name_texts, tmp_path / "out", tmp_path / "scratch")
    with pytest.raises(KeyboardInterrupt):
        build_name_vectors(*arguments)
    monkeypatch.setattr(module, "PassageEncoder", Counting())
    build_name_vectors(*arguments)
    assert asked[0] - asked[1] >= 20 * WIDTH * 2


def test_an_ontology_without_names(model: BiEncoder, ontology: Ontology, built: Path, tmp_path: Path) -> None:
    empty, old, out = Ontology.from_concepts([]), NameVectors.open(built, ontology), tmp_path / "out"
    with pytest.raises(ElError, match="has no names"):
        build_name_vectors(model, empty, [], out, tmp_path / "scratch")
    with pytest.raises(ElError, match="has no names"):
        update_name_vectors(model, empty, [], old, ontology.name_texts, out, tmp_path / "scratch")
    assert not out.exists()


def test_more_are_wanted_than_there_are(built: Path, ontology: Ontology) -> None:
    vectors, count = NameVectors.open(built, ontology), len(ontology.name_texts)
    similarities, rows = open_index(vectors).search(vectors.gather(np.arange(3)), count + 5)
    assert all(sorted(found) == [*range(count)] for found in rows.tolist())
    assert np.isfinite(similarities).all()


def test_a_graph_takes_what_is_said(built: Path, ontology: Ontology) -> None:
    size = (built / NAMES).stat().st_size
    assert size <= graph_bytes(len(ontology.name_texts), WIDTH) + 4096


def test_parts_of_other_texts_are_not_taken_over(
    model: BiEncoder, ontology: Ontology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", 10)
    monkeypatch.setattr(module, "PassageEncoder", Counting(parts=2))
    with pytest.raises(KeyboardInterrupt):
        build_name_vectors(model, ontology, ontology.name_texts, tmp_path / "out", tmp_path)
    counting = Counting()
    monkeypatch.setattr(module, "PassageEncoder", counting)
    # As with definitions.
    texts = [f"{text} : defined" for text in ontology.name_texts]
    build_name_vectors(model, ontology, texts, tmp_path / "out", tmp_path)
    assert sorted(counting.texts) == sorted(texts)


def test_another_ontology(built: Path) -> None:
    other = Ontology.from_concepts([Concept("D1", (Name("x"),), "other")])
    with pytest.raises(MismatchError, match=r"made from another ontology than the given one\. Build"):
        NameVectors.open(built, other)


def test_another_model(built: Path, ontology: Ontology, tmp_path: Path) -> None:
    other = BiEncoder.from_encoder(tiny_encoder(tmp_path / "encoder"), normalize=False)
    with pytest.raises(MismatchError, match=r"made by another model\. Build them again"):
        NameVectors.open(built, ontology).check_model(other.passage_tower.fingerprint())


def test_another_format(built: Path, ontology: Ontology) -> None:
    edit_manifest(built, format="el-vectors-0")
    with pytest.raises(MismatchError, match=f"format 'el-vectors-0', but '{FORMAT}' is needed"):
        NameVectors.open(built, ontology)
    (built / "manifest.json").write_text("[]")
    with pytest.raises(MismatchError, match="format None"):
        NameVectors.open(built, ontology)


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_manifest_that_is_not_whole(built: Path, ontology: Ontology) -> None:
    (built / "manifest.json").write_text(json.dumps({"format": FORMAT, "model": "", "names": 1}))
    with pytest.raises(InputError, match="ontology, sampled_sha256, width is missing"):
        NameVectors.open(built, ontology)
    (built / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"manifest\.json: no such file"):
        NameVectors.open(built, ontology)


def test_broken_file(built: Path, ontology: Ontology) -> None:
    data = (built / NAMES).read_bytes()
    altered = bytearray(data)
    altered[len(data) // 2] ^= 1
    for content in (data[:-100], data[:50], b"", b"not an index", bytes(altered)):
        (built / NAMES).write_bytes(content)
        with pytest.raises(InputError, match=r"names\.faiss: missing, truncated or altered"):
            NameVectors.open(built, ontology)
    (built / NAMES).unlink()
    with pytest.raises(InputError, match=r"names\.faiss: missing, truncated or altered"):
        NameVectors.open(built, ontology)


def test_file_of_another_kind(built: Path, ontology: Ontology) -> None:
    for content, message in ((b"not an index", "broken"), (b"", "broken")):
        (built / NAMES).write_bytes(content)
        edit_manifest(built, sampled_sha256=sampled_sha256(built / NAMES))
        with pytest.raises(InputError, match=message):
            NameVectors.open(built, ontology)
    faiss.write_index(faiss.IndexFlatIP(32), str(built / NAMES))
    edit_manifest(built, sampled_sha256=sampled_sha256(built / NAMES))
    with pytest.raises(InputError, match="holds a IndexFlat"):
        NameVectors.open(built, ontology)


def test_file_of_another_shape(built: Path, ontology: Ontology) -> None:
    build_graph(np.eye(3, 2, dtype=np.float16), built / NAMES, lambda _: None)
    edit_manifest(built, sampled_sha256=sampled_sha256(built / NAMES))
    with pytest.raises(InputError, match=r"has shape \(3, 2\)"):
        NameVectors.open(built, ontology)


def test_vectors_that_are_no_numbers(
    model: BiEncoder, ontology: Ontology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(texts: Sequence[str]) -> npt.NDArray[np.float16]:
        return np.full((len(texts), WIDTH), np.nan, dtype=np.float16)

    monkeypatch.setattr(module, "PassageEncoder", lambda *_: SimpleNamespace(encode=nothing))
    with pytest.raises(ElError, match="not finite"):
        build_name_vectors(model, ontology, ontology.name_texts, tmp_path / "v", tmp_path / "scratch")
    assert not (tmp_path / "v").exists()
    # Nor are they taken for finished parts afterwards.
    monkeypatch.undo()
    vectors = build_name_vectors(
        model, ontology, ontology.name_texts, tmp_path / "v", tmp_path / "scratch"
    ).gather(np.arange(3))
    assert np.isfinite(vectors).all()
