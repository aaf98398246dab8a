"""Stage: the aligned bi-encoder, fine-tuned on the corpus by the recipe that the Hypencoders get too."""

from el.base.cli import run_command
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.pipeline.common import Workspace
from el.pipeline.training import mined_pairs, train


def finetune(space: Workspace, model: RetrievalModel, name: str) -> None:
    """Fine-tunes a model of either kind: same pairs, same batches, same steps, same selection.

    Args:
        space: the workspace.
        model: trained in place; where names are frozen, passages get a tower of their own.
        name: what it is called.
    """
    vectors = None
    if space.params["finetune"]["passages"] == "frozen":
        model.split_towers()
        vectors = space.vectors(model)
    files = mined_pairs(space, with_mentions=True)
    train(space, model, "finetune", files, f"finetuned/{name}", vectors, straightened=True)


def main() -> None:
    space = Workspace.here()
    finetune(space, BiEncoder.from_pretrained(space.models / "aligned"), "bi_encoder")


if __name__ == "__main__":
    run_command(main, __doc__)
