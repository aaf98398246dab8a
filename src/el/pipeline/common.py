"""What the stages share: their folders, and the parameters that several of them read.

PyTorch is imported by the functions that need it, because stages without a model start in half the time.
"""

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from el.base.errors import ConfigError
from el.base.params import load_params, load_section
from el.index.vectors import NameVectors
from el.models.inputs import InputVariant, name_inputs, tokens_for
from el.ontology.ontology import Ontology

if TYPE_CHECKING:
    from el.models.base import RetrievalModel
    from el.models.tower import EncoderSource

# Checkpoints and unfinished artefacts. They are outside the outputs of stages, because DVC deletes outputs
# before a stage runs.
RUNS = Path("runs")
METRICS = Path("metrics")
LINKER = Path("models") / "linker"


SECTIONS = (
    "align",
    "align_hard",
    "benchmark",
    "data",
    "encoder",
    "evaluate",
    "finetune",
    "finetune_bi_encoder",
    "inputs",
    "link",
    "mining",
    "pairs",
    "pretrain",
    "qnet",
    "tagger",
)


@dataclass(frozen=True)
class QNetSection:
    """The q-nets that are compared.

    Attributes:
        depths: numbers of hidden layers; one system is trained for each.
        activation_type: the activation of the hidden layers.
        start: the initialisation of a fresh head: "dot_product" (this project's) or "published".
        pretrained: a checkpoint in the released layout to start from, with "{depth}" in its name; None to
            train a fresh head.
    """

    depths: tuple[int, ...]
    activation_type: str
    start: Literal["dot_product", "published"]
    pretrained: str | None

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1 or len(set(self.depths)) != len(self.depths):
            raise ConfigError(f"depths is {list(self.depths)}; distinct numbers of 1 or more are needed")


@dataclass(frozen=True)
class Workspace:
    """The parameters and the folders of one run of the pipeline."""

    params: dict[str, Any]

    @classmethod
    def here(cls) -> "Workspace":
        """Reads params.yaml. Raises ConfigError if it has a section that no stage knows."""
        params = load_params()
        unknown = sorted(set(params) - set(SECTIONS))
        if unknown:
            raise ConfigError(
                f"params.yaml: section {unknown[0]} is unknown; known are {', '.join(SECTIONS)}"
            )
        return cls(params)

    @property
    def data(self) -> Path:
        return Path(self.params["data"]["folder"])

    @property
    def label(self) -> str:
        """The name of this run's folders: corpus and encoder."""
        return f"{self.params['data']['name']}-{self.params['encoder']['name']}"

    @property
    def models(self) -> Path:
        return Path("models") / self.label

    @property
    def encoder(self) -> "EncoderSource":
        from el.models.tower import EncoderSource

        return load_section(EncoderSource, self.params, "encoder")

    @property
    def qnet(self) -> QNetSection:
        return load_section(QNetSection, self.params, "qnet")

    @property
    def trained_systems(self) -> list[str]:
        """The systems that are fine-tuned and compared. The cheapest to run comes first."""
        return ["bi_encoder", *(f"hypencoder_{depth}" for depth in self.qnet.depths)]

    @property
    def inputs(self) -> InputVariant:
        """What the towers read. Raises ConfigError if the context does not fit into the tower's input."""
        inputs = load_section(InputVariant, self.params, "inputs")
        needed = tokens_for(inputs.context_characters)
        if inputs.context_characters and self.encoder.max_tokens < needed:
            raise ConfigError(
                f"inputs.context_characters is {inputs.context_characters}, but encoder.max_tokens "
                f"{self.encoder.max_tokens} cuts such inputs short; set it to {needed} or more"
            )
        return inputs

    def finetuned(self, system: str) -> Path:
        """Returns the folder of a trained system's model."""
        return self.models / "finetuned" / system

    def group(self, system: str) -> str:
        """Returns the group of a system. Outputs are grouped, so that a stage can depend on one group."""
        if system in self.trained_systems:
            return "finetuned"
        return "linker" if system.startswith("el_link") else "reference"

    def evaluation(self, system: str) -> Path:
        """Returns the folder of a system's figures and predictions."""
        return Path("evaluation") / self.label / self.group(system) / system

    def summary(self, system: str) -> Path:
        """Returns the file with the few figures of a system that `dvc metrics` shows."""
        return METRICS / self.group(system) / f"{system}.json"

    @property
    def ablation(self) -> Path:
        """The folder of the figures of the ablation."""
        return Path("evaluation") / self.label / "ablation"

    @property
    def aligned_vectors(self) -> Path:
        return self.models / "vectors"

    @cached_property
    def ontology(self) -> Ontology:
        return Ontology.load(self.data / "ontology")

    def vectors(self, model: "RetrievalModel") -> NameVectors:
        """Opens the names' vectors of a model. Vectors of a trained passage tower are built once and kept."""
        from el.index.build import cached_name_vectors

        ontology = self.ontology
        aligned = NameVectors.open(self.aligned_vectors, ontology)
        if aligned.manifest["model"] == model.passage_tower.fingerprint():
            return aligned
        texts = name_inputs(ontology, self.inputs.definition_characters)
        return cached_name_vectors(model, ontology, texts, RUNS / "vectors")


def depth_argument(description: str) -> int:
    """Parses the argument of a stage that runs once per q-net depth. Returns the depth."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--depth", type=int, required=True, help="number of hidden layers, such as 2")
    depth: int = parser.parse_args().depth
    return depth
