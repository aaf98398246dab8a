"""Stage: compares all systems. Writes tables, flat figures, plots and the page report/index.html."""

import csv
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from el.base.cli import run_command
from el.base.files import atomic_file, atomic_folder, read_json, write_json
from el.base.params import load_section
from el.benchmark.config import BenchmarkConfig
from el.benchmark.page import latency_page, size_curves, systems_of
from el.evaluation.error_analysis import ErrorAnalysis, LinkingError
from el.evaluation.predictions import read_predictions
from el.evaluation.protocol import Protocol, named_protocol
from el.evaluation.run import load_split, split_queries
from el.linking.evidence import combination_name
from el.linking.folder import read_trained
from el.ontology.spellings import Spellings
from el.pipeline.common import LINKER, METRICS, Workspace
from el.pipeline.scoring import EvaluateConfig, all_systems
from el.report.page import Section, render_page
from el.report.plots import Measured, accuracy_plot, coverage_plot, latency_plot, size_plot
from el.report.tables import Comparison as SystemComparison
from el.report.tables import (
    Table,
    ablation_table,
    compare_systems,
    comparison_table,
    error_table,
    exhaustive_table,
    result_table,
)
from el.report.verdict import verdict

REPORT = Path("report")
PLOTS = Path("plots")
_BASELINE = "bi_encoder"
_CODE = ("etl", "src", "configs", "dvc.yaml")
_COMPARED_ROWS = ("all", "chemical", "disease", "unseen_form", "unseen_id")


class Comparison:
    """Reads the outputs of the earlier stages and turns them into tables and plots."""

    def __init__(self, space: Workspace) -> None:
        self.space = space
        self.systems = all_systems(space)
        config = load_section(EvaluateConfig, space.params, "evaluate")
        self.splits = config.splits
        self.protocols = [named_protocol(name) for name in config.protocols]
        self.latency: dict[str, float] = read_json(METRICS / "latency.json")
        self.winner: str = read_json(METRICS / "winner.json")["system"]
        self.figures: dict[str, dict[str, float]] = {
            split: {
                key: value
                for system in self.systems
                for key, value in read_json(space.evaluation(system) / f"{split}.json").items()
            }
            for split in self.splits
        }
        self.ablation = read_json(space.ablation / "dev.json")

    def result_tables(self, split: str) -> list[Table]:
        """Returns for each protocol the systems' figures and, if measured, the cost of the first stage."""
        tables = []
        for protocol in self.protocols:
            figures, retrieved = self.figures[split], self.space.params["evaluate"]["candidates"]
            caption = self._caption(split, protocol, figures, retrieved)
            tables.append(result_table(caption, figures, protocol, self.systems, self.latency, retrieved))
            caption = (
                "What the first stage costs in accuracy: a sample of surface forms, spread evenly, for which "
                "the q-net also ranks all names."
            )
            sampled = exhaustive_table(caption, figures, protocol, self.systems)
            tables += [sampled] if sampled else []
        return tables

    def _caption(self, split: str, protocol: Protocol, figures: Mapping[str, float], retrieved: int) -> str:
        count = int(figures[f"{protocol.name}/exact/all/count"])
        against = "all of the ontology" if protocol.candidates == "all" else "the ids of the split"
        data = self.space.params["data"]["name"]
        fitted_on = "this split" if split == "dev" else "dev"
        return (
            f"Protocol `{protocol.name}`, {data} {split}, {count:,} mentions against {against}. Only "
            "el_link_learned uses learned synonyms. There is no type filter, but the linker uses the "
            f"mention's type as evidence; its weights were fitted on {fitted_on}. Abbreviations that a "
            f"document defines are written out. Models retrieve {retrieved} names, with the stated recall; a "
            "Hypencoder ranks these by its q-net alone. NIL is the share of mentions without a concept that "
            "get no answer. ms is the p50 of one mention at a time; ratio is relative to the bi-encoder."
        )

    @cached_property
    def differences(self) -> dict[tuple[str, str], list[SystemComparison]]:
        """The differences of all systems from the bi-encoder, by split and protocol."""
        return {
            (split, protocol.name): self._differences(split, protocol)
            for split in self.splits
            for protocol in self.protocols
        }

    def _differences(self, split: str, protocol: Protocol) -> list[SystemComparison]:
        predictions = {
            system: read_predictions(self.space.evaluation(system) / f"{split}-{protocol.name}.jsonl.gz")
            for system in self.systems
        }
        return compare_systems(predictions, _BASELINE, protocol, _COMPARED_ROWS)

    def verdicts(self, split: str) -> list[str]:
        """Returns which Hypencoders differ from the bi-encoder on a split.

        There is a verdict by the first protocol of all mentions, and by that of each of several corpora.
        """
        first = {protocol.corpus: protocol for protocol in reversed(self.protocols)}
        return [self._verdict(split, one) for one in self.protocols if one is first[one.corpus]]

    def _verdict(self, split: str, protocol: Protocol) -> str:
        compared = [
            one
            for one in self.differences[split, protocol.name]
            if one.row == "all" and one.system in self.space.trained_systems
        ]
        return verdict(compared, f"{self.space.params['data']['name']} {split}, protocol {protocol.name}")

    def write_differences(self, split: str, out: Path) -> None:
        """Writes the differences of all systems from the bi-encoder: JSON per protocol, and one page."""
        pages = []
        for protocol in self.protocols:
            comparisons = self.differences[split, protocol.name]
            table = comparison_table(f"Protocol `{protocol.name}`, {split}", comparisons)
            pages.append(table.markdown())
            rows = [
                {"system": c.system, "baseline": c.baseline, "row": c.row, **asdict(c.difference)}
                for c in comparisons
            ]
            write_json(out / f"{split}-{protocol.name}-differences.json", rows)
        (out / f"{split}-differences.md").write_text("\n".join(pages), encoding="utf-8")

    def latency_page(self) -> Table:
        """Returns the table of milliseconds by step."""
        config = load_section(BenchmarkConfig, self.space.params, "benchmark")
        machine = read_json(METRICS / "latency_machine.json")
        return latency_page(self.latency, config, machine, systems_of(self.latency), "dev")

    def ablation_tables(self) -> list[Table]:
        """Returns the table of what each part of the linker contributes; none if dev was too small."""
        if not self.ablation:
            return []
        caption = (
            f"Accuracy@1 on dev, protocol `full`, of the linker of {self.winner} with a part left out or "
            "added. The weights are fitted for each row. Each mention is decided by weights that were fitted "
            "on other documents. Differences are by paired bootstrap over documents."
        )
        return [ablation_table(caption, self.ablation)]

    def _measured(self, split: str, row: str) -> list[Measured]:
        """Returns the systems' figures of protocol `full`, for plots."""
        found = []
        for system in self.systems:
            key, figures = f"full/{system}/{row}/accuracy@1", self.figures[split]
            if key in figures:
                ends = (figures[key], figures[f"{key}_lo"], figures[f"{key}_hi"])
                found.append(Measured(system, *ends, self.latency.get(f"{system}/total_p50_ms")))
        return found

    def plots(self) -> dict[str, str]:
        """Returns the plots as SVG, by name. Plots without figures are left out."""
        plots = {}
        for split in self.splits:
            for row, label in (("all", "all mentions"), ("unseen_form", "forms unseen in training")):
                if systems := self._measured(split, row):
                    plots[f"accuracy-{split}-{row}"] = accuracy_plot(systems, f"{split}: {label}")
        split = self.splits[-1]
        if systems := self._measured(split, "all"):
            plots["latency"] = latency_plot(systems, f"Accuracy on {split} against latency")
        if curves := size_curves(self.latency):
            plots["sizes"] = size_plot(curves, "Time against the number of names")
        plots["coverage"] = self._coverage()
        return {name: plot for name, plot in plots.items() if plot}

    def _coverage(self) -> str:
        """Returns a plot of the linker's precision and coverage, with and without learned synonyms; or ""."""
        parts = read_trained(LINKER)
        others = {group for group in parts.config.groups if group != "learned"}
        names = {
            "without learned synonyms": combination_name(others),
            "with them": combination_name({*others, "learned"}),
        }
        curves = {
            label: parts.combinations[name].curve
            for label, name in names.items()
            if name in parts.combinations and parts.combinations[name].curve
        }
        return coverage_plot(curves, "Held-out mentions of dev, also without a concept") if curves else ""

    @cached_property
    def errors(self) -> dict[str, list[LinkingError]]:
        """The errors on dev, protocol `full`, of the trained systems and the linker."""
        space = self.space
        protocol = next((protocol for protocol in self.protocols if protocol.name == "full"), None)
        if "dev" not in self.splits or protocol is None:
            return {}
        split = load_split(space.data / "corpus", "dev")
        queries = split_queries(split, protocol, space.inputs.context_characters)
        analysis = ErrorAnalysis(space.ontology, Spellings.of_ontology(space.ontology))
        return {
            system: analysis.errors(queries, read_predictions(space.evaluation(system) / "dev-full.jsonl.gz"))
            for system in ("el_link_learned", "el_link", *reversed(space.trained_systems))
        }


def error_page(comparison: Comparison) -> Table:
    """Returns the table of how many mentions of dev each system gets wrong, by kind of error."""
    caption = (
        "Number of mentions of dev with a wrong first answer, protocol `full`. The kinds of errors are "
        "guessed from the trees of MeSH and from spelling (`el.evaluation.error_analysis`)."
    )
    return error_table(caption, comparison.errors)


def page(comparison: Comparison, plots: Mapping[str, str]) -> str:
    """Returns the HTML report."""

    def drawn(beginning: str) -> list[str]:
        return [plot for name, plot in plots.items() if name.startswith(beginning)]

    space = comparison.space
    sections = [_summary(comparison)]
    for split in reversed(comparison.splits):
        tables = comparison.result_tables(split)
        sections.append(Section(f"Accuracy on {split}", (), drawn(f"accuracy-{split}"), tables))
    sections.append(
        Section("Latency", (), [*drawn("latency"), *drawn("sizes")], (comparison.latency_page(),))
    )
    sections.append(Section("The linker's parts", (), drawn("coverage"), comparison.ablation_tables()))
    title = f"Hypencoder entity linking: {space.label}"
    sections.append(Section("What is wrong", (), (), (error_page(comparison),)))
    return render_page(title, sections, comparison.errors, space.ontology)


def _summary(comparison: Comparison) -> Section:
    params, code = comparison.space.params, _code()
    machine = read_json(METRICS / "latency_machine.json")
    text = [
        *comparison.verdicts(comparison.splits[-1]),
        f"Chosen on dev: {comparison.winner}. Corpus {params['data']['name']}, encoder "
        f"{params['encoder']['name']}, {len(comparison.space.ontology):,} concepts with "
        f"{len(comparison.space.ontology.name_texts):,} names.",
        f"Alignment {params['align']['steps']} steps, fine-tuning {params['finetune']['steps']} steps, "
        f"{machine['threads']} threads, {machine['processor']}; commit {code['commit'] or 'unknown'}"
        f"{' with changes' if code['changed'] else ''}. All parameters: params.json.",
    ]
    return Section("What was run", text)


def main() -> None:
    comparison = Comparison(Workspace.here())
    with atomic_folder(REPORT) as out:
        for split in comparison.splits:
            write_json(out / f"{split}.json", comparison.figures[split])
            tables = "\n".join(table.markdown() for table in comparison.result_tables(split))
            head = [*comparison.verdicts(split), f"Chosen on dev: **{comparison.winner}**", tables]
            text = "\n\n".join(head)
            (out / f"{split}.md").write_text(text, encoding="utf-8")
            comparison.write_differences(split, out)
        (out / "latency.md").write_text(comparison.latency_page().markdown(), encoding="utf-8")
        for table in comparison.ablation_tables():
            (out / "ablation.md").write_text(table.markdown(), encoding="utf-8")
        write_json(out / "ablation.json", comparison.ablation)
        (out / "errors.md").write_text(error_page(comparison).markdown(), encoding="utf-8")
        # All parameters are kept, because the figures depend on them.
        write_json(out / "params.json", comparison.space.params)
        write_json(out / "code.json", _code())
        plots = comparison.plots()
        for name, plot in plots.items():
            (out / f"{name}.svg").write_text(plot, encoding="utf-8")
        (out / "index.html").write_text(page(comparison, plots), encoding="utf-8")
    _write_plots(comparison)


def _code() -> dict[str, str | bool]:
    """Returns the commit that is checked out, and whether tracked code differs from it."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        except OSError:
            # git is not installed: the commit is unknown.
            return ""
        return done.stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("diff", "HEAD", "--stat", "--", *_CODE))}


def _write_plots(comparison: Comparison) -> None:
    """Writes plots/comparison.csv: accuracy on dev, depth and latency of each trained system.

    The bi-encoder has depth 0.
    """
    rows = []
    for system in comparison.space.trained_systems:
        accuracy = read_json(comparison.space.summary(system)).get("dev.full.accuracy@1")
        if accuracy is not None:
            rows.append(
                {
                    "system": system,
                    "depth": int(system.rpartition("_")[2]) if system != _BASELINE else 0,
                    "accuracy": accuracy,
                    "milliseconds": comparison.latency[f"{system}/total_p50_ms"],
                }
            )
    with atomic_file(PLOTS / "comparison.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["system", "depth", "accuracy", "milliseconds"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_command(main, __doc__)
