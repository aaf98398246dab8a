"""Exported, indexed anew, and linking the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from el.base.errors import ElError, InputError, UsageError
from el.base.places import cache_folder
from el.commands.index import main
from el.corpus.types import Document, Passage
from el.index.encode import PassageEncoder
from el.index.vectors import NameVectors
from el.linking.build import build_linker, export_trained
from el.linking.config import LinkerConfig
from el.linking.linker import Linker
from el.linking.query import Query
from el.linking.synonyms import LearnedSynonyms
from el.models.biencoder import BiEncoder
from el.models.checkpoint import compact_tensors, load_tensors
from el.ontology.ontology import Concept, Name, Ontology
from tests.el.linking.test_synonyms import document
from tests.tiny import save_tiny_linker, tiny_encoder, tiny_ontology

QUERIES = [Query("d/0", "d", text, "disease", (), text) for text in ("cold", "jaundiced skin", "liver")]


def learned() -> Document:
    return document("jaundiced skin", ("jaundiced skin", "D017093"))


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    synonyms = LearnedSynonyms.of_documents([learned()], {"D017093"})
    folder = tmp_path_factory.mktemp("linker") / "linker"
    return save_tiny_linker(folder, LinkerConfig(use_learned_synonyms=True), synonyms)


def test_what_is_exported_and_built_again_links_the_same(linker: Path, tmp_path: Path) -> None:
    size = export_trained(linker, tmp_path / "trained")
    assert size < sum(path.stat().st_size for path in linker.rglob("*") if path.is_file()) / 1.5
    build_linker(tmp_path / "trained", linker / "ontology", tmp_path / "built", tmp_path / "scratch")
    assert not list((tmp_path / "scratch").iterdir())
    before, after = (Linker.load(folder).rank(QUERIES, 99) for folder in (linker, tmp_path / "built"))
    assert [r.concept_ids[0] for r in after] == [r.concept_ids[0] for r in before]
    # Weights are rounded to half precision.
    for ours, theirs in zip(after, before, strict=True):
        scores = dict(zip(ours.concept_ids, ours.scores, strict=True))
        assert scores == pytest.approx(dict(zip(theirs.concept_ids, theirs.scores, strict=True)), abs=0.05)


def test_a_tagger_is_carried_without_what_it_shares(tmp_path: Path) -> None:
    synonyms = LearnedSynonyms.of_documents([learned()], {"D017093"})
    linker = save_tiny_linker(tmp_path / "linker", synonyms=synonyms, with_tagger=True)
    export_trained(linker, tmp_path / "trained")
    assert not (tmp_path / "trained" / "tagger" / "compiled").exists()
    assert "transformer.embeddings.word_embeddings.weight" not in load_file(
        tmp_path / "trained" / "tagger" / "weights.safetensors"
    )
    build_linker(tmp_path / "trained", linker / "ontology", tmp_path / "built", tmp_path / "scratch")
    text = Document("d", (Passage("title", 0, "Hepatic failure, a cold and lithium"),))
    before, after = (
        Linker.load(folder).mention_finder.found([text]) for folder in (linker, tmp_path / "built")
    )
    assert before == after
    assert before[0]


def test_an_ontology_of_other_ids_does_without_learned_synonyms(linker: Path, tmp_path: Path) -> None:
    export_trained(linker, tmp_path / "trained")
    Ontology.from_concepts([c for c in tiny_ontology() if c.id != "D017093"]).save(tmp_path / "ontology")
    build_linker(tmp_path / "trained", tmp_path / "ontology", tmp_path / "built", tmp_path / "scratch")
    built = Linker.load(tmp_path / "built")
    assert (built.synonyms, built.config.use_learned_synonyms) == (None, False)


def test_names_of_another_linker_are_not_encoded_again(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    encode = PassageEncoder.encode
    monkeypatch.setattr(PassageEncoder, "encode", lambda e, t: texts.extend(t) or encode(e, t))
    added = Concept("Z1", (Name("glowing elbow"),), "disease")
    Ontology.from_concepts([*(c for c in tiny_ontology() if c.id != "D017093"), added]).save(
        tmp_path / "ontology"
    )
    arguments = [str(tmp_path / "ontology"), "--trained", str(linker), "--output", str(tmp_path / "made")]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nowhere: no linker here"):
        main([*arguments, "--reuse", "nowhere"])
    main([*arguments, "--reuse", str(linker)])
    assert texts == ["glowing elbow"]
    query = Query("d/0", "d", "glowing elbow", "disease", (), "glowing elbow")
    main([*arguments[:-1], str(tmp_path / "compact"), "--reuse", str(linker), "--compact"])
    made, compact = (
        NameVectors.open(tmp_path / name / "vectors", Ontology.load(tmp_path / name / "ontology"))
        for name in ("made", "compact")
    )
    assert (made.vectors.bits, compact.vectors.bits) == (16, 6)
    assert not list((cache_folder() / "index").iterdir())
    np.testing.assert_allclose(compact.gather(np.arange(5)), made.gather(np.arange(5)), atol=0.1)
    found = Linker.load(tmp_path / "made").rank([query, *QUERIES], 5)
    assert found[0].concept_ids[0] == "Z1"
    assert all("D017093" not in ranking.concept_ids for ranking in found)


def test_an_index_mostly_of_names_that_are_gone_is_made_anew(linker: Path, tmp_path: Path) -> None:
    Ontology.from_concepts([*tiny_ontology()][:3]).save(tmp_path / "ontology")
    build_linker(linker, tmp_path / "ontology", tmp_path / "built", tmp_path / "scratch", reused=linker)
    built = Linker.load(tmp_path / "built").ranker.vectors
    assert len(built.vectors) == len(built)


def test_a_compact_linker_is_reused_as_it_is(linker: Path, tmp_path: Path) -> None:
    ontology, scratch = linker / "ontology", tmp_path / "scratch"
    build_linker(linker, ontology, tmp_path / "0", scratch, compact=True)
    for number in range(2):
        reused, made = tmp_path / str(number), tmp_path / str(number + 1)
        build_linker(linker, ontology, made, scratch, reused, compact=True)
    first, last = (Linker.load(tmp_path / name).ranker.vectors for name in "02")
    assert last.vectors.bits == 6
    assert np.array_equal(first.gather(np.arange(len(first))), last.gather(np.arange(len(last))))
    assert not list(scratch.iterdir())


def test_what_another_linker_left_is_not_taken_for_it(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    ontology, scratch = linker / "ontology", tmp_path / "scratch"
    build_linker(linker, ontology, tmp_path / "compact", scratch, compact=True)
    with monkeypatch.context() as patched:
        patched.setattr("el.linking.build.save_linker", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_linker(linker, ontology, tmp_path / "built", scratch, reused=tmp_path / "compact")
    build_linker(linker, ontology, tmp_path / "other", scratch)
    # The same again goes on.
    monkeypatch.setattr("el.linking.build.update_name_vectors", lambda *_: pytest.fail("made again"))
    build_linker(linker, ontology, tmp_path / "built", scratch, reused=tmp_path / "compact")
    bits = [Linker.load(tmp_path / name).ranker.vectors.vectors.bits for name in ("built", "other")]
    assert bits == [6, 16]


def test_no_room_for_the_linker_is_said_before_anything_is_encoded(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("el.linking.build.graph_bytes", lambda count, width, bits: count * 10**15)
    with pytest.raises(ElError, match=r"the linker .*/built takes .* on disk"):
        build_linker(linker, linker / "ontology", tmp_path / "built", tmp_path / "scratch")
    assert not (tmp_path / "built").exists()
    assert not (tmp_path / "scratch").exists()


def test_too_large_to_ship(linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("el.linking.build.MAX_BYTES", 1000)
    with pytest.raises(ElError, match="freeze_embeddings"):
        export_trained(linker, tmp_path / "trained")
    assert not (tmp_path / "trained").exists()


def test_a_build_goes_on_behind_the_vectors(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    arguments = (linker, linker / "ontology", tmp_path / "built", tmp_path / "scratch")
    with monkeypatch.context() as patched:
        patched.setattr("el.linking.build.save_linker", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_linker(*arguments)
    assert not (tmp_path / "built").exists()
    monkeypatch.setattr("el.index.build.build_name_vectors", interrupted)
    build_linker(*arguments)
    assert Linker.load(tmp_path / "built").rank(QUERIES, 5) == Linker.load(linker).rank(QUERIES, 5)


def test_a_model_card_stays_and_a_bi_encoder_is_refused(linker: Path, tmp_path: Path) -> None:
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "README.md").write_text("card")
    (tmp_path / "trained" / "old").write_text("old")
    export_trained(linker, tmp_path / "trained")
    assert (tmp_path / "trained" / "README.md").read_text() == "card"
    assert not (tmp_path / "trained" / "old").exists()
    copy = Path(shutil.copytree(linker, tmp_path / "bi_encoder"))
    shutil.rmtree(copy / "model")
    BiEncoder.from_encoder(tiny_encoder(tmp_path / "encoder")).save_pretrained(copy / "model")
    with pytest.raises(ElError, match="only a Hypencoder"):
        export_trained(copy, tmp_path / "other")


def test_too_large_for_half_precision(tmp_path: Path) -> None:
    save_file({"a": torch.tensor([1.0, 70000.0])}, tmp_path / "model.safetensors")
    with pytest.raises(ElError, match="a has numbers that are too large"):
        compact_tensors(tmp_path / "model.safetensors")


@pytest.mark.parametrize("stored_once", ["[]", '{"b": "c"}', "{"])
def test_broken_names_of_equal_tensors(tmp_path: Path, stored_once: str) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors", metadata={"stored_once": stored_once})
    with pytest.raises(InputError, match="truncated or broken"):
        load_tensors(tmp_path)


def test_equal_tensors_are_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"a": torch.randn(50, 40), "c": torch.zeros(3), "d": torch.zeros(3, 1)}
    save_file(tensors | {"b": tensors["a"].clone()}, path)
    compact_tensors(path)
    assert set(load_file(path)) == {"a", "c", "d"}
    assert path.stat().st_size < 2.2 * 50 * 40
    _, read = load_tensors(tmp_path)
    assert set(read) == {"a", "b", "c", "d"}
    assert torch.equal(read["b"], tensors["a"].half())
    # Once more changes nothing.
    compact_tensors(path)
    assert set(load_file(path)) == {"a", "c", "d"}
    again = load_tensors(tmp_path)[1]
    assert again.keys() == read.keys()
    assert all(torch.equal(again[name], read[name]) for name in read)


def test_the_command_builds_a_linker(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(linker / "ontology"), "--trained", str(linker), "--output", "made"]
    main(arguments)
    assert capsys.readouterr().out == "made\n"
    assert Linker.load(Path("made")).rank(QUERIES, 5) == Linker.load(linker).rank(QUERIES, 5)
    with pytest.raises(UsageError, match="--force"):
        main(arguments)
    (Path("made") / "old").write_text("old")
    main([*arguments, "--force"])
    assert not (Path("made") / "old").exists()
    Path("precious").mkdir()
    for output, message in (("precious", "is no linker"), (str(linker), "would replace")):
        with pytest.raises(UsageError, match=message):
            main([*arguments[:3], "--force", "--output", output])
    assert Path("precious").is_dir()
    with pytest.raises(InputError, match="no such file or folder"):
        main(["nowhere", "--trained", str(linker), "-o", "other"])
    with pytest.raises(InputError, match="no trained parts"):
        main([str(linker / "ontology"), "--trained", "nowhere", "-o", "other"])
    assert not Path("other").exists()
