"""What is published beside a run."""

import json
from pathlib import Path

import pytest

from el.base.errors import MismatchError
from el.pipeline.publish import add_seeds


def test_seeds_stand_singly_among_the_figures_of_test(tmp_path: Path) -> None:
    seeds = tmp_path / "study" / "seeds"
    seeds.mkdir(parents=True)
    (tmp_path / "test.json").write_text('{"full/bi_encoder/all/accuracy@1": 0.9}')
    for name, value in (("bi_encoder-1-test", 0.9), ("bi_encoder-2-test", 0.8), ("bi_encoder-2", 0.1)):
        metrics = {"full/bi_encoder/all/accuracy@1": value}
        (seeds / f"{name}.json").write_text(json.dumps({"metrics": metrics, "inputs": {"aligned": "a"}}))
    add_seeds(tmp_path, "a")
    assert json.loads((tmp_path / "test.json").read_text()) == {
        "full/bi_encoder/all/accuracy@1": 0.9,
        "full/bi_encoder/all/accuracy@1_seed1": 0.9,
        "full/bi_encoder/all/accuracy@1_seed2": 0.8,
    }
    with pytest.raises(MismatchError, match=r"bi_encoder-1-test\.json: .* another aligned tower"):
        add_seeds(tmp_path, "b")


def test_without_seeds_and_test_split_nothing_is_added(tmp_path: Path) -> None:
    add_seeds(tmp_path, "a")
    assert not (tmp_path / "test.json").exists()
