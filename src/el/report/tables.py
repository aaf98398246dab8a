"""The tables of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from el.evaluation.error_analysis import ERROR_KINDS, LinkingError
from el.evaluation.metrics import PairedDifference, gold_ranks, hits, paired_bootstrap
from el.evaluation.predictions import Prediction
from el.evaluation.protocol import Protocol

# The columns of the table of results: the heading, and the row and metric of the flat figures.
_COLUMNS = (
    ("chemical", "chemical", "accuracy@1"),
    ("disease", "disease", "accuracy@1"),
    ("unseen form", "unseen_form", "accuracy@1"),
    ("unseen id", "unseen_id", "accuracy@1"),
    ("abbreviation", "abbreviation", "accuracy@1"),
    ("unique", "unique", "accuracy@1"),
    ("@5", "all", "accuracy@5"),
    ("@10", "all", "accuracy@10"),
    ("@100", "all", "accuracy@100"),
    ("MRR", "all", "mrr"),
    ("NIL", "nil", "accuracy@1"),
)
# The columns of the table of latencies: the heading, the name of the figure, and its format.
_LATENCY_COLUMNS = (
    ("encode p50", "encode_p50_ms", "{:.2f}"),
    ("search p50", "search_p50_ms", "{:.2f}"),
    ("generate p50", "generate_p50_ms", "{:.2f}"),
    ("score p50", "score_p50_ms", "{:.2f}"),
    ("total p50", "total_p50_ms", "{:.2f}"),
    ("total p95", "total_p95_ms", "{:.2f}"),
    ("ratio", "total_p50_ratio", "{:.2f}"),
    ("mentions/s in batches", "mentions_per_second", "{:.0f}"),
    ("index MB", "index_mb", "{:.0f}"),
    ("accuracy@1", "accuracy@1", "{:.3f}"),
    ("recall@10", "recall@10", "{:.3f}"),
    ("of the sample", "sample_accuracy@1", "{:.3f}"),
    ("exhaustive", "exhaustive_accuracy@1", "{:.3f}"),
)
_NO_VALUE = "–"


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        caption: what the table shows, and under which protocol.
        headings: the headings of the columns.
        rows: the cells of each row.
        left: how many columns, from the first, are aligned left. The others are aligned right.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def markdown(self) -> str:
        """Returns the caption and the table in Markdown."""
        caption = f"{self.caption}\n\n" if self.caption else ""
        return caption + markdown_table(self.headings, self.rows, self.left)


@dataclass(frozen=True)
class Comparison:
    """Two systems compared on the same mentions.

    Attributes:
        system: the first system.
        baseline: the second system.
        row: the row of the result table whose mentions were compared.
        difference: the difference in accuracy@1, with its interval and p value.
    """

    system: str
    baseline: str
    row: str
    difference: PairedDifference


def result_table(
    caption: str,
    figures: Mapping[str, float],
    protocol: Protocol,
    systems: Sequence[str],
    latency: Mapping[str, float],
    retrieved: int,
) -> Table:
    """Returns the accuracies of systems and, for systems that were timed, the milliseconds per mention.

    Args:
        caption: the caption of the table.
        figures: flat figures with keys `<protocol>/<system>/<row>/<metric>`.
        protocol: the protocol whose figures are shown.
        systems: the systems, in the order of the lines.
        latency: flat figures with keys `<system>/total_p50_ms` and `<system>/total_p50_ratio`.
        retrieved: how many names the first stage of a model retrieves. The recall of these names is a column.
    """
    columns = (*_COLUMNS, (f"recall@{retrieved}", "all", f"recall@{retrieved}"))
    headings = ["system", "accuracy@1 (95 %)", *(heading for heading, _, _ in columns), "ms", "ratio"]
    rows = []
    for system in systems:
        prefix = f"{protocol.name}/{system}"
        rows.append(
            [
                system,
                _with_interval(figures, f"{prefix}/all/accuracy@1"),
                *(_share(figures, f"{prefix}/{row}/{metric}") for _, row, metric in columns),
                _number(latency, f"{system}/total_p50_ms", "{:.1f}"),
                _number(latency, f"{system}/total_p50_ratio", "{:.2f}"),
            ]
        )
    return Table(caption, headings, rows)


def exhaustive_table(
    caption: str, figures: Mapping[str, float], protocol: Protocol, systems: Sequence[str]
) -> Table | None:
    """Returns what the first stage costs: q-nets over all names against q-nets over the retrieved names.

    Both are measured on a sample of surface forms.

    Args:
        caption: the caption of the table.
        figures: flat figures. For a sampled system they hold `<protocol>/<system>/exhaustive_sample/count`,
            `<protocol>/<system>/exhaustive_sample/accuracy@1` and
            `<protocol>/<system>/retrieved_sample/accuracy@1`.
        protocol: the protocol whose figures are shown.
        systems: the systems, in the order of the lines. Systems without a sample are left out.

    Returns:
        The table; None if no system has a sample.
    """
    rows = []
    for system in systems:
        prefix = f"{protocol.name}/{system}"
        count = figures.get(f"{prefix}/exhaustive_sample/count", 0)
        if count:
            correct = [
                str(round(count * figures[f"{prefix}/{sample}/accuracy@1"]))
                for sample in ("exhaustive_sample", "retrieved_sample")
            ]
            rows.append([system, f"{count:.0f}", *correct])
    headings = ["system", "surface forms", "right over all names", "right over the retrieved names"]
    return Table(caption, headings, rows) if rows else None


def latency_table(caption: str, latency: Mapping[str, float], systems: Sequence[str]) -> Table:
    """Returns the milliseconds per mention of each step, the size of the index, and accuracies.

    Args:
        caption: the caption of the table.
        latency: flat figures with keys `<system>/<figure>`, as the benchmark writes them.
        systems: the systems, in the order of the lines.
    """
    headings = ["system", *(heading for heading, _, _ in _LATENCY_COLUMNS)]
    rows = [
        [system, *(_number(latency, f"{system}/{name}", layout) for _, name, layout in _LATENCY_COLUMNS)]
        for system in systems
    ]
    return Table(caption, headings, rows)


def compare_systems(
    predictions: Mapping[str, Sequence[Prediction]],
    baseline: str,
    protocol: Protocol,
    rows: Sequence[str],
) -> list[Comparison]:
    """Compares every system with the baseline by a paired bootstrap over documents.

    Args:
        predictions: the predictions of each system, for the same queries in the same order.
        baseline: the system to compare with.
        protocol: gives the number of concepts and the resampling.
        rows: the rows of the result table to compare. Rows without mentions are left out.
    """
    comparisons = []
    for system, ours in predictions.items():
        for row in rows:
            pairs = [(a, b) for a, b in zip(ours, predictions[baseline], strict=True) if row in a.rows]
            if system == baseline or not pairs:
                continue
            a, b = ([pair[side] for pair in pairs] for side in (0, 1))
            difference = paired_bootstrap(
                hits(gold_ranks(a, protocol.retrieved), 1),
                hits(gold_ranks(b, protocol.retrieved), 1),
                [prediction.document_id for prediction in a],
                protocol.bootstrap_samples,
                protocol.bootstrap_seed,
            )
            comparisons.append(Comparison(system, baseline, row, difference))
    return comparisons


def comparison_table(caption: str, comparisons: Sequence[Comparison]) -> Table:
    """Returns differences in accuracy@1, with intervals and p values."""
    headings = ["system", "against", "row", "difference", "95 %", "p"]
    rows = []
    for comparison in comparisons:
        d = comparison.difference
        compared = [comparison.system, comparison.baseline, comparison.row]
        rows.append([*compared, f"{d.difference:+.3f}", f"{d.lo:+.3f} to {d.hi:+.3f}", f"{d.p:.3f}"])
    return Table(caption, headings, rows, left=3)


def ablation_table(caption: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Returns what each part of the linker contributes.

    Args:
        caption: the caption of the table.
        rows: `el.pipeline.ablate.AblationRow`s as JSON objects. The other rows are compared with the first.
    """
    headings = ["linker", "all", "seen form", "unseen form", f"against {rows[0]['name']}", "95 %"]
    cells = []
    for row in rows:
        known = {key: value for key, value in row.items() if value is not None}
        shares = [_share(known, key) for key in ("all", "seen_form", "unseen_form")]
        compared = [f"{row['difference']:+.3f}", f"{row['lo']:+.3f} to {row['hi']:+.3f}"]
        cells.append([row["name"], *shares, *(compared if row is not rows[0] else ["", ""])])
    return Table(caption, headings, cells)


def error_table(caption: str, errors: Mapping[str, Sequence[LinkingError]]) -> Table:
    """Returns how many mentions each system gets wrong, by kind of error.

    Args:
        caption: the caption of the table.
        errors: the errors of each system.
    """
    headings = ["system", "wrong", "of unseen form", "gold not among the answers", *ERROR_KINDS]
    rows = []
    for system, wrong in errors.items():
        unseen = [error for error in wrong if error.unseen_form]
        lost = [error for error in wrong if not error.rank]
        kinds = [[error for error in wrong if error.kind == kind] for kind in ERROR_KINDS]
        rows.append([system, *(f"{_mentions(group):,}" for group in (wrong, unseen, lost, *kinds))])
    return Table(caption, headings, rows)


def _mentions(errors: Sequence[LinkingError]) -> int:
    return sum(len(error.documents) for error in errors)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Returns a Markdown table. Its first `left` columns are aligned left, the others right."""
    alignment = ["---"] * left + ["---:"] * (len(headings) - left)
    return "".join("| " + " | ".join(line) + " |\n" for line in (headings, alignment, *rows))


def _share(figures: Mapping[str, float], key: str) -> str:
    return _number(figures, key, "{:.3f}").replace("0.", ".", 1)


def _with_interval(figures: Mapping[str, float], key: str) -> str:
    if key not in figures:
        return _NO_VALUE
    ends = "–".join(_share(figures, f"{key}_{end}") for end in ("lo", "hi"))
    return f"{_share(figures, key)} ({ends})"


def _number(figures: Mapping[str, float], key: str, layout: str) -> str:
    return layout.format(figures[key]) if key in figures else _NO_VALUE
