"""Studies: what is read, what is changed, and what the table says."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from el.base.errors import ConfigError, InputError
from el.corpus.store import write_documents
from el.corpus.types import Document, Mention, Passage, Span
from el.evaluation.predictions import Prediction
from el.index.build import build_name_vectors
from el.models.biencoder import BiEncoder
from el.models.tower import EncoderSource
from el.pipeline.common import Workspace
from el.studies.study import (
    Scoring,
    Study,
    Variant,
    changed,
    difference,
    load_study,
    mean_hits,
    mined_again,
    pairs_in_context,
    study_table,
    train_variant,
)
from el.training.pairs import Item, Pair, read_pairs, write_pairs
from el.training.recipes import PairFiles
from tests.tiny import tiny_encoder, tiny_ontology, tiny_protocol

ROOT = Path(__file__).parents[3]
FULL = tiny_protocol(("all", "unseen_form"))


def predictions(hits: str) -> list[Prediction]:
    """One mention a document; "1" is a hit; the first of them has a form that training showed."""
    return [
        Prediction(
            str(n),
            f"document {n}",
            ("D1",),
            ("all", "unseen_form") if n else ("all",),
            ("D1" if hit == "1" else "D2",),
            (1.0,),
        )
        for n, hit in enumerate(hits)
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "study").glob("*.yaml")), ids=lambda p: p.stem)
def test_studies_at_hand_can_be_read(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem
    assert study.baseline in study.variants


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants: {a: {depth: 2}}", "baseline"),
        ("baseline: b\nvariants: {a: {depth: 2}}", "'b' is no variant"),
        ("baseline: a\nvariants: {a: {}}", "depth"),
        ("baseline: a\nvariants: {a: {depth: 2, seed: [1, 2]}}", "seed"),
        ("baseline: a\nvariants: {a: {depth: 2, scorer: fixd}}", "scorer is 'fixd'"),
        ("baseline: a\nvariants: {a: {depth: 0, scorer: fixed}}", "depth is 0; with scorer fixed"),
        ("baseline: a\nvariants: {a: {depth: 0, rounds: 0}}", "rounds is 0"),
        ("baseline: a\nsplit: [test]\nvariants: {a: {depth: 2}}", "split"),
        ("baseline: a\nsplits: [tset]\nvariants: {a: {depth: 2}}", "splits is .'tset'."),
        ("baseline: a\nevery: 0\nvariants: {a: {depth: 2}}", "every is 0"),
        ("baseline: a\nvariants: {a: {depth: 2, against: c}}", "variant a, against: 'c' is no variant"),
        ("[]", "not a study"),
        (": :", "not a study"),
    ],
)
def test_what_is_no_study(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_study(path)


def test_changes_and_seed() -> None:
    params = {"qnet": {"start": "dot_product"}, "pretrain": {"seed": 1}, "finetune": {"seed": 1, "steps": 3}}
    new = changed(params, {"qnet.start": "published", "finetune.steps": 9}, 4)
    assert new == {
        "qnet": {"start": "published"},
        "pretrain": {"seed": 4},
        "finetune": {"seed": 4, "steps": 9},
    }
    assert params["finetune"] == {"seed": 1, "steps": 3}
    for name in ("steps", "qnets.start", "finetune.", "finetune.step", "mining.nearest", "qnet.pretrained"):
        with pytest.raises(ConfigError, match="cannot be changed"):
            changed(params | {"mining": {"nearest": 1}}, {name: 1}, 1)


def test_context_takes_tokens() -> None:
    params = {
        "inputs": {"context_characters": 0},
        "encoder": {"max_tokens": 32},
        "pretrain": {},
        "finetune": {},
    }
    new = changed(params, {"inputs.context_characters": 128}, 1)
    assert new["inputs"] == {"context_characters": 128}
    assert new["encoder"] == {"max_tokens": 96}


def test_scorings_have_files_of_their_own(tmp_path: Path) -> None:
    study = Study("s", "a", {"a": Variant(0)}, splits=("dev", "test"), contexts=(0, 32), names=9)
    scorings = study.scorings(32)
    assert scorings == [Scoring(split, context, 9) for split in ("dev", "test") for context in (0, 32)]
    names = [scoring.path(tmp_path, "a", 2, 32).name for scoring in scorings]
    assert names == [f"a-2{end}.jsonl.gz" for end in ("-context0", "", "-test-context0", "-test")]


def test_pairs_in_context_keep_the_mined_names(tmp_path: Path) -> None:
    corpus = tmp_path / "data" / "corpus"
    text = "cold cough and a cold."
    mentions = [
        Mention(str(n), (Span(start, start + 4),), "cold", "disease", ("D003139",))
        for n, start in enumerate((0, 17))
    ]
    for split in ("train", "dev"):
        write_documents(
            corpus / f"{split}.jsonl", [Document("1", (Passage("title", 0, text),), tuple(mentions))]
        )
    item = Item("D003139", 1, "Cold", "positive", 0.5)
    mined = Pair("1/0/0", "cold", "cold", ("D003139",), (item,), 2)
    files = PairFiles(tmp_path / "dev.jsonl", tmp_path / "train.jsonl", tmp_path / "names.jsonl")
    for path in (files.dev, files.mentions):
        assert path is not None
        write_pairs(path, [mined])
    tiny_ontology().save(tmp_path / "data" / "ontology")
    space = Workspace(
        {
            "data": {"folder": tmp_path / "data"},
            "inputs": {"context_characters": 6},
            "encoder": asdict(EncoderSource("e", "folder", "", "", "mean", 48)),
        }
    )
    written = pairs_in_context(space, files, tmp_path / "new")
    assert written.names == files.names
    for path in (written.dev, written.mentions):
        assert path is not None
        first, second = read_pairs(path)
        assert [pair.content.split() for pair in (first, second)] == [
            ["cold", ":", "[", "cold", "]", "cough"],
            ["cold", ":", "and", "a", "[", "cold", "]", "."],
        ]
        assert first.items == second.items == mined.items


def test_seeds_are_averaged_before_systems_are_compared() -> None:
    ours, base = [predictions("1110"), predictions("1100")], [predictions("1000")]
    assert mean_hits(ours, "all", 2).tolist() == [1.0, 1.0, 0.5, 0.0]
    assert mean_hits(ours, "unseen_form", 2).tolist() == [1.0, 0.5, 0.0]
    compared = difference(ours, base, "all", FULL)
    assert compared.difference == pytest.approx(1.5 / 4)
    assert 0 <= compared.lo < compared.difference < compared.hi


def test_table() -> None:
    study = Study("s", "base", {"base": Variant(0), "ours": Variant(2, (1, 2))})
    runs = {"base": [predictions("1000")], "ours": [predictions("1110"), predictions("1100")]}
    _, _, base, ours = (line.strip("|").split("|") for line in study_table(study, runs, FULL).splitlines())
    assert [cell.strip() for cell in base][:5] == ["base", "1", "0.250", "0.250", ""]
    assert [cell.strip() for cell in ours][:4] == ["ours", "2", "0.625", "0.750 0.500"]
    assert ours[4].strip().startswith("+0.375 (")
    assert np.isclose(float(ours[5]), 0.5)


def test_a_variant_may_be_compared_with_another() -> None:
    variants = {"base": Variant(0), "other": Variant(0), "ours": Variant(2, against="other")}
    runs = {"base": [predictions("0000")], "other": [predictions("1000")], "ours": [predictions("1110")]}
    rows = study_table(Study("s", "base", variants), runs, FULL).splitlines()
    ours = [cell.strip() for cell in rows[-1].strip("|").split("|")]
    assert ours[4].startswith("+0.500 (")
    assert ours[4].endswith("), against other")


def test_a_model_that_is_there_takes_no_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*_: object, **__: object) -> None:
        pytest.fail("pairs were made for a model that is trained")

    (tmp_path / "model").mkdir()
    monkeypatch.setattr("el.studies.study.load_model", lambda folder: folder)
    for name in ("mined_pairs", "pairs_in_context", "mined_again"):
        monkeypatch.setattr(f"el.studies.study.{name}", unwanted)
    params = {"inputs": {"context_characters": 64, "definition_characters": 0}, "encoder": {}}
    found: object = train_variant(Workspace(params), Variant(2, rounds=2), tmp_path)
    assert found == tmp_path / "model"


def test_hard_negatives_are_those_of_the_model_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ontology = tiny_ontology()
    ontology.save(Path("data/ontology"))
    params = {
        "data": {"name": "tiny", "folder": "data"},
        "encoder": {"name": "tiny"},
        "inputs": {"context_characters": 0, "definition_characters": 0},
        "mining": {"names": 1, "nearest": 6, "positives": 2},
    }
    space = Workspace(params)
    model = BiEncoder.from_encoder(tiny_encoder(tmp_path / "encoder"))
    build_name_vectors(model, ontology, ontology.name_texts, space.aligned_vectors, tmp_path / "scratch")
    stale = Item("D999999", 0, "stale", "negative", 1.0)
    write_pairs(
        Path("train.jsonl"), [Pair("d/0", "liver failure", "liver failure", ("D017093",), (stale,), 1)]
    )
    files = PairFiles(dev=Path("dev.jsonl"), mentions=Path("train.jsonl"), names=Path("names.jsonl"))
    found = []
    for name in ("as it was", "trained"):
        again = mined_again(space, model, files, tmp_path / name)
        assert (again.dev, again.names) == (files.dev, files.names)
        assert again.mentions is not None
        (pair,) = read_pairs(again.mentions)
        assert (pair.mention, pair.concept_ids) == ("liver failure", ("D017093",))
        assert "stale" not in [item.content for item in pair.items]
        found.append([item.content for item in pair.items])
        # The passage tower stays, so that the vectors still fit.
        model.split_towers()
        with torch.no_grad():
            for parameter in model.query_tower.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    assert found[0] != found[1]
