"""Stage: aligns the encoder with the synonyms of the ontology.

This is the recipe of SapBERT (Liu et al. 2021) in a simple form. Training moves the vectors of a concept's
names together and those of other concepts apart, with in-batch negatives. If `mentions_per_batch` is not 0,
training mentions are moved to the preferred names of their concepts in the same way. If `finetune.passages`
is frozen, the tower of the names gets no other training. An encoder that is already aligned, such as SapBERT
itself, is saved unchanged.
"""

from typing import Any

from el.base.cli import run_command
from el.models.biencoder import BiEncoder
from el.pipeline.common import Workspace
from el.pipeline.training import train
from el.training.recipes import PairFiles


def main() -> None:
    space = Workspace.here()
    model = BiEncoder.from_encoder(space.encoder)
    pairs = space.data / "pairs"
    files = PairFiles(dev=pairs / "dev.jsonl", mentions=pairs / "train.jsonl", names=pairs / "names.jsonl")
    changes: dict[str, Any] = {"steps": 0} if space.encoder.aligned else {}
    train(space, model, "align", files, "aligned", None, **changes)


if __name__ == "__main__":
    run_command(main, __doc__)
