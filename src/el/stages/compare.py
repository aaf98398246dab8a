"""Stage: all systems side by side, as a table, as flat figures and as files for plots."""

import csv
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from el.cli import run_stage
from el.evaluation.protocol import Protocol
from el.evaluation.rankings import read_predictions
from el.evaluation.report import (
    compare_systems,
    comparison_table,
    exhaustive_table,
    latency_table,
    result_table,
)
from el.files import atomic_file, atomic_folder, read_json, write_json
from el.stages.common import METRICS, Workspace
from el.stages.evaluate import LEXICAL, protocols

REPORT = Path("report")
PLOTS = Path("plots")
_BASELINE = "bi_encoder"
_CODE = ("etl", "src", "configs", "dvc.yaml")
_COMPARED_ROWS = ("all", "chemical", "disease", "unseen_form", "unseen_id")


def all_systems(space: Workspace) -> list[str]:
    """Every system of the comparison, in the order of the table."""
    encoders = ["encoder", "aligned", *space.trained_systems]
    return [*LEXICAL, *encoders, "el_link", "el_link_learned"]


def main() -> None:
    space = Workspace.here()
    systems = all_systems(space)
    latency = read_json(METRICS / "latency.json")
    winner = read_json(METRICS / "winner.json")["system"]
    with atomic_folder(REPORT) as out:
        for split in space.params["evaluate"]["splits"]:
            figures: dict[str, float] = {}
            for system in systems:
                figures |= read_json(space.evaluation(system) / f"{split}.json")
            write_json(out / f"{split}.json", figures)
            pages = [
                _page(space, split, protocol, systems, figures, latency) for protocol in protocols(space)
            ]
            text = f"Chosen on dev: **{winner}**\n\n" + "\n".join(pages)
            (out / f"{split}.md").write_text(text, encoding="utf-8")
            _write_differences(space, split, systems, out)
        (out / "latency.md").write_text(_latency_page(space, latency), encoding="utf-8")
        # All of them: what the figures rest on.
        write_json(out / "params.json", space.params)
        write_json(out / "code.json", _code())
    _write_plots(space, latency)


def _code() -> dict[str, str | bool]:
    """The commit that is checked out, and whether tracked code differs from it."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        except OSError:
            # Without git, or outside a repository, nothing is known.
            return ""
        return done.stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("diff", "HEAD", "--stat", "--", *_CODE))}


def _page(
    space: Workspace,
    split: str,
    protocol: Protocol,
    systems: Sequence[str],
    figures: Mapping[str, float],
    latency: Mapping[str, float],
) -> str:
    count = int(figures[f"{protocol.name}/exact/all/count"])
    against = "all of the ontology" if protocol.candidates == "all" else "the ids of the split"
    index = space.params["benchmark"]["index"]
    data, retrieved = space.params["data"]["name"], space.params["evaluate"]["candidates"]
    fitted_on = "this split" if split == "dev" else "dev"
    caption = (
        f"Protocol `{protocol.name}`, {data} {split}, {count:,} mentions against {against}. No learned "
        "synonyms (but for el_link_learned), no type filter (but the linker counts whether a concept is of "
        f"the mention's type; its weights were fitted on {fitted_on}), abbreviations that a document defines "
        f"written out. Models retrieve {retrieved} names, with the recall stated; a Hypencoder ranks these "
        "by its q-net alone. NIL: the share of mentions without a concept that get no answer. ms: p50 of "
        f"one mention at a time with a FAISS {index} index; ratio: to the bi-encoder.\n\n"
    )
    table = result_table(figures, protocol, systems, latency, retrieved)
    exhaustive = exhaustive_table(figures, protocol, systems)
    if not exhaustive:
        return caption + table
    sample = (
        "What the first stage costs: surface forms, spread evenly, ranked over all names by the q-net.\n\n"
    )
    return f"{caption}{table}\n{sample}{exhaustive}"


def _latency_page(space: Workspace, latency: Mapping[str, float]) -> str:
    machine = read_json(METRICS / "latency_machine.json")
    benchmark = space.params["benchmark"]
    caption = (
        f"Milliseconds a mention, one at a time, {benchmark['mentions']} distinct mentions of dev, "
        f"{benchmark['candidates']} names retrieved from a FAISS {benchmark['index']} index; then batches of "
        f"{benchmark['batch']}. One process, {machine['threads']} threads, {machine['processor']}; "
        f"its peak memory {latency['peak_memory_mb']:.0f} MB. A Hypencoder's encoding includes generating "
        "the q-net; a bi-encoder's search has scored its names already.\n\n"
    )
    return caption + latency_table(latency, space.trained_systems)


def _write_differences(space: Workspace, split: str, systems: Sequence[str], out: Path) -> None:
    pages = []
    for protocol in protocols(space):
        predictions = {
            system: read_predictions(space.evaluation(system) / f"{split}-{protocol.name}.jsonl.gz")
            for system in systems
        }
        comparisons = compare_systems(predictions, _BASELINE, protocol, _COMPARED_ROWS)
        pages.append(f"Protocol `{protocol.name}`, {split}\n\n" + comparison_table(comparisons))
        rows = [
            {"system": c.system, "baseline": c.baseline, "row": c.row, **asdict(c.difference)}
            for c in comparisons
        ]
        write_json(out / f"{split}-{protocol.name}-differences.json", rows)
    (out / f"{split}-differences.md").write_text("\n".join(pages), encoding="utf-8")


def _write_plots(space: Workspace, latency: Mapping[str, float]) -> None:
    """Writes accuracy on dev by depth and by latency; a bi-encoder has depth 0."""
    rows = []
    for system in space.trained_systems:
        accuracy = read_json(METRICS / f"{system}.json").get("dev.full.accuracy@1")
        if accuracy is not None:
            rows.append(
                {
                    "system": system,
                    "depth": int(system.rpartition("_")[2]) if system != _BASELINE else 0,
                    "accuracy": accuracy,
                    "milliseconds": latency[f"{system}/total_p50_ms"],
                }
            )
    with atomic_file(PLOTS / "comparison.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["system", "depth", "accuracy", "milliseconds"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_stage(main, __doc__)
