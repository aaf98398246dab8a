"""Shows the figures of a benchmark as a table, and as curves for a plot."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from el.benchmark.config import FLAT, GRAPH_SEARCH, SLOW_MENTIONS, BenchmarkConfig
from el.linking.mentions import FindMentions
from el.report.tables import Table, latency_table

# Timings of the whole linker: system -> (whether it finds mentions, characters of context on each side).
WHOLE: dict[str, tuple[FindMentions, int]] = {
    "el_link": ("never", 0),
    "el_link_finding": ("always", 0),
    "el_link_context": ("never", 64),
    "el_link_context_finding": ("always", 64),
}
_AT = re.compile(r"(.+)_at_(\d+)")


def systems_of(figures: Mapping[str, float]) -> list[str]:
    """Returns the systems that were timed, in the order of the timing."""
    names = (name.rpartition("/")[0] for name in figures)
    return [name for name in dict.fromkeys(names) if name not in ("", "tower")]


def latency_page(
    figures: Mapping[str, float],
    config: BenchmarkConfig,
    machine: Mapping[str, Any],
    systems: Sequence[str],
    source: str,
) -> Table:
    """Returns a table of milliseconds by step, with a caption that says how they were measured.

    Args:
        figures: what `Benchmark.run` returned.
        config: what was timed.
        machine: what `describe_machine` returned.
        systems: the systems, in the order of the lines.
        source: where the mentions come from, such as "dev".
    """
    caption = (
        f"Milliseconds per mention, one mention at a time, on {config.mentions} distinct mentions of "
        f"{source}; all systems take turns. The graph retrieves {config.candidates} names, which a q-net "
        "scores. Then "
        f"mentions are linked in batches of {config.batch}. "
        f"One process, {machine['threads']} threads, {machine['processor']}; peak memory "
        f"{figures['peak_memory_mb']:.0f} MB. A q-net is generated during the search; generate is the time "
        "that remains after the search. The search of a bi-encoder computes its scores. "
        f"`{FLAT}` compares a mention with every name, on one thread. "
        f"`{GRAPH_SEARCH}` is the published search of the shallowest q-nets, in PyTorch, on a graph with 32 "
        f"neighbours per name. Both are timed on {min(SLOW_MENTIONS, config.mentions)} mentions; their "
        "ratios are relative to the bi-encoder on "
        f"the same mentions{_against_ours(figures)}. `compact`: vectors of 6 bits per dimension. `at`: with "
        "this number of names, all numbers in turn. accuracy@1 is measured on all these mentions. recall@10, "
        f"in concepts, and the accuracies after it are measured on {config.exhaustive} mentions, against "
        "q-nets that score all names (exhaustive). Tokens and tower alone take "
        f"{figures['tower/torch_fp32_p50_ms']:.2f} ms in float32 PyTorch, and "
        f"{figures['tower/p50_ms']:.2f} ms here.{_whole_linker(figures)}"
    )
    return latency_table(caption, figures, systems)


def _whole_linker(figures: Mapping[str, float]) -> str:
    return "".join(
        f" `{system}`, in a separate process: ready in {figures[f'{system}/ready_seconds']:.1f} s, "
        f"{figures[f'{system}/documents_per_second']:.0f} documents per second, peak memory "
        f"{figures[f'{system}/peak_memory_mb']:.0f} MB including mapped files{_with_context(characters)}."
        for system, (_, characters) in WHOLE.items()
        if f"{system}/documents_per_second" in figures
    )


def _with_context(characters: int) -> str:
    if not characters:
        return ""
    return f"; it reads {characters} characters on each side of a mention, for timing only"


def _against_ours(figures: Mapping[str, float]) -> str:
    factor = figures[f"{GRAPH_SEARCH}/against_ours"]
    return f" (the published search took {factor:.1f} times as long as ours with the same q-nets)"


def size_curves(figures: Mapping[str, float]) -> dict[str, list[tuple[float, float]]]:
    """Returns system -> [(number of names, p50 in milliseconds)], ascending.

    Systems that were timed at one number of names only are left out.
    """
    curves: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, value in figures.items():
        found = _AT.fullmatch(key.removesuffix("/total_p50_ms")) if key.endswith("/total_p50_ms") else None
        if found:
            curves[found[1]].append((float(found[2]), value))
    return {name: sorted(points) for name, points in curves.items()}
