"""Stage: aligns the encoder with the synonyms of the ontology.

This is the recipe of SapBERT (Liu et al. 2021) in a simple form. Training moves the vectors of a concept's
names together and those of other concepts apart, with in-batch negatives. If `mentions_per_batch` is not 0,
training mentions are moved to the preferred names of their concepts in the same way. Further rounds do the
same with batches of pairs that the tower of the round before confuses most. If `finetune.passages` is frozen,
the tower of the names gets no other training. An encoder that is already aligned, such as SapBERT itself, is
saved unchanged.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from el.base.cli import run_command
from el.base.errors import ConfigError
from el.base.files import sha256_file
from el.base.params import load_section
from el.models.biencoder import BiEncoder
from el.models.loading import load_model
from el.pipeline.common import RUNS, Workspace
from el.pipeline.training import train
from el.training.config import run_key
from el.training.recipes import PairFiles, Recipe, run_recipe


@dataclass(frozen=True)
class HardRounds:
    """The rounds of alignment after the first.

    Attributes:
        rounds: their number. Each takes as many steps as the first.
        neighbours: how many of the nearest pairs of names follow a pair into its batch.
    """

    rounds: int
    neighbours: int

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.neighbours < 1:
            raise ConfigError(
                f"rounds is {self.rounds} and neighbours {self.neighbours}; they must be at least 0 and 1"
            )


def main() -> None:
    space = Workspace.here()
    model = BiEncoder.from_encoder(space.encoder)
    pairs = space.data / "pairs"
    files = PairFiles(dev=pairs / "dev.jsonl", mentions=pairs / "train.jsonl", names=pairs / "names.jsonl")
    hard = load_section(HardRounds, space.params, "align_hard")
    changes: dict[str, Any] = {"steps": 0} if space.encoder.aligned else {}
    done: list[Path] = []
    if hard.rounds and not space.encoder.aligned:
        recipe = load_section(Recipe, space.params, "align")
        for number in range(hard.rounds):
            model, folder = _aligned(space, model, recipe, files, hard.neighbours if number else 0)
            done.append(folder)
    train(space, model, "align", files, "aligned", None, neighbours=hard.neighbours if done else 0, **changes)
    for folder in done:
        shutil.rmtree(folder)


def _aligned(
    space: Workspace, model: BiEncoder, recipe: Recipe, files: PairFiles, neighbours: int
) -> tuple[BiEncoder, Path]:
    """Runs a round before the last. Returns its model, and the folder that keeps it if the stage stops."""
    inputs = {path.name: sha256_file(path) for path in (files.dev, files.mentions, files.names) if path}
    inputs |= {"start": model.fingerprint(), "model": model.settings(), "neighbours": str(neighbours)}
    folder = RUNS / f"aligned-{run_key(recipe, inputs)}"
    if not folder.is_dir():
        run_recipe(model, recipe, files, space.ontology, None, RUNS, None, folder, neighbours=neighbours)
    aligned = load_model(folder)
    assert isinstance(aligned, BiEncoder)
    return aligned, folder


if __name__ == "__main__":
    run_command(main, __doc__)
