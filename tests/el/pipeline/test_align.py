"""The stage that aligns the tower: rounds after the first, and what an interrupted stage keeps."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from el.models.biencoder import BiEncoder
from el.models.loading import load_model
from el.pipeline import align
from el.training.make_pairs import PairsConfig, name_pairs
from el.training.neighbours import pair_neighbours
from el.training.pairs import write_pairs
from tests.tiny import tiny_encoder, tiny_ontology

ROOT = Path(__file__).parents[3]
PAIRS = PairsConfig(10, ("chemical", "disease"), 60, 1.0, 1)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    ontology = tiny_ontology()
    ontology.save(tmp_path / "data" / "ontology")
    pairs = list(name_pairs(ontology, PAIRS, 0))
    for name in ("dev", "train", "names"):
        write_pairs(tmp_path / "data" / "pairs" / f"{name}.jsonl", pairs)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["folder"] = "data"
    params["encoder"] = asdict(tiny_encoder(tmp_path / "encoder"))
    params["align"] |= {"steps": 2, "warmup_steps": 0, "names_per_batch": 3, "evaluate_every": 1}
    write_params(tmp_path, params, rounds=2)
    return tmp_path


def write_params(folder: Path, params: dict[str, object], rounds: int) -> None:
    params["align_hard"] = {"rounds": rounds, "neighbours": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def aligned(folder: Path) -> str:
    (path,) = folder.glob("models/*/aligned")
    return load_model(path).fingerprint()


def test_rounds_go_on_from_each_other_and_an_interrupted_stage_resumes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align.main()
    three_rounds = aligned(workspace)
    # Nothing is left of the rounds before the last.
    assert not list((workspace / "runs").glob("aligned-*"))

    # Stopped in the last round: the rounds before it are not trained again.
    trained: list[int] = []

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(align, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            align.main()
    assert len(list((workspace / "runs").glob("aligned-*"))) == 2
    run = align.run_recipe
    monkeypatch.setattr(align, "run_recipe", lambda *a, **o: (trained.append(1), run(*a, **o))[1])
    align.main()
    assert not trained
    assert aligned(workspace) == three_rounds

    write_params(workspace, yaml.safe_load((workspace / "params.yaml").read_text()), rounds=0)
    align.main()
    assert aligned(workspace) != three_rounds


def test_neighbours_are_the_nearest_other_pairs(tmp_path: Path) -> None:
    model = BiEncoder.from_encoder(tiny_encoder(tmp_path))
    pairs = list(name_pairs(tiny_ontology(), PAIRS, 0))
    near = pair_neighbours(model, pairs, 3)
    assert near.shape == (len(pairs), 3)
    # The same query under another concept is nearest of all.
    twins = [*pairs, pairs[0]]
    found = pair_neighbours(model, twins, 2)
    assert found[0, 0] == len(pairs)
    assert found[-1, 0] == 0
    assert all(row not in found[row] for row in range(len(twins)))
    assert pair_neighbours(model, pairs[:2], 5).tolist() == [[1], [0]]
