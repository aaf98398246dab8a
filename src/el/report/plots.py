"""Plots as SVG text. Equal figures give equal bytes."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from el.base.extras import needs_extra
from el.linking.evidence import OperatingPoint

with needs_extra("pipeline"):
    import matplotlib
    from matplotlib.figure import Figure

_INK, _ACCENT = "#334155", "#b45309"
# "fonttype" keeps text as text, so that it can be searched and read aloud. "hashsalt" keeps the ids of
# elements the same from run to run.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "el",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


@dataclass(frozen=True)
class Measured:
    """The figures of a system for the plots.

    Attributes:
        name: the system's name.
        accuracy: accuracy@1.
        lo: the lower end of the 95 % interval of the accuracy.
        hi: the upper end of the interval.
        milliseconds: the median time of one mention (p50); None for a system that was not timed.
    """

    name: str
    accuracy: float
    lo: float
    hi: float
    milliseconds: float | None = None


def accuracy_plot(systems: Sequence[Measured], title: str) -> str:
    """Returns a plot of accuracies with their intervals: a line for each system, the first on top."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 0.32 * len(systems) + 0.9))
        axes = figure.subplots()
        for place, system in enumerate(systems):
            axes.plot([system.lo, system.hi], [place, place], color=_INK, linewidth=1.5)
            axes.plot(system.accuracy, place, "o", color=_ACCENT)
        axes.set_yticks(range(len(systems)), [system.name for system in systems])
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.set(xlabel="accuracy@1, 95 % interval", title=title)
        return _svg(figure, title)


def latency_plot(systems: Sequence[Measured], title: str) -> str:
    """Returns a plot of accuracy against milliseconds. Systems that were not timed are left out."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 3.6))
        axes = figure.subplots()
        for system in systems:
            if system.milliseconds is not None:
                axes.errorbar(
                    system.milliseconds,
                    system.accuracy,
                    [[system.accuracy - system.lo], [system.hi - system.accuracy]],
                    fmt="o",
                    color=_ACCENT,
                    ecolor=_INK,
                    elinewidth=1,
                )
                axes.annotate(
                    system.name,
                    (system.milliseconds, system.accuracy),
                    xytext=(6, 4),
                    textcoords="offset points",
                )
        axes.set_xlim(left=0)
        axes.margins(x=0.15)
        axes.grid(alpha=0.3)
        axes.set(xlabel="ms per mention, p50", ylabel="accuracy@1", title=title)
        return _svg(figure, title)


def size_plot(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> str:
    """Returns a plot of milliseconds against the number of names.

    Args:
        curves: for each system the points (names, milliseconds). The first two systems are drawn.
        title: the title of the plot.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 3.6))
        axes = figure.subplots()
        for (name, points), color in zip(curves.items(), (_INK, _ACCENT), strict=False):
            axes.plot(*zip(*points, strict=True), "o-", color=color, label=name)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.set(xlabel="names", ylabel="ms per mention, p50", title=title)
        return _svg(figure, title)


def coverage_plot(curves: Mapping[str, Sequence[OperatingPoint]], title: str) -> str:
    """Returns a plot of precision against coverage.

    Args:
        curves: the points of each curve, by label. The first two curves are drawn.
        title: the title of the plot.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 3.6))
        axes = figure.subplots()
        for (name, curve), color in zip(curves.items(), (_INK, _ACCENT), strict=False):
            axes.plot(
                [point.coverage for point in curve],
                [point.precision for point in curve],
                color=color,
                label=name,
            )
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.set(
            xlabel="coverage: share of mentions answered", ylabel="precision of the answers", title=title
        )
        return _svg(figure, title)


def _svg(figure: Figure, title: str) -> str:
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None, "Title": title}
    )
    # The XML declaration is removed, because HTML does not allow it inside a page.
    return stream.getvalue()[stream.getvalue().index("<svg") :]
