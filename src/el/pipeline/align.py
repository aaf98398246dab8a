"""Stage: alignment of the encoder with the ontology's own synonyms.

SapBERT's recipe (Liu et al. 2021) in its plain form: names of one concept are drawn together, names of
others apart, with in-batch negatives. With `mentions_per_batch` the training mentions are drawn to the
preferred names of their concepts in the same way; where `finetune.passages` is frozen, this is the only
training that the tower of the names gets. An encoder that is aligned already, such as SapBERT itself, is
passed through.
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
