"""Stage: makes a pretrained Hypencoder of one q-net depth.

With `qnet.pretrained` it is a released checkpoint. Otherwise it is a fresh head on the aligned tower. The
head starts as the dot product of that tower, or learns the dot product on names of the ontology
(`qnet.start`). Without this, a q-net learns from a few labels only: it fits the training mentions and
generalises badly.
"""

import math

import torch

from el.base.cli import run_command
from el.base.errors import ConfigError
from el.index.vectors import NameVectors
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.qnet import QNetConfig
from el.pipeline.common import Workspace, depth_argument
from el.pipeline.training import mined_pairs, train
from el.training.config import TEACHER_TEMPERATURE

# The number of names that stand for queries when a fresh head is initialised. More take more time.
_SHOWN_NAMES = 500


def fresh_hypencoder(space: Workspace, aligned: BiEncoder, depth: int, seed: int) -> Hypencoder:
    """Puts a fresh head of `depth` hidden layers on a copy of the aligned tower.

    The passage tower is the aligned tower. Its vectors have length 1. The q-nets multiply them by the square
    root of their width, so that each coordinate has variance 1.
    """
    section = space.qnet
    torch.manual_seed(seed)
    width = aligned.passage_tower.width
    qnet = QNetConfig(
        (*[width] * (depth + 1), 1),
        activation_type=section.activation_type,
        input_scale=round(math.sqrt(width), 6),
    )
    model = Hypencoder.from_tower(
        aligned.passage_tower, qnet, aligned.tokenizer, space.encoder.hub_name, shared_encoder=False
    )
    if section.start == "dot_product":
        names = space.ontology.name_texts
        model.initialise_as_dot_product(1 / TEACHER_TEMPERATURE, names[:: max(1, len(names) // _SHOWN_NAMES)])
    return model


def given_hypencoder(location: str, depth: int) -> Hypencoder:
    """Loads the checkpoint of a depth.

    Args:
        location: a folder or hub name that contains "{depth}".
        depth: the number of hidden layers of the q-nets.

    Raises:
        ConfigError: the checkpoint has another depth.
    """
    name = location.format(depth=depth)
    model = Hypencoder.from_pretrained(name)
    if model.spec.qnet.depth != depth:
        raise ConfigError(
            f"qnet.pretrained: {name} has q-nets of {model.spec.qnet.depth} hidden layers, not of {depth}. "
            'Put "{depth}" into the name, or set qnet.depths to the depths that are released'
        )
    return model


def main() -> None:
    depth = depth_argument("Pretrain the Hypencoder of one q-net depth.")
    space = Workspace.here()
    name = f"pretrained/hypencoder_{depth}"
    files = mined_pairs(space, with_mentions=False)
    if space.qnet.pretrained:
        train(space, given_hypencoder(space.qnet.pretrained, depth), "pretrain", files, name, None, steps=0)
        return
    aligned = BiEncoder.from_pretrained(space.models / "aligned")
    model = fresh_hypencoder(space, aligned, depth, space.params["pretrain"]["seed"])
    vectors = NameVectors.open(space.aligned_vectors, space.ontology)
    train(space, model, "pretrain", files, name, vectors)


if __name__ == "__main__":
    run_command(main)
