"""Kills commands at seeded times, runs them again until they end, and compares the outputs with others.

    link    `el link --resume` on a folder, with and without --jobs, with a tiny linker
    index   `el index` of a small ontology, with the trained parts of a tiny linker
    repro   `dvc repro` on the sample, in a clone of the repository, with short trainings

The outputs must be those of an undisturbed run, byte for byte. Nothing else may be left: no temporary file,
no scratch, no process. Exit code 1 otherwise. The last line is a row for docs/reliability.md.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from el.base.places import HOME_VARIABLE

_ROOT = Path(__file__).parents[2]
# Seconds after which a process of a killed command counts as one that stays.
_PATIENCE = 30.0
# Stages whose outputs hold timings, which are never the same.
_TIMED = {"machine", "benchmark", "compare"}
_WORDS = ("aspirin", "headache", "lithium", "COPD", "coryza", "hepatic failure", "with", "after", "in rats")


@dataclass
class Scene:
    """A command to kill, and where its outputs are.

    Attributes:
        command: the command.
        folder: where it runs.
        outputs: returns the outputs: relative path -> bytes or checksum.
        remove: removes the outputs.
        environment: its environment.
        kills: the kills so far.
    """

    command: Sequence[str]
    folder: Path
    outputs: Callable[[], dict[str, Any]]
    remove: Callable[[], None]
    environment: dict[str, str] = field(default_factory=dict)
    kills: int = 0

    def run(self, seconds: float | None = None) -> bool:
        """Runs the command and kills it after some seconds. Returns whether it ended before.

        Raises:
            AssertionError: the command failed, or processes that it started stay.
        """
        environment = os.environ | {"PYTHONPATH": str(_ROOT / "src")} | self.environment
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(self.command, cwd=self.folder, env=environment, stdout=log, stderr=log)
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                children = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(signal.SIGKILL)
                process.wait()
                self.kills += 1
                staying = psutil.wait_procs(children, _PATIENCE)[1]
                for child in staying:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                assert not staying, f"{len(staying)} processes outlive the command"
                return False
            finally:
                # A test that takes too long is interrupted here.
                process.kill()
            log.seek(0)
            assert code == 0, f"exit code {code}: {log.read()[-2000:]}"
            return True


def link_scene(folder: Path, jobs: int, files: int, documents: int) -> Scene:
    """Returns `el link --resume` on a new folder of files of JSON lines."""
    linker, given, output = folder / "linker", folder / "given", folder / "linked"
    _make_linker(linker)
    given.mkdir()
    rng = random.Random(jobs)
    for number in range(files):
        texts = (" ".join(rng.choices(_WORDS, k=12)) for _ in range(documents))
        lines = (f'{{"id": "{number}-{at}", "text": "{text}"}}\n' for at, text in enumerate(texts))
        (given / f"{number}.jsonl").write_text("".join(lines), encoding="utf-8")
    arguments = [str(given), "-o", str(output), "-l", str(linker), "--resume", "--jobs", str(jobs)]
    return Scene(
        [sys.executable, "-m", "el.link", *arguments],
        folder,
        lambda: _bytes_below(output),
        lambda: shutil.rmtree(output, ignore_errors=True),
        {HOME_VARIABLE: str(folder / "home")},
    )


def index_scene(folder: Path, concepts: int) -> Scene:
    """Returns `el index` of a new table."""
    trained, table, output, home = folder / "trained", folder / "own.csv", folder / "made", folder / "home"
    _make_linker(trained)
    rng = random.Random(0)
    rows = (f"H-{number},{' '.join(rng.choices(_WORDS, k=4))} {number}\n" for number in range(concepts))
    table.write_text("id,name\n" + "".join(rows), encoding="utf-8")

    def outputs() -> dict[str, bytes]:
        beside = {path.name: b"" for path in folder.iterdir() if path.name.startswith(".")}
        return _bytes_below(output) | _bytes_below(home) | beside

    return Scene(
        [
            sys.executable,
            "-m",
            "el.index",
            str(table),
            "--kind",
            "disease",
            "-t",
            str(trained),
            "-o",
            str(output),
            # A command that is killed when its output is complete would refuse to replace it.
            "--force",
        ],
        folder,
        outputs,
        lambda: shutil.rmtree(output, ignore_errors=True),
        {HOME_VARIABLE: str(home)},
    )


def repro_scene(folder: Path) -> Scene:
    """Returns `dvc repro` in a clone of the repository, with one depth and few steps of training."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", _ROOT, clone], check=True)
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    params["qnet"]["depths"] = [2]
    for section in ("align", "finetune"):
        params[section] |= {"steps": 4, "evaluate_every": 2, "warmup_steps": 1}
    (clone / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    author = ["-c", "user.name=kill", "-c", "user.email=kill@localhost"]
    subprocess.run(["git", *author, "commit", "--quiet", "-am", "short"], cwd=clone, check=True)

    def remove() -> None:
        subprocess.run(["git", "clean", "-dfxq"], cwd=clone, check=True)
        subprocess.run(["git", "checkout", "-q", "."], cwd=clone, check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "-f"], cwd=clone, check=True)

    environment = {
        HOME_VARIABLE: str(folder / "home"),
        "PYTHONPATH": f"{clone / 'src'}{os.pathsep}{clone}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def outputs() -> dict[str, Any]:
        stages = yaml.safe_load((clone / "dvc.lock").read_text(encoding="utf-8"))["stages"]
        return {name: stage["outs"] for name, stage in stages.items() if name not in _TIMED}

    return Scene([sys.executable, "-m", "dvc", "repro"], clone, outputs, remove, environment)


def disturb(scene: Scene, kills: int, seed: int) -> list[str]:
    """Kills a command some times, and lets it end. Returns what differs from an undisturbed run.

    Each kill comes at a random time within the time that an undisturbed run takes. When the command ends
    before it is killed, its outputs are compared and removed, and it starts from the beginning.
    """
    rng = random.Random(seed)
    begun = time.monotonic()
    scene.run()
    span = time.monotonic() - begun
    expected = scene.outputs()
    scene.remove()
    faults: list[str] = []
    while True:
        ended = scene.run(rng.uniform(0.0, span) if scene.kills < kills else None)
        if ended:
            faults += _differences(expected, scene.outputs())
            if scene.kills >= kills:
                return faults
            scene.remove()


def _differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {'missing' if name not in found else 'left over' if name not in expected else 'differs'}"
        for name in sorted(expected.keys() | found.keys())
        if name not in found or name not in expected or expected[name] != found[name]
    ]


def _bytes_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder.parent)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def _make_linker(folder: Path) -> None:
    # Imported here, because it needs PyTorch.
    from tests.tiny import save_tiny_linker

    save_tiny_linker(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the kills. Returns the exit code."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.kill", description=__doc__)
    parser.add_argument("--what", choices=("link", "link-jobs", "index", "repro"), default="link")
    parser.add_argument("--kills", type=int, default=50, help="number of kills (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the times (default: 0)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        makers: dict[str, Callable[[], Scene]] = {
            "link": lambda: link_scene(folder, jobs=1, files=40, documents=20),
            "link-jobs": lambda: link_scene(folder, jobs=2, files=40, documents=20),
            "index": lambda: index_scene(folder, concepts=5_000),
            "repro": lambda: repro_scene(folder),
        }
        scene = makers[options.what]()
        faults = disturb(scene, options.kills, options.seed)
    for fault in faults:
        print(fault)
    print("| command | kills | seed | files that differ, are missing or left over |\n|---|---|---|---|")
    print(f"| {options.what} | {scene.kills} | {options.seed} | {len(faults)} |")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
