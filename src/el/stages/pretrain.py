"""Stage: a pretrained Hypencoder of one q-net depth.

A released checkpoint where one is configured (`qnet.pretrained`). Otherwise a fresh head on the aligned
tower, which starts as that tower's dot product (`qnet.start`) and is held to it on names of the ontology:
a q-net that has learned from few labels alone fits what it has seen and generalises badly.
"""

import math

import torch

from el.cli import run_stage
from el.index.vectors import NameVectors
from el.models import BiEncoder, Hypencoder, QNetConfig
from el.stages.common import QNetSection, Workspace, depth_argument
from el.training.recipes import PairFiles
from el.training.trainer import TEACHER_TEMPERATURE


def fresh_hypencoder(
    aligned: BiEncoder, model_name: str, depth: int, section: QNetSection, seed: int
) -> Hypencoder:
    """Puts a fresh head of `depth` hidden layers on a copy of the aligned tower.

    The passage tower stays the aligned one. Its vectors have length 1; q-nets take them times the
    square root of their width, which gives each coordinate a variance of 1.
    """
    torch.manual_seed(seed)
    width = aligned.passage_tower.width
    qnet = QNetConfig(
        (*[width] * (depth + 1), 1),
        activation_type=section.activation_type,
        input_scale=round(math.sqrt(width), 6),
    )
    model = Hypencoder.from_tower(
        aligned.passage_tower, qnet, aligned.tokenizer, model_name, shared_encoder=False
    )
    if section.start == "dot_product":
        model.head.initialise_as_dot_product(1 / TEACHER_TEMPERATURE)
    return model


def main() -> None:
    depth = depth_argument("Pretrain the Hypencoder of one q-net depth.")
    space = Workspace.here()
    name = f"pretrained/hypencoder_{depth}"
    qnet = space.qnet
    if qnet.pretrained:
        space.pass_through(Hypencoder.from_pretrained(qnet.pretrained.format(depth=depth)), name)
        return
    aligned = BiEncoder.from_pretrained(space.models / "aligned")
    model = fresh_hypencoder(aligned, space.encoder.hub_name, depth, qnet, space.params["pretrain"]["seed"])
    mined = space.models / "mined"
    files = PairFiles(dev=mined / "dev.jsonl", names=mined / "names.jsonl")
    vectors = NameVectors.open(space.aligned_vectors, space.ontology())
    space.train(model, "pretrain", files, name, vectors)


if __name__ == "__main__":
    run_stage(main)
