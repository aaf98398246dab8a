"""Memory of `el link` over many documents: a flat line, however many there are.

Prints a row for docs/reliability.md. Exit code 1 if the most memory is over that of the first tenth by more
than a tenth.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from el.base.places import HOME_VARIABLE
from tests.tiny import save_tiny_linker

_PAUSE = 0.2


def memory(documents: int, folder: Path) -> tuple[float, float]:
    """Links some documents in another process.

    Returns:
        The most memory (resident set, in MB) of the process up to the first tenth of its output, and at all.
    """
    given, output = folder / "given.jsonl", folder / "linked.tsv"
    linker = save_tiny_linker(folder / "linker")
    with given.open("w", encoding="utf-8") as stream:
        for number in range(documents):
            stream.write(f'{{"id": "{number}", "text": "Aspirin {number} for headache and COPD."}}\n')
    command = [sys.executable, "-m", "el.link", str(given), "-f", "tsv", "-o", str(output), "-l", str(linker)]
    samples: list[tuple[int, float]] = []
    with subprocess.Popen(command, env=os.environ | {HOME_VARIABLE: str(folder / "home")}) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            written = sum(path.stat().st_size for path in folder.glob(".linked.tsv.*.part"))
            samples.append((written, watched.memory_info().rss / 1e6))
            time.sleep(_PAUSE)
    assert process.returncode == 0
    size = output.stat().st_size
    return max(rss for written, rss in samples if written <= size / 10), max(rss for _, rss in samples)


def main() -> int:
    """Measures. Returns the exit code."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.memory", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000, help="their number (default: 100000)")
    documents: int = parser.parse_args().documents
    with tempfile.TemporaryDirectory() as folder:
        first, most = memory(documents, Path(folder))
    print("| documents | MB after a tenth | MB at most |\n|---|---|---|")
    print(f"| {documents:,} | {first:.0f} | {most:.0f} |")
    return 1 if most > 1.1 * first else 0


if __name__ == "__main__":
    sys.exit(main())
