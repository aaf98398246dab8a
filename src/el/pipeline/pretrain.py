"""Makes the Hypencoder of one q-net depth that fine-tuning starts from.

With `qnet.pretrained` it is a released checkpoint. Otherwise it is a fresh head on the aligned tower. The
head starts as the dot product of that tower, or learns the dot product on names of the ontology
(`qnet.start`). Without this, a q-net learns from a few labels only: it fits the training mentions and
generalises badly.
"""

import math
import shutil
from pathlib import Path

import torch

from el.base.errors import ConfigError
from el.base.files import sha256_file
from el.base.params import load_section
from el.index.vectors import NameVectors
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.qnet import QNetConfig
from el.pipeline.common import RUNS, Workspace
from el.pipeline.training import mined_pairs
from el.training.config import TEACHER_TEMPERATURE, run_key
from el.training.recipes import Recipe, run_recipe

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


class Pretraining:
    """Makes the Hypencoder that fine-tuning starts from.

    A fresh head is trained by the section `pretrain`, if that has steps. The trained model is kept in `runs/`
    until `finish` is called, so that a run that is interrupted later does not train it again.

    Args:
        space: the workspace.
        depth: the number of hidden layers of the q-nets.
    """

    def __init__(self, space: Workspace, depth: int) -> None:
        self.space = space
        self.depth = depth
        self._kept: Path | None = None

    def model(self) -> Hypencoder:
        """Returns the model."""
        space = self.space
        if space.qnet.pretrained:
            return given_hypencoder(space.qnet.pretrained, self.depth)
        recipe = load_section(Recipe, space.params, "pretrain")
        aligned = BiEncoder.from_pretrained(space.models / "aligned")
        fresh = fresh_hypencoder(space, aligned, self.depth, recipe.seed)
        return self._trained(fresh, recipe) if recipe.steps else fresh

    def _trained(self, fresh: Hypencoder, recipe: Recipe) -> Hypencoder:
        files = mined_pairs(self.space, with_mentions=False)
        inputs = {path.name: sha256_file(path) for path in (files.dev, files.names) if path}
        inputs |= {"start": fresh.fingerprint(), "ontology": self.space.ontology.fingerprint}
        self._kept = RUNS / f"pretrained-{run_key(recipe, inputs)}"
        model = self._kept / "model"
        if not model.is_dir():
            vectors = NameVectors.open(self.space.aligned_vectors, self.space.ontology)
            curves = self._kept / "curves"
            run_recipe(fresh, recipe, files, self.space.ontology, vectors, RUNS, curves, model)
        # Loaded again, because training froze parameters and switched off dropout.
        return Hypencoder.from_pretrained(model)

    def finish(self, curves: Path) -> None:
        """Moves the curves of the training to a folder, if there was one, and deletes what is in `runs/`."""
        if self._kept is not None:
            shutil.copytree(self._kept / "curves", curves, dirs_exist_ok=True)
            shutil.rmtree(self._kept)
