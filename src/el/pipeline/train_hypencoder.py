"""Stage: makes the Hypencoder of one q-net depth, and fine-tunes it on the corpus."""

from el.base.cli import run_command
from el.pipeline.common import Workspace, depth_argument
from el.pipeline.pretrain import Pretraining
from el.pipeline.training import CURVES, finetune


def main() -> None:
    depth = depth_argument("Fine-tune the Hypencoder of one q-net depth.")
    space = Workspace.here()
    name = f"finetuned/hypencoder_{depth}"
    pretraining = Pretraining(space, depth)
    finetune(space, pretraining.model(), f"hypencoder_{depth}")
    pretraining.finish(CURVES / name / "pretraining")


if __name__ == "__main__":
    run_command(main)
