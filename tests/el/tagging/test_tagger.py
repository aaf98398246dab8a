"""Taggers as folders, compiled, and in whole documents."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from el.base.errors import InputError, MismatchError
from el.corpus.types import Document, Mention, Passage, Span
from el.models.biencoder import BiEncoder
from el.tagging.compile import compile_tagger, make_tagger
from el.tagging.encoding import WordEncoder, make_batch, windows
from el.tagging.finder import DictionaryFinder
from el.tagging.labels import COUNT
from el.tagging.model import word_scores
from el.tagging.store import TrainedTagger, load_tagger, word_embeddings
from el.tagging.tagger import Tagger
from tests.el.tagging.conftest import document
from tests.tiny import tiny_tagger

TEXTS = ["acute liver failure, a cold", "x", "lithium (2 mg) " * 12, "", "COLD-induced α"]


@pytest.fixture(scope="module")
def tagger(start: BiEncoder) -> TrainedTagger:
    return tiny_tagger(start)


def test_compiled_is_as_the_model(tagger: TrainedTagger, finder: DictionaryFinder) -> None:
    encoder = WordEncoder(tagger.tokenizer, finder, tagger.reading.max_pieces)
    words = [encoder.words(document(str(n), text)) for n, text in enumerate(TEXTS)]
    ours = make_tagger(tagger, finder).emissions(words)
    assert [len(own) for own in ours] == [len(own.spans) for own in words]
    for own, scores in zip(words, ours, strict=True):
        if len(windows(own, tagger.reading)) != 1:
            continue
        batch = make_batch([(own, windows(own, tagger.reading)[0])], tagger.reading)
        places = torch.from_numpy(np.where(batch.words < 0, len(own.spans), batch.words))
        tensors = [torch.from_numpy(a) for a in (batch.ids, batch.mask, batch.names, batch.shapes)]
        with torch.inference_mode():
            expected = word_scores(tagger.model(*tensors), places, len(own.spans))[0]
        np.testing.assert_allclose(scores, expected, atol=0.03)


def test_long_documents_are_read_in_windows(tagger: TrainedTagger, finder: DictionaryFinder) -> None:
    compiled = make_tagger(tagger, finder)
    encoder = WordEncoder(tagger.tokenizer, finder, tagger.reading.max_pieces)
    words = encoder.words(document("d", TEXTS[2]))
    first, *others = windows(words, tagger.reading)
    assert others
    (scores,) = compiled.emissions([words])
    assert scores.shape == (len(words.spans), COUNT)
    assert np.isfinite(scores).all()
    # The first words are those of the first window, read alone.
    head = replace(
        words,
        spans=words.spans[: first.last],
        pieces=words.pieces[: first.last],
        names=words.names[: first.last],
        shapes=words.shapes[: first.last],
    )
    (alone,) = compiled.emissions([head])
    np.testing.assert_allclose(scores[:3], alone[:3], atol=1e-3)
    assert not np.allclose(scores[first.last - 1], alone[first.last - 1], atol=1e-3)


def test_mentions_say_where_they_stand(tagger: TrainedTagger, finder: DictionaryFinder) -> None:
    given = Mention("0", (Span(0, 1),), "é", "disease")
    passages = (Passage("title", 0, "é cold"), Passage("abstract", 9, "Lithium and COLD"))
    own = Document("d", passages, (given,))
    documents = [own, *(document(str(n), text) for n, text in enumerate(TEXTS))]
    compiled = make_tagger(tagger, finder)
    every = compiled.mentions(documents)
    assert len(every) == len(documents)
    assert every == [compiled.mentions([d])[0] for d in documents]
    assert any(every)
    for d, mentions in zip(documents, every, strict=True):
        taken = {m.id for m in d.mentions}
        assert not taken & {m.id for m in mentions}
        for mention in mentions:
            assert mention.text == d.text_of(mention.spans)
            assert mention.type in ("chemical", "disease")
            assert any(p.offset <= mention.start < mention.stop <= p.offset + len(p.text) for p in d.passages)
        assert all(a.stop <= b.start for a, b in itertools.pairwise(mentions))


def test_saved_and_loaded(tagger: TrainedTagger, tmp_path: Path) -> None:
    tagger.save(tmp_path / "own")
    loaded = load_tagger(tmp_path / "own")
    assert loaded.reading == tagger.reading
    ours, theirs = loaded.model.state_dict(), tagger.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in ours)


def test_embeddings_may_be_shared(tagger: TrainedTagger, start: BiEncoder, tmp_path: Path) -> None:
    shared = word_embeddings(start.passage_tower.transformer)
    tagger.save(tmp_path / "own")
    tagger.save(tmp_path / "shared", shared)
    tagger.save(tmp_path / "other", shared + 1)
    sizes = {n: (tmp_path / n / "weights.safetensors").stat().st_size for n in ("own", "shared", "other")}
    assert sizes["own"] - sizes["shared"] >= shared.numel() * 2
    assert sizes["other"] == sizes["own"]
    # In half precision, as they ship.
    loaded = load_tagger(tmp_path / "shared", shared.half())
    assert torch.equal(word_embeddings(loaded.model.transformer), shared.half().float())
    for wrong in (None, shared + 1):
        with pytest.raises(MismatchError, match="saved without its word embeddings"):
            load_tagger(tmp_path / "shared", wrong)


def test_broken_folders(tagger: TrainedTagger, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tagger here"):
        load_tagger(tmp_path)
    folder = tmp_path / "tagger"
    tagger.save(folder)
    for name, problem in (
        ("weights.safetensors", "missing, truncated or altered"),
        ("backbone/config.json", "broken"),
        ("tokenizer.json", "broken"),
        ("manifest.json", "not JSON"),
    ):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-8])
        with pytest.raises(InputError, match=problem):
            load_tagger(folder)
        (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"reading": {"first": 1}}))
    with pytest.raises(InputError, match=r"manifest\.json: is incomplete"):
        load_tagger(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": "el-tagger-0"}))
    with pytest.raises(MismatchError, match="el-tagger-0"):
        load_tagger(folder)


def test_broken_compiled_folders(tagger: TrainedTagger, finder: DictionaryFinder, tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    compile_tagger(tagger, folder)
    for name in ("tagger.xml", "tagger.bin", "transitions.npy", "tokenizer.json"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-8])
        with pytest.raises(InputError, match=rf"{name}: missing, truncated or altered"):
            Tagger(folder, finder)
        (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({"format": manifest["format"]}))
    with pytest.raises(InputError, match=r"manifest\.json: is incomplete"):
        Tagger(folder, finder)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": "x"}))
    with pytest.raises(MismatchError, match="el-compiled-tagger"):
        Tagger(folder, finder)
