"""Studies: what is read, what is changed, and what the table says."""

from pathlib import Path

import numpy as np
import pytest

from el.errors import ConfigError, InputError
from el.evaluation.rankings import Prediction
from el.stages.study import Study, Variant, changed, difference, load_study, mean_hits, study_table
from tests.tiny import tiny_protocol

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
