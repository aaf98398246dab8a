"""Stage: fine-tunes the aligned bi-encoder on the corpus, by the same recipe as the Hypencoders."""

from el.base.cli import run_command
from el.models.biencoder import BiEncoder
from el.pipeline.common import Workspace
from el.pipeline.training import finetune


def main() -> None:
    space = Workspace.here()
    finetune(space, BiEncoder.from_pretrained(space.models / "aligned"), "bi_encoder")


if __name__ == "__main__":
    run_command(main, __doc__)
