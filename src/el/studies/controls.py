"""Controls of the studies: how much of a Hypencoder's gain comes from generating a network per query?

`FixedScorer` scores with one network for all queries. `fix_hidden_layers` makes a Hypencoder generate the
output layer only.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from el.base.errors import InputError
from el.base.files import atomic_folder, read_json, write_json
from el.models.base import RetrievalModel
from el.models.checkpoint import assign_tensors, load_tensors, save_tensors
from el.models.hypencoder import Hypencoder
from el.models.sentences import load_towers, save_towers
from el.models.tower import Tower

_TOWERS_FOLDER = "towers"


@dataclass(frozen=True, eq=False)
class FixedScores:
    """B query vectors and the network that scores them with passages. All queries share the network.

    Attributes:
        vectors: (B, D), vectors of length 1.
        network: maps (..., 3 D) to (..., 1).
        scale: the factor of the dot products; 1 / temperature.
    """

    vectors: Tensor
    network: nn.Module
    scale: float

    def __call__(self, passages: Tensor) -> Tensor:
        """Returns (B, M) scores of passages: (M, D) shared by all queries, or (B, M, D), M per query."""
        queries = self.vectors.unsqueeze(1)
        products = queries * passages
        shape = products.shape
        # All inputs are scaled to variance 1: unit vectors by the square root of their width, products by it.
        root = shape[-1] ** 0.5
        inputs = [queries.expand(shape) * root, passages.expand(shape) * root, products * shape[-1]]
        learned: Tensor = self.network(torch.cat(inputs, dim=-1))
        return products.sum(dim=-1) * self.scale + learned.squeeze(-1)

    def __len__(self) -> int:
        return int(self.vectors.shape[0])


class FixedScorer(RetrievalModel):
    """Two towers, the dot product of their vectors, and a network over both vectors that corrects it.

    score(q, p) = q p / temperature + MLP([q, p, q * p]), with hidden layers of width D and ReLU. The output
    layer starts at zero, so the model starts as the dot product, like the q-nets of this project.

    Args:
        query_tower: encodes queries; its vectors have length 1.
        passage_tower: encodes passages; None if the query tower encodes both.
        tokenizer: cuts texts to the length of the towers; needed to save the model.
        depth: number of hidden layers of the network.
        temperature: the divisor of the dot products.
    """

    kind = "fixed_scorer"

    def __init__(
        self,
        query_tower: Tower,
        passage_tower: Tower | None,
        tokenizer: PreTrainedTokenizerBase | None,
        depth: int,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(query_tower, passage_tower, tokenizer)
        self.depth = depth
        self.temperature = temperature
        width = query_tower.width
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers += [nn.Linear(width if layer else 3 * width, width), nn.ReLU()]
        output = nn.Linear(width, 1)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.head = nn.Sequential(*layers, output)

    def settings(self) -> str:
        return f"{super().settings()} {self.depth} {self.temperature}"

    def encode_queries(self, input_ids: Tensor, attention_mask: Tensor) -> FixedScores:
        return FixedScores(self.query_tower(input_ids, attention_mask), self.head, 1.0 / self.temperature)

    def encode_with_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[FixedScores, Tensor]:
        vectors = self.query_tower(input_ids, attention_mask)
        return FixedScores(vectors, self.head, 1.0 / self.temperature), vectors

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the towers as a SentenceTransformer, and the network beside them."""
        assert self.tokenizer is not None
        with atomic_folder(Path(folder)) as temporary:
            save_towers(self.query_tower, self.own_passage_tower, self.tokenizer, temporary / _TOWERS_FOLDER)
            save_tensors(temporary / "model.safetensors", self.head.state_dict())
            config = {"kind": self.kind, "depth": self.depth, "temperature": self.temperature}
            write_json(temporary / "config.json", config)

    @classmethod
    def from_pretrained(cls, folder: Path) -> "FixedScorer":
        """Loads what `save_pretrained` wrote.

        Raises:
            InputError: a file is missing or broken.
        """
        config = read_json(folder / "config.json")
        for name in ("depth", "temperature"):
            if not isinstance(config, dict) or not isinstance(config.get(name), int | float):
                raise InputError(folder / "config.json", name, "not a number", "Train the model again")
        model = cls(*load_towers(folder / _TOWERS_FOLDER), int(config["depth"]), config["temperature"])
        path, tensors = load_tensors(folder)
        assign_tensors(path, "", model.head, tensors)
        return model.eval()


@torch.no_grad()
def fix_hidden_layers(model: Hypencoder) -> None:
    """Makes a Hypencoder's hidden layers the same for every query, permanently.

    The projections that generate hidden layers are set to zero and frozen. A hidden layer then equals its
    base, which is still trained.
    """
    head = model.head
    hidden = range(head.config.depth)
    for projections in (head.weight_hyper_projection, head.bias_hyper_projection):
        for layer in hidden:
            projections[layer].requires_grad_(False)
            for parameter in projections[layer].parameters():
                parameter.zero_()
