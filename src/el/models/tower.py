"""A tower: a pretrained transformer with a pooling, and where to find one."""

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.initialization import no_init_weights

from el.base.errors import ConfigError, ElError

Pooling = Literal["cls", "mean"]
Source = Literal["package", "hub", "folder"]


@dataclass(frozen=True)
class EncoderSource:
    """Where a pretrained encoder comes from.

    Attributes:
        name: a short name, for folders and tables.
        source: "package" (an installed Python package that carries the files), "hub" or "folder".
        location: "package/subfolder", the hub's name, or the folder.
        hub_name: what the same encoder is called on the hub, for configs that others read.
        pooling: how the encoder was trained to pool: "cls" or "mean".
        max_tokens: names and mentions are cut to so many tokens.
        aligned: whether it has been trained on synonyms already, as SapBERT has.
    """

    name: str
    source: Source
    location: str
    hub_name: str
    pooling: Pooling
    max_tokens: int = 32
    aligned: bool = False

    @classmethod
    def of(cls, location: str | Path) -> "EncoderSource":
        """An encoder by its folder or hub name, pooled by its first token, for whole passages."""
        source: Source = "folder" if Path(location).is_dir() else "hub"
        name = str(location)
        return cls(Path(name).name, source, name, name, "cls", max_tokens=512)

    def resolve(self) -> str:
        """Returns a folder or hub name for transformers.

        Raises:
            ConfigError: the package or folder does not exist.
        """
        if self.source == "hub":
            return self.location
        if self.source == "folder":
            path = Path(self.location)
        else:
            package, _, inside = self.location.partition("/")
            try:
                path = Path(str(importlib.resources.files(package))) / inside
            except ModuleNotFoundError as error:
                raise ConfigError(
                    f"encoder {self.name}: the package {package} is not installed; "
                    "install this project with its extra, pip install '.[minilm]'"
                ) from error
        if not path.is_dir():
            raise ConfigError(f"encoder {self.name}: {path} is not a folder")
        return str(path)


class Tower(nn.Module):
    """A transformer and the way its token vectors become one vector.

    Args:
        transformer: a backbone whose output has `last_hidden_state`.
        pooling: "cls" takes token 0; "mean" averages the tokens that are not padding.
        normalize: whether pooled vectors are scaled to length 1 (not in the published Hypencoder).
    """

    def __init__(self, transformer: nn.Module, pooling: Pooling, normalize: bool) -> None:
        super().__init__()
        if pooling not in ("cls", "mean"):
            raise ConfigError(f"pooling {pooling!r}: cls or mean is needed")
        self.transformer = transformer
        self.pooling = pooling
        self.normalize = normalize

    @property
    def width(self) -> int:
        """D, the width of token and pooled vectors."""
        return int(self.config.hidden_size)

    @property
    def max_positions(self) -> int:
        """The longest input, in tokens, that the position embeddings allow."""
        positions = int(getattr(self.config, "max_position_embeddings", 512))
        # RoBERTa and its kin count positions from after the padding's number.
        padding = getattr(getattr(self.transformer, "embeddings", None), "padding_idx", None)
        return positions if padding is None else positions - int(padding) - 1

    @property
    def config(self) -> Any:
        """The transformer's configuration, as transformers has it."""
        return self.transformer.config

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, S, D) token vectors of the last layer, for (B, S) int64 ids and mask.

        Raises:
            ValueError: a row masks everything, or S is more than the tower's positions.
        """
        if input_ids.shape[1] > self.max_positions:
            raise ValueError(
                f"input of {input_ids.shape[1]} tokens, the tower has {self.max_positions} positions; "
                "truncate when tokenising"
            )
        empty = (attention_mask.sum(dim=1) == 0).nonzero().flatten()
        if len(empty):
            raise ValueError(f"the attention mask of row {int(empty[0])} masks every token")
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, D) float32 vectors."""
        if self.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            mask = attention_mask.unsqueeze(-1).to(torch.float32)
            pooled = (hidden.float() * mask).sum(dim=1) / mask.sum(dim=1)
        return functional.normalize(pooled, dim=-1) if self.normalize else pooled

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, D) float32 pooled vectors."""
        return self.pool(self.hidden(input_ids, attention_mask), attention_mask)

    def fingerprint(self) -> str:
        """A checksum of weights, pooling and normalisation: equal where vectors are equal."""
        # The pooler is part of the checkpoints but takes no part in the vectors.
        state = {k: v for k, v in self.transformer.state_dict().items() if not k.startswith("pooler.")}
        return fingerprint(state, f"{self.pooling} {self.normalize}")


def fingerprint(state: Mapping[str, Tensor], prefix: str = "") -> str:
    """Returns the SHA-256, in hexadecimal digits, of named tensors as float32 and of a prefix."""
    digest = hashlib.sha256(prefix.encode())
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_tower(source: EncoderSource, normalize: bool) -> Tower:
    """Loads a pretrained encoder as a tower with its own pooling, in float32.

    Raises:
        ElError: its files cannot be had.
    """
    location = source.resolve()
    try:
        transformer = AutoModel.from_pretrained(location, dtype=torch.float32)
    # ValueError: a folder without a model.
    except (OSError, ValueError) as error:
        raise ElError(
            f"encoder {source.name}: cannot load {location} ({_first_line(error)}). Without a connection to "
            "the model hub, use encoder=minilm, or download the model elsewhere and give its folder"
        ) from error
    return Tower(transformer, source.pooling, normalize)


def load_tokenizer(location: str | Path, max_tokens: int | None = None) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of an encoder or a saved model.

    Args:
        location: its folder or hub name.
        max_tokens: it cuts texts to so many tokens; None leaves that as it was saved.

    Raises:
        ElError: there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(location))
    except (OSError, ValueError) as error:
        raise ElError(
            f"{location}: no tokenizer ({_first_line(error)}). "
            "Put the encoder's tokenizer files beside its model"
        ) from error
    if max_tokens is not None:
        tokenizer.model_max_length = max_tokens
    return tokenizer


def empty_transformer(config: PreTrainedConfig) -> nn.Module:
    """Builds a backbone from its configuration alone; its parameters hold no numbers.

    Buffers, such as position ids, are real. Parameters must be assigned from a checkpoint: until then their
    memory is not written to, so that it costs nothing.
    """
    with no_init_weights():
        transformer: nn.Module = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    return transformer


def backbone_config(location: str | Path) -> PreTrainedConfig:
    """Reads a backbone's configuration without touching its weights.

    Raises:
        OSError: there is none.
        ValueError: it is of no kind that transformers knows.
    """
    config: PreTrainedConfig = AutoConfig.from_pretrained(str(location))
    return config


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
