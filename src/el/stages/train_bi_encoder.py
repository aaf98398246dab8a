"""Stage: the aligned bi-encoder, fine-tuned on the corpus by the recipe that the Hypencoders get too."""

import copy

from el.cli import run_stage
from el.index.vectors import NameVectors
from el.models import BiEncoder, RetrievalModel
from el.stages.common import Workspace
from el.training.recipes import PairFiles


def finetune(space: Workspace, model: RetrievalModel, name: str) -> None:
    """Fine-tunes a model of either kind: same pairs, same batches, same steps, same selection."""
    mined = space.models / "mined"
    files = PairFiles(dev=mined / "dev.jsonl", mentions=mined / "train.jsonl", names=mined / "names.jsonl")
    vectors = NameVectors.open(space.aligned_vectors, space.ontology())
    space.train(model, "finetune", files, f"finetuned/{name}", vectors)


def with_frozen_names(aligned: BiEncoder) -> BiEncoder:
    """Gives a bi-encoder of one tower a second one, so that only queries need be trained."""
    return BiEncoder(aligned.query_tower, copy.deepcopy(aligned.query_tower), aligned.tokenizer)


def main() -> None:
    space = Workspace.here()
    aligned = BiEncoder.from_pretrained(space.models / "aligned")
    frozen = space.params["finetune"]["passages"] == "frozen"
    finetune(space, with_frozen_names(aligned) if frozen else aligned, "bi_encoder")


if __name__ == "__main__":
    run_stage(main)
