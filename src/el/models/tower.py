"""Towers: pretrained transformers with a pooling, and the places that they are loaded from."""

import hashlib
import importlib.resources
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.initialization import no_init_weights

from el.base.errors import ConfigError, ElError, InputError, first_line
from el.base.stand_ins import check_contents

Pooling = Literal["cls", "mean"]
Source = Literal["package", "hub", "folder"]

# The files of a model that other libraries read.
_FILES = ("*.json", "*.model", "vocab.txt", "model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class EncoderSource:
    """Where a pretrained encoder comes from.

    Attributes:
        name: a short name, for folders and tables.
        source: "package" (an installed Python package that contains the files), "hub" or "folder".
        location: "package/subfolder", the name on the hub, or the folder.
        hub_name: the encoder's name on the hub, for configurations that others read.
        pooling: the pooling that the encoder was trained with, "cls" or "mean".
        max_tokens: the length, in tokens, that names and mentions are cut to.
        aligned: whether the encoder is trained on synonyms already, as SapBERT is.
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
        """Returns the source of an encoder by its folder or hub name: cls pooling, 512 tokens."""
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
            raise ConfigError(f"encoder {self.name}: {path} is not a folder; correct its location")
        return str(path)


class Tower(nn.Module):
    """A transformer, and the pooling of its token vectors into one vector.

    Args:
        transformer: a backbone whose output has `last_hidden_state`.
        pooling: "cls" takes token 0; "mean" averages the tokens that are not padding.
        normalize: whether pooled vectors are scaled to length 1 (not in the published Hypencoder).

    Raises:
        ConfigError: the pooling is unknown.
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
        """D, the width of token vectors and of pooled vectors."""
        return int(self.config.hidden_size)

    @property
    def max_positions(self) -> int:
        """The longest input, in tokens, that the position embeddings allow."""
        positions = int(getattr(self.config, "max_position_embeddings", 512))
        # RoBERTa and its relatives number positions from padding_idx + 1.
        padding = getattr(getattr(self.transformer, "embeddings", None), "padding_idx", None)
        return positions if padding is None else positions - int(padding) - 1

    @property
    def config(self) -> Any:
        """The configuration that the transformers library has for this transformer."""
        return self.transformer.config

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, S, D) token vectors of the last layer, for (B, S) int64 token ids and their mask.

        Raises:
            ValueError: a row of the mask is all 0, or S is more than the tower's positions.
        """
        if input_ids.shape[1] > self.max_positions:
            raise ValueError(
                f"input of {input_ids.shape[1]} tokens, but the tower has {self.max_positions} positions; "
                "truncate the text when it is tokenized"
            )
        empty = (attention_mask.sum(dim=1) == 0).nonzero().flatten()
        if len(empty):
            raise ValueError(
                f"the attention mask of row {int(empty[0])} masks every token; leave this row out"
            )
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, D) float32 pooled vectors of (B, S, D) token vectors and their (B, S) mask."""
        if self.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            mask = attention_mask.unsqueeze(-1).to(torch.float32)
            pooled = (hidden.float() * mask).sum(dim=1) / mask.sum(dim=1)
        return functional.normalize(pooled, dim=-1) if self.normalize else pooled

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, D) float32 pooled vectors for (B, S) int64 token ids and their mask."""
        return self.pool(self.hidden(input_ids, attention_mask), attention_mask)

    def fingerprint(self) -> str:
        """Returns a checksum of weights, pooling and normalisation. Equal checksums mean equal vectors."""
        # A pooler is part of many checkpoints, but takes no part in the vectors.
        state = {k: v for k, v in self.transformer.state_dict().items() if not k.startswith("pooler.")}
        return fingerprint(state, f"{self.pooling} {self.normalize}")


def fingerprint(state: Mapping[str, Tensor], prefix: str = "") -> str:
    """Returns the SHA-256, in hexadecimal digits, of a prefix and of named tensors as float32."""
    digest = hashlib.sha256(prefix.encode())
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_tower(source: EncoderSource, normalize: bool) -> Tower:
    """Loads a pretrained encoder as a tower, in float32, with the pooling of the source.

    Raises:
        ConfigError: the source's package or folder does not exist.
        ElError: the encoder cannot be loaded, or lacks weights.
    """
    location = source.resolve()
    check_model_files(location)
    try:
        transformer, report = AutoModel.from_pretrained(
            location, dtype=torch.float32, output_loading_info=True
        )
    # A folder without a model raises ValueError. What a broken file raises depends on where it is broken.
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        raise ElError(
            f"encoder {source.name}: cannot load {location} ({first_line(error)}). Without a connection to "
            "the model hub, use encoder=minilm, or download the model elsewhere and give its folder"
        ) from error
    # The library gives random numbers to what is missing. A pooler takes no part in the vectors.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        unknown = sorted(report["unexpected_keys"])
        instead = f"; it has {unknown[0]} instead" if unknown else ""
        problem = f"lacks {len(missing)} of its weights, such as {missing[0]}{instead}"
        remedy = "Fetch the encoder again, or save it without a prefix before the names of its weights"
        raise InputError(location, "", problem, remedy)
    return Tower(transformer, source.pooling, normalize)


def check_model_files(location: str | Path) -> None:
    """Checks that the files of a model hold their content, where the location is a folder.

    Raises:
        InputError: a file holds something else, such as a pointer of Git LFS; see `check_contents`.
    """
    if Path(location).is_dir():
        check_contents(Path(location), _FILES)


def load_tokenizer(location: str | Path, max_tokens: int | None = None) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of an encoder or a saved model.

    Args:
        location: the folder or hub name.
        max_tokens: the length, in tokens, that the tokenizer cuts texts to; None for the saved length.

    Raises:
        ElError: there is no tokenizer, or it cannot be loaded.
    """
    check_model_files(location)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(location))
    # The library raises a bare Exception for some broken files.
    except Exception as error:
        raise ElError(
            f"{location}: no tokenizer ({first_line(error)}). "
            "Put the encoder's tokenizer files beside its model"
        ) from error
    if max_tokens is not None:
        tokenizer.model_max_length = max_tokens
    return tokenizer


def empty_transformer(config: PreTrainedConfig) -> nn.Module:
    """Builds a backbone from its configuration alone. Its parameters must be assigned from a checkpoint.

    Buffers, such as position ids, have their values. The memory of the parameters is not initialised, so the
    operating system does not provide it before it is replaced.
    """
    with no_init_weights():
        transformer: nn.Module = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    return transformer


def backbone_config(location: str | Path) -> PreTrainedConfig:
    """Reads a backbone's configuration, but not its weights.

    Raises:
        OSError: there is no configuration.
        ValueError: the configuration is of a kind that the transformers library does not know.
    """
    config: PreTrainedConfig = AutoConfig.from_pretrained(str(location))
    return config
