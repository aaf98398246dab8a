"""The whole pipeline on the sample, with a tiny encoder and a few steps: `dvc repro` as users run it."""

import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from el.models.hypencoder import Hypencoder
from tests.tiny import WIDTH, tiny_encoder

ROOT = Path(__file__).parent.parent
# Much more than any command takes, the whole pipeline included: what takes longer hangs.
_SECONDS = 900

# The first test runs the whole pipeline.
pytestmark = pytest.mark.timeout(_SECONDS + 60)


class Clone:
    """A copy of the tracked and new files, as a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        for name in listed.stdout.splitlines():
            # Results of other parameters would not be compared with.
            if (ROOT / name).is_file() and not name.startswith(
                ("dvc.lock", "metrics/", "dvclive/", "plots/")
            ):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        for command in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-q", "-m", "start"]):
            self.run(*command)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{self.folder / 'src'}{os.pathsep}{self.folder}",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org",
        }
        environment.pop("EL_MIRROR", None)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=_SECONDS
        )
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def change(self, **sections: dict[str, Any]) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in sections.items():
            params[section].update(values)
        path.write_text(yaml.safe_dump(params))

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    encoder = tiny_encoder(tmp_path_factory.mktemp("encoder"))
    short = {"steps": 2, "evaluate_every": 1, "warmup_steps": 0, "dev_queries": 20, "names_per_batch": 8}
    clone.change(
        encoder={"name": "tiny", "source": "folder", "location": encoder.location, "hub_name": "tiny"},
        qnet={"depths": [2]},
        pairs={"names": 50},
        align=short,
        mining={"names": 50},
        pretrain=short,
        finetune=short | {"mentions_per_batch": 8},
        evaluate={"exhaustive": 3, "candidates": 32},
        benchmark={"mentions": 5, "candidates": 32},
        tagger={"max_tokens": 64, "overlap": 16},
    )
    clone.run("git", "commit", "-q", "-a", "-m", "tiny")
    clone.run("dvc", "repro")
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-q", "-m", "run")
    return clone


def test_table_has_every_system(clone: Clone) -> None:
    table = (clone.folder / "report" / "test.md").read_text()
    for system in ("lookup", "exact", "tfidf", "encoder", "aligned", "bi_encoder", "hypencoder_2", "el_link"):
        assert f"| {system} |" in table


def test_report_has_what_was_measured_to_look_at(clone: Clone) -> None:
    page = (clone.folder / "report" / "index.html").read_text()
    figures = clone.json("report/dev.json")
    accuracy = f"{figures['full/bi_encoder/all/accuracy@1']:.3f}".removeprefix("0")
    assert f"<td>{accuracy} (" in page
    # Two plots a split, latency, sizes, and thresholds.
    assert page.count("<svg") == 7
    rows = clone.json("report/ablation.json")
    assert {"linker", "with learned synonyms", "model alone"} <= {row["name"] for row in rows}
    errors = json.loads(page.split('id="data">')[1].split("</script>")[0])
    wrong = sum(error["count"] for error in errors["bi_encoder"])
    count = figures["full/bi_encoder/all/count"]
    assert 1 - wrong / count == pytest.approx(figures["full/bi_encoder/all/accuracy@1"], abs=1e-6)


def test_stored_predictions_give_the_reported_accuracy(clone: Clone) -> None:
    """Recounts from the files alone, with none of the project's code."""
    folder = clone.folder / "evaluation" / "sample-tiny" / "reference" / "lookup_exact"
    share = right_share(folder / "test-full.jsonl.gz")
    figures = clone.json("evaluation/sample-tiny/reference/lookup_exact/test.json")
    assert figures["full/lookup_exact/all/accuracy@1"] == pytest.approx(share, abs=1e-6)
    assert 0.2 < share < 1.0


def right_share(predictions: Path) -> float:
    """The share of stored rankings whose first concept is right."""
    rows = [json.loads(line) for line in gzip.decompress(predictions.read_bytes()).decode().splitlines()]
    return sum(bool(row["ranked"]) and row["ranked"][0] in row["gold"] for row in rows) / len(rows)


def test_second_run_does_nothing_and_links(clone: Clone) -> None:
    before = clone.json("metrics/latency.json")
    ran = re.findall(r"Running stage '(.*)'", clone.run("dvc", "repro").stdout)
    assert ran == ["machine"]
    assert clone.json("metrics/latency.json") == before
    linked = clone.run(sys.executable, "-m", "el.link")
    assert "D000082" in linked.stdout


def test_forced_rerun_gives_the_same_figures_to_the_last_digit(clone: Clone) -> None:
    names = ["metrics/finetuned/hypencoder_2.json", "metrics/training/finetuned/hypencoder_2.json"]
    figures = [(clone.folder / name).read_bytes() for name in names]
    weights = clone.folder / "models" / "sample-tiny" / "finetuned" / "hypencoder_2" / "model.safetensors"
    before = weights.read_bytes()
    stages = ["mine", "train_hypencoder@2", "evaluate"]
    ran = clone.run("dvc", "repro", "--force", "--single-item", *stages).stdout
    assert re.findall(r"Running stage '(.*)'", ran) == stages
    assert [(clone.folder / name).read_bytes() for name in names] == figures
    assert weights.read_bytes() == before


def test_a_study_trains_scores_and_is_not_done_twice(clone: Clone) -> None:
    (clone.folder / "small.yaml").write_text(
        "baseline: bi_encoder\nvariants:\n  bi_encoder: {depth: 0}\n"
        "  published: {depth: 1, seeds: [3], changes: {qnet.start: published}}\n"
        "  rounds: {depth: 0, rounds: 2}\n"
    )
    command = (sys.executable, "-m", "el.studies.study", "small.yaml")
    path = Path(clone.run(*command).stdout.splitlines()[-1])
    table = (clone.folder / path).read_text()
    assert "| bi_encoder | 1 |" in table
    assert "| published | 1 |" in table
    assert clone.json(str(path.parent / "rounds-1.json"))["rounds"] == 2
    record = clone.json(str(path.parent / "published-3.json"))
    assert record["params"]["finetune"]["seed"] == 3
    assert record["params"]["qnet"]["start"] == "published"
    stored = clone.folder / path.parent / "published-3.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(stored.read_bytes()).splitlines()]
    assert max(len(row["ranked"]) for row in rows) == 10
    right = sum(
        bool(row["ranked"]) and row["ranked"][0] in row["gold"] for row in rows if "all" in row["rows"]
    )
    counted = sum("all" in row["rows"] for row in rows)
    assert record["metrics"]["full/published/all/accuracy@1"] == pytest.approx(right / counted, abs=1e-6)
    before = stored.stat().st_mtime_ns
    clone.run(*command)
    assert stored.stat().st_mtime_ns == before
    assert (clone.folder / path).read_text() == table


def test_a_study_of_controls_in_context_on_another_split(clone: Clone) -> None:
    (clone.folder / "wide.yaml").write_text(
        "baseline: plain\nsplits: [test]\ncontexts: [0, 8]\nnames: 500\nevery: 2\nvariants:\n"
        "  plain: {depth: 0}\n"
        "  fixed: {depth: 1, scorer: fixed, changes: {inputs.context_characters: 8}}\n"
        "  fixed_hidden: {depth: 1, scorer: fixed_hidden}\n"
    )
    folder = Path(
        clone.run(sys.executable, "-m", "el.studies.study", "wide.yaml").stdout.splitlines()[-1]
    ).parent
    table = (clone.folder / folder / "table-test.md").read_text()
    assert "test (one document of 2), the names of all gold concepts and about 500 more" in table
    # Each variant with its own context, and in a table a row with both.
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| fixed ")] == [
        "fixed"
    ] * 3
    own = clone.json(str(folder / "fixed-1-test.json"))
    other = clone.json(str(folder / "fixed-1-test-context0.json"))
    assert (own["scorer"], own["every"], own["names"], own["split"]["name"]) == ("fixed", 2, 500, "test")
    assert own["params"]["inputs"]["context_characters"] == 8
    assert "context_characters" not in own
    assert other["context_characters"] == 0
    assert own["metrics"]["full/fixed/all/count"] == other["metrics"]["full/fixed/all/count"] > 0
    assert clone.json(str(folder / "fixed_hidden-1-test.json"))["scorer"] == "fixed_hidden"


def test_weights_that_are_fitted_again_are_those_of_the_run(clone: Clone) -> None:
    weights = "combinations.json"
    copy = clone.folder / "fitted"
    copy.mkdir()
    clone.run(
        *(sys.executable, "-m", "el.pipeline.fit", "-l", "models/linker"),
        *("-o", "calibration", "--write", "fitted"),
    )
    assert clone.json(f"fitted/{weights}") == clone.json(f"models/linker/{weights}")
    figures = clone.json("calibration/reliability.json")
    assert {"all", "seen", "unseen"} <= set(figures)
    assert sum(one["count"] for group, one in figures.items() if group != "all") == figures["all"]["count"]
    assert "| all " in (clone.folder / "calibration" / "reliability.md").read_text()
    shutil.rmtree(copy)
    shutil.rmtree(clone.folder / "calibration")


def test_a_finished_run_is_published(clone: Clone) -> None:
    clone.run(sys.executable, "-m", "el.pipeline.publish", "--command", "dvc repro")
    run = clone.json("results/sample-tiny/run.json")
    assert (run["command"], run["changed"]) == ("dvc repro", False)
    # The one that the report was made at, not the one that holds it.
    assert run["commit"] == clone.run("git", "rev-parse", "HEAD~1").stdout.strip()
    assert clone.json("results/sample-tiny/test.json") == clone.json("report/test.json")
    # The page has texts of the corpus, and stays at home.
    published = {path.name for path in (clone.folder / "results" / "sample-tiny").iterdir()}
    assert {"ablation.md", "errors.md", "accuracy-test-all.svg"} <= published
    assert "index.html" not in published
    stored = clone.folder / "results" / "sample-tiny" / "predictions" / "hypencoder_2" / "test-full.jsonl.xz"
    row = json.loads(lzma.decompress(stored.read_bytes()).splitlines()[0])
    # The study of the test before is not lost.
    assert (clone.folder / "results" / "sample-tiny" / "study" / "small" / "table.md").is_file()
    # No text of the corpus.
    assert set(row) == {"query", "document", "gold", "rows", "ranked", "scores", "gold_rank"}


@pytest.fixture(scope="module")
def given(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as released, a shared tower pooled by its first token; the clone was trained from it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    encoder = tiny_encoder(folder / "encoder")
    Hypencoder.from_encoder(encoder.location, [WIDTH, WIDTH, WIDTH, 1]).save_pretrained(folder / "given_2")
    clone.change(qnet={"pretrained": str(folder / "given_{depth}")})
    # The losses of cosines make no sense for vectors of any length, and are not left out in silence.
    refused = clone.run("dvc", "repro", "train_hypencoder", check=False)
    assert "Set both to 0 and teacher to frozen" in refused.stderr
    without = {"joint_weight": 0.0, "joint_distillation_weight": 0.0, "distillation_weight": 0.0}
    clone.change(finetune=without | {"teacher": "frozen"})
    out = clone.run("dvc", "repro", "train_hypencoder", "evaluate").stdout
    assert "Running stage 'train_hypencoder@2'" in out
    # What does not depend on the parameter.
    assert "Running stage 'align'" not in out
    return folder / "given_2"


def test_a_checkpoint_of_the_released_layout_is_fine_tuned(clone: Clone, given: Path) -> None:
    config = json.loads((given / "config.json").read_text())
    assert config["shared_encoder"]
    made = clone.json("models/sample-tiny/finetuned/hypencoder_2/config.json")
    assert made["query_encoder_kwargs"] == config["query_encoder_kwargs"]
    # What it answers was scored anew: the figure is that of the stored rankings.
    stored = clone.folder / "evaluation" / "sample-tiny" / "finetuned" / "hypencoder_2" / "dev-full.jsonl.gz"
    assert right_share(stored) == pytest.approx(
        clone.json("metrics/finetuned/hypencoder_2.json")["dev.full.accuracy@1"], abs=1e-6
    )


@pytest.mark.usefixtures("given")
def test_what_a_changed_parameter_changed_shows_in_diffs(clone: Clone) -> None:
    changed = json.dumps(json.loads(clone.run("dvc", "metrics", "diff", "--json").stdout))
    assert "metrics/finetuned/hypencoder_2.json" in changed
    assert "dev.full.accuracy@1" in changed
    shown = clone.run("dvc", "metrics", "show").stdout.splitlines()
    systems = [line.split()[0] for line in shown[1:]]
    assert {"metrics/finetuned/hypencoder_2.json", "metrics/latency/hypencoder_2.json"} <= set(systems)
    # A few columns, and none for what nobody compares.
    assert "steps" not in shown[0]
    assert max(map(len, shown)) < 280
    plots = clone.run("dvc", "plots", "diff", "HEAD", "--out", "plots_html").stdout
    assert "index.html" in plots


def test_misspelt_parameter_stops_with_its_name(clone: Clone) -> None:
    path = clone.folder / "params.yaml"
    text = path.read_text()
    try:
        clone.change(finetune={"learning_rat": 0.1})
        done = clone.run("dvc", "repro", "--single-item", "train_bi_encoder", check=False)
        assert done.returncode != 0
        assert "finetune.learning_rat is unknown" in done.stderr
        # What was there before is not lost.
        assert (
            clone.folder / "models" / "sample-tiny" / "finetuned" / "bi_encoder" / "modules.json"
        ).is_file()
    finally:
        path.write_text(text)
