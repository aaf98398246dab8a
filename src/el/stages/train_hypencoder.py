"""Stage: a pretrained Hypencoder of one q-net depth, fine-tuned on the corpus."""

import sys

from el.cli import run_stage
from el.models import Hypencoder
from el.stages.common import Workspace, depth_argument
from el.stages.train_bi_encoder import finetune


def main() -> None:
    depth = depth_argument("Fine-tune the Hypencoder of one q-net depth.")
    space = Workspace.here()
    model = Hypencoder.from_pretrained(space.models / f"pretrained/hypencoder_{depth}")
    # The anchor is the passage tower's own dot product, for which a given checkpoint was not trained.
    changes = {}
    if space.qnet.pretrained and space.params["finetune"]["distillation_weight"]:
        print("qnet.pretrained: fine-tuned without finetune.distillation_weight", file=sys.stderr)
        changes = {"distillation_weight": 0.0}
    finetune(space, model, f"hypencoder_{depth}", **changes)


if __name__ == "__main__":
    run_stage(main)
