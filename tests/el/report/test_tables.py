"""The tables that people read."""

from el.evaluation.error_analysis import LinkingError
from el.evaluation.predictions import Prediction
from el.report.tables import (
    Table,
    ablation_table,
    compare_systems,
    comparison_table,
    error_table,
    exhaustive_table,
    latency_table,
    result_table,
)
from tests.tiny import tiny_protocol

FULL = tiny_protocol(("all", "chemical"))
FIGURES = {
    "full/exact/all/accuracy@1": 0.5,
    "full/exact/all/accuracy@1_lo": 0.25,
    "full/exact/all/accuracy@1_hi": 1.0,
    "full/exact/nil/accuracy@1": 0.75,
    "full/qnet/all/recall@64": 0.875,
    "full/qnet/exhaustive_sample/count": 20,
    "full/qnet/exhaustive_sample/accuracy@1": 0.3,
    "full/qnet/retrieved_sample/accuracy@1": 0.4,
}


def cells(table: Table | None) -> list[list[str]]:
    assert table is not None
    lines = table.markdown().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_figure_stands_in_its_line_and_column() -> None:
    latency = {"qnet/total_p50_ms": 12.345, "qnet/total_p50_ratio": 1.234}
    headings, rule, *lines = cells(result_table("", FIGURES, FULL, ["exact", "qnet"], latency, 64))
    exact, qnet = (dict(zip(headings, line, strict=True)) for line in lines)
    assert len(rule) == len(headings)
    assert (exact["system"], exact["accuracy@1 (95 %)"], exact["NIL"]) == (
        "exact",
        ".500 (.250–1.000)",
        ".750",
    )
    assert exact["recall@64"] == exact["ms"] == exact["chemical"] == "–"
    assert (qnet["recall@64"], qnet["ms"], qnet["ratio"]) == (".875", "12.3", "1.23")


def test_exhaustive_table_has_the_systems_that_were_sampled() -> None:
    _, _, *lines = cells(exhaustive_table("", FIGURES, FULL, ["exact", "qnet"]))
    assert lines == [["qnet", "20", "6", "8"]]
    assert exhaustive_table("", FIGURES, FULL, ["exact"]) is None


def test_latency_table() -> None:
    latency = {"qnet/total_p50_ms": 12.345, "qnet/index_mb": 1321.4, "peak_memory_mb": 7.0}
    headings, _, line = cells(latency_table("", latency, ["qnet"]))
    row = dict(zip(headings, line, strict=True))
    assert (row["system"], row["total p50"], row["index MB"], row["total p95"]) == (
        "qnet",
        "12.35",
        "1321",
        "–",
    )


def predictions(*hits: bool) -> list[Prediction]:
    return [
        Prediction(str(n), f"document {n}", ("D1",), ("all",), ("D1" if hit else "D2",), (1.0,))
        for n, hit in enumerate(hits)
    ]


def test_systems_are_compared_with_the_baseline_on_the_same_mentions() -> None:
    both = {"base": predictions(True, False, False, False), "new": predictions(True, True, True, False)}
    (comparison,) = compare_systems(both, "base", FULL, ["all", "chemical"])
    assert (comparison.system, comparison.baseline, comparison.row) == ("new", "base", "all")
    assert comparison.difference.difference == 0.5
    assert 0 <= comparison.difference.lo < 0.5 < comparison.difference.hi <= 1
    _, _, line = cells(comparison_table("", [comparison]))
    assert line[:4] == ["new", "base", "all", "+0.500"]


def test_an_ablation_names_what_it_is_compared_with() -> None:
    figures = {"all": 0.9, "seen_form": 0.95, "unseen_form": 0.8, "difference": 0.0, "lo": 0.0, "hi": 0.0}
    less = figures | {"name": "less", "all": 0.85, "difference": -0.05, "lo": -0.06, "hi": -0.04}
    table = ablation_table("What it is.", [figures | {"name": "linker"}, less])
    assert table.markdown().startswith("What it is.\n\n| linker |")
    assert table.headings[4] == "against linker"
    assert table.rows[0] == ["linker", ".900", ".950", ".800", "", ""]
    assert table.rows[1] == ["less", ".850", ".950", ".800", "-0.050", "-0.060 to -0.040"]


def test_errors_are_counted_in_mentions() -> None:
    seen = LinkingError("a", "a", "disease", ("D1",), "D2", "sibling", False, 2, ("1", "1", "2"))
    unseen = LinkingError("b", "b", "disease", ("D1",), "", "no answer", True, 0, ("3",))
    table = error_table("Errors.", {"qnet": [seen, unseen], "perfect": []})
    row, perfect = (dict(zip(table.headings, row, strict=True)) for row in table.rows)
    assert (row["wrong"], row["of unseen form"], row["gold not among the answers"]) == ("4", "1", "1")
    assert (row["sibling"], row["no answer"], row["other"]) == ("3", "1", "0")
    assert set(perfect.values()) == {"perfect", "0"}
