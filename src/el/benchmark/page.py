"""A benchmark's figures as a table, and as curves for a plot."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from el.benchmark.run import FLAT, GRAPH_SEARCH, BenchmarkConfig
from el.linking.mentions import FindMentions
from el.report.tables import Table, latency_table

# The whole linker: whether it finds mentions, and the characters that it reads on each side of one.
WHOLE: dict[str, tuple[FindMentions, int]] = {
    "el_link": ("never", 0),
    "el_link_finding": ("always", 0),
    "el_link_context": ("never", 64),
    "el_link_context_finding": ("always", 64),
}
_AT = re.compile(r"(.+)_at_(\d+)")


def systems_of(figures: Mapping[str, float]) -> list[str]:
    """The systems that were timed, in the order in which they were."""
    names = (name.rpartition("/")[0] for name in figures)
    return [name for name in dict.fromkeys(names) if name not in ("", "tower")]


def latency_page(
    figures: Mapping[str, float], config: BenchmarkConfig, machine: Mapping[str, Any], systems: Sequence[str]
) -> Table:
    """Milliseconds by step, and what was measured beside them.

    Args:
        figures: what `Benchmark.run` returned.
        config: what was timed.
        machine: as `describe_machine` says.
        systems: in the order of the lines.
    """
    caption = (
        f"Milliseconds a mention, one at a time, {config.mentions} distinct mentions of dev, all systems in "
        f"turn; {config.candidates} names retrieved by the graph and scored by a q-net; then batches of "
        f"{config.batch}. "
        f"One process, {machine['threads']} threads, {machine['processor']}; its peak memory "
        f"{figures['peak_memory_mb']:.0f} MB. A q-net is generated while names are searched for; generate: "
        "what is left of that then. A bi-encoder's search has scored its names already. "
        f"`{FLAT}` compares with every name, on one thread; "
        f"`{GRAPH_SEARCH}` is the published search of the shallowest q-nets, in PyTorch, on a graph of 32 "
        "neighbours a name; both on 20 mentions, their ratios to the bi-encoder on the same"
        f"{_against_ours(figures)}. `compact`: vectors of 6 bits a dimension. `at`: with so many names, all "
        "numbers in turn. accuracy@1: of all these "
        f"mentions. recall@10, of concepts, and the accuracies after it: of {config.exhaustive} mentions, "
        "against q-nets over all names (exhaustive). Tokens and tower alone: "
        f"{figures['tower/torch_fp32_p50_ms']:.2f} ms in PyTorch and float32, here "
        f"{figures['tower/p50_ms']:.2f} ms.{_whole_linker(figures)}"
    )
    return latency_table(caption, figures, systems)


def _whole_linker(figures: Mapping[str, float]) -> str:
    return "".join(
        f" `{system}`, in a process of its own: ready in {figures[f'{system}/ready_seconds']:.1f} s, "
        f"{figures[f'{system}/documents_per_second']:.0f} documents a second, peak memory "
        f"{figures[f'{system}/peak_memory_mb']:.0f} MB, mapped files among it{_with_context(characters)}."
        for system, (_, characters) in WHOLE.items()
        if f"{system}/documents_per_second" in figures
    )


def _with_context(characters: int) -> str:
    if not characters:
        return ""
    return f"; the same made to read {characters} characters on each side of a mention, to be timed only"


def _against_ours(figures: Mapping[str, float]) -> str:
    factor = figures[f"{GRAPH_SEARCH}/against_ours"]
    return f" (the published search took {factor:.1f} times what ours took for the same q-nets)"


def size_curves(figures: Mapping[str, float]) -> dict[str, list[tuple[float, float]]]:
    """(number of names, p50 in milliseconds) of each system that was timed at several, ascending."""
    curves: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, value in figures.items():
        found = _AT.fullmatch(key.removesuffix("/total_p50_ms")) if key.endswith("/total_p50_ms") else None
        if found:
            curves[found[1]].append((float(found[2]), value))
    return {name: sorted(points) for name, points in curves.items()}
