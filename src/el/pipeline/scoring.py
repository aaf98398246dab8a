"""What the stages that score systems share: the parameters, and the outputs of a system."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from el.base.errors import ConfigError
from el.base.files import read_json, write_json
from el.base.params import load_section
from el.evaluation.predictions import write_predictions
from el.evaluation.protocol import Protocol, named_protocol
from el.evaluation.run import Split, evaluate, load_split
from el.linking.ranking import Ranker
from el.pipeline.common import Workspace

# Systems without a model.
LEXICAL = ("lookup", "exact", "lookup_exact", "tfidf")
# Models before fine-tuning.
UNTUNED = ("encoder", "aligned")
LINKERS = ("el_link", "el_link_learned")

# Makes the ranker of a system for a split and the ids that may be ranked; None allows all ids.
Make = Callable[[str, set[str] | None], Ranker]


@dataclass(frozen=True)
class EvaluateConfig:
    """What is scored.

    Attributes:
        splits: dev, test or both; choices are made on dev alone.
        protocols: names of protocols that ship with the package, such as "full".
        candidates: number of names that a model's first stage retrieves per mention.
        exhaustive: number of distinct surface forms of each split, spread evenly, for which the q-nets also
            rank all names. They show what the first stage costs in accuracy; 0 measures nothing.
    """

    splits: tuple[str, ...]
    protocols: tuple[str, ...]
    candidates: int
    exhaustive: int

    def __post_init__(self) -> None:
        if not self.splits or not set(self.splits) <= {"dev", "test"}:
            raise ConfigError(f"splits is {list(self.splits)}; some of dev and test are needed")
        if self.candidates < 1 or self.exhaustive < 0:
            raise ConfigError(
                f"candidates is {self.candidates}; it must be 1 or more. exhaustive is {self.exhaustive}; it "
                "must be 0 or more"
            )


def all_systems(space: Workspace) -> list[str]:
    """Returns the systems of the comparison, in the order of the table."""
    return [*LEXICAL, *UNTUNED, *space.trained_systems, *LINKERS]


class Scoring:
    """Scores systems on every split and protocol of the parameters. Each split is read once."""

    def __init__(self, space: Workspace) -> None:
        self.space = space
        self.config = load_section(EvaluateConfig, space.params, "evaluate")
        self.splits = {name: load_split(space.data / "corpus", name) for name in self.config.splits}
        self.protocols = [named_protocol(name) for name in self.config.protocols]
        # Checked here, so that an error appears before anything is scored.
        for split in self.splits.values():
            for protocol in self.protocols:
                split.scored(protocol)

    def write(
        self,
        out: Path,
        system: str,
        make: Make,
        retrieved: int | None = None,
        more: Callable[[Split, Protocol], Mapping[str, float]] = lambda *_: {},
    ) -> None:
        """Writes the figures and predictions of a system.

        Args:
            out: the folder.
            system: the name of the system.
            make: makes the system.
            retrieved: how many names its first stage retrieves; None for a system without a first stage.
            more: measures further figures.
        """
        context = self.space.inputs.context_characters
        for name, split in self.splits.items():
            metrics: dict[str, float] = {}
            for protocol in self.protocols:
                ranker = functools.partial(make, name)
                figures, predictions = evaluate(system, ranker, split, protocol, context, retrieved)
                metrics |= figures
                metrics |= more(split, protocol)
                write_predictions(out / f"{name}-{protocol.name}.jsonl.gz", predictions)
            write_json(out / f"{name}.json", metrics)

    def write_summary(self, system: str) -> None:
        """Writes the few figures that `dvc metrics` shows, from all figures of a system."""
        summary: dict[str, float] = {}
        for split in self.splits:
            figures = read_json(self.space.evaluation(system) / f"{split}.json")
            for protocol in self.protocols:
                row = f"{protocol.name}/{system}/all"
                names = [name for name in ("accuracy@1", "mrr") if f"{row}/{name}" in figures]
                summary |= {f"{split}.{protocol.name}.{name}": figures[f"{row}/{name}"] for name in names}
        write_json(self.space.summary(system), summary)
