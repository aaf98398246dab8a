"""Command: copies the figures of a finished run to results/, which is in git and which DVC does not track.

    python -m el.pipeline.publish --command "dvc exp run -S data=bc5cdr_indra"

Copies the flat figures, tables and predictions of each split. Copies also the parameters, the outcomes of the
trainings, and the latencies with the machine that they were measured on. Writes the given command, and the
commit that made the report. Outputs of other commands are kept: studies, and figures of the shipped parts and
of the tagger.
"""

import json
import lzma
import shutil
from dataclasses import replace
from pathlib import Path

from el.base.cli import command_parser, run_command
from el.base.errors import ElError, MismatchError
from el.base.files import atomic_folder, read_json, write_json
from el.evaluation.metrics import gold_ranks
from el.evaluation.predictions import Prediction, prediction_row, read_predictions
from el.pipeline.common import METRICS, Workspace
from el.pipeline.compare import REPORT
from el.pipeline.scoring import all_systems

RESULTS = Path("results")
# The number of ids of each ranking that are published. More make the files in git larger.
PUBLISHED_IDS = 10
# The study whose figures are added to those of test, one per seed.
SEEDS = "seeds"
# Folders that other commands write: studies, figures of the shipped parts and of the tagger, and how far
# scores can be trusted.
_MADE_APART = ("study", "shipped", "tagger", "calibration")


def publish(space: Workspace, command: str) -> Path:
    """Writes results/<data>-<encoder>; the run's earlier figures there are replaced. Returns the folder.

    Args:
        space: the run.
        command: the command of the run, so that it can be repeated.

    Raises:
        ElError: the run is not finished.
        MismatchError: the report is of a run with other parameters, or the study of seeds started from
            another tower.
    """
    folder = RESULTS / space.label
    if not REPORT.is_dir():
        raise ElError(f"{REPORT}: no such folder. Run `dvc repro` to the end first")
    if read_json(REPORT / "params.json") != space.params:
        raise MismatchError(
            f"{REPORT}: was made with other parameters than those in params.yaml. Run `dvc repro` first"
        )
    with atomic_folder(folder) as out:
        for path in sorted(REPORT.iterdir()):
            # The page is left out, because it contains texts of the corpus. code.json goes into run.json.
            if path.name not in ("code.json", "index.html"):
                shutil.copy(path, out)
        for system in all_systems(space):
            (out / "predictions" / system).mkdir(parents=True)
            for path in sorted(space.evaluation(system).glob("*.jsonl.gz")):
                publish_predictions(path, out / "predictions" / system)
        for name in ("latency.json", "latency_machine.json", "winner.json"):
            shutil.copy(METRICS / name, out)
        shutil.copytree(METRICS / "training", out / "training")
        write_json(out / "run.json", {"command": command, **read_json(REPORT / "code.json")})
        for name in _MADE_APART:
            if (folder / name).is_dir():
                shutil.copytree(folder / name, out / name)
        add_seeds(out, read_json(space.aligned_vectors / "manifest.json")["model"])
    return folder


def add_seeds(results: Path, aligned: str) -> None:
    """Adds the figures of the study `seeds` to test.json, if there are any. Their keys end with `_seed<N>`.

    Args:
        results: the folder of the results.
        aligned: the fingerprint of the run's aligned tower.

    Raises:
        MismatchError: the study started from another tower.
    """
    paths = sorted((results / "study" / SEEDS).glob("*-test.json"))
    if not paths:
        return
    figures = read_json(results / "test.json")
    for path in paths:
        record = read_json(path)
        if record["inputs"]["aligned"] != aligned:
            raise MismatchError(
                f"{path.name}: the study {SEEDS} started from another aligned tower. Run it again"
            )
        seed = path.stem.removesuffix("-test").rpartition("-")[2]
        figures |= {f"{key}_seed{seed}": value for key, value in record["metrics"].items()}
    write_json(results / "test.json", figures)


def publish_predictions(path: Path, folder: Path) -> None:
    """Writes predictions in a tenth of their size, for git: `<name>.jsonl.xz`.

    Each ranking keeps its first 10 ids with their scores. "gold_rank" is the place, from 1, of the first gold
    id in the ranking before it is shortened; 0 if there is none. So every figure can be computed again.
    """
    lines = []
    for prediction in read_predictions(path):
        (rank,) = gold_ranks([prediction], len(prediction.ranked))
        row = prediction_row(shortened(prediction))
        lines.append(json.dumps({**row, "gold_rank": int(rank)}) + "\n")
    name = path.name.removesuffix(".gz") + ".xz"
    (folder / name).write_bytes(lzma.compress("".join(lines).encode()))


def shortened(prediction: Prediction) -> Prediction:
    """Returns a prediction with only its first ids and their scores, as in the results."""
    return replace(
        prediction, ranked=prediction.ranked[:PUBLISHED_IDS], scores=prediction.scores[:PUBLISHED_IDS]
    )


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--command", required=True, help="the command that made the run")
    print(publish(Workspace.here(), parser.parse_args().command))


if __name__ == "__main__":
    run_command(main)
