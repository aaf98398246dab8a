"""Stage: fine-tunes a pretrained Hypencoder of one q-net depth on the corpus."""

from el.base.cli import run_command
from el.models.hypencoder import Hypencoder
from el.pipeline.common import Workspace, depth_argument
from el.pipeline.training import finetune


def main() -> None:
    depth = depth_argument("Fine-tune the Hypencoder of one q-net depth.")
    space = Workspace.here()
    model = Hypencoder.from_pretrained(space.models / f"pretrained/hypencoder_{depth}")
    finetune(space, model, f"hypencoder_{depth}")


if __name__ == "__main__":
    run_command(main)
