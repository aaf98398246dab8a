"""A trained tagger as a folder:

    manifest.json         format, checksum, and what the encoder reads
    backbone/config.json  of its encoder
    weights.safetensors   in half precision
    tokenizer.json

The embeddings of word pieces, half the weights of a small encoder, are not trained with a tagger. Where a
tagger stands beside a model with the same ones, they may be left out.
"""

import copy
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from el.base.errors import ConfigError, ElError, InputError, MismatchError
from el.base.files import atomic_folder, sha256_file, write_json
from el.models.base import RetrievalModel
from el.models.tower import backbone_config, empty_transformer
from el.runtime.networks import open_tokenizer
from el.tagging.config import TaggerConfig
from el.tagging.encoding import Reading
from el.tagging.manifest import FORMAT, MANIFEST, REMEDY, read_manifest
from el.tagging.model import TaggerModel, keep_layers

TOKENIZER = "tokenizer.json"
_BACKBONE, _WEIGHTS = "backbone", "weights.safetensors"


@dataclass(frozen=True, eq=False)
class TrainedTagger:
    """A tagger with what belongs to it."""

    model: TaggerModel
    tokenizer: Tokenizer
    reading: Reading

    def save(self, folder: Path, shared: Tensor | None = None) -> Path:
        """Writes the tagger, whole or not at all. Returns the folder.

        Args:
            folder: where to; what stands there is replaced.
            shared: embeddings of word pieces that the tagger will stand beside; where its own are the same in
                half precision, they are left out.
        """
        state = {
            name: tensor.detach().half().contiguous() for name, tensor in self.model.state_dict().items()
        }
        own = state[_EMBEDDINGS]
        if shared is not None and own.shape == shared.shape and torch.equal(own, shared.detach().half()):
            del state[_EMBEDDINGS]
        with atomic_folder(folder) as temporary:
            save_file(state, temporary / _WEIGHTS, metadata={"format": "pt"})
            self.model.transformer.config.save_pretrained(temporary / _BACKBONE)  # type: ignore[union-attr, operator]
            (temporary / TOKENIZER).write_text(self.tokenizer.to_str(), encoding="utf-8")
            manifest = {
                "format": FORMAT,
                "weights": sha256_file(temporary / _WEIGHTS),
                "embeddings": _checksum(own),
                "reading": asdict(self.reading),
            }
            write_json(temporary / MANIFEST, manifest)
        return folder


def fresh_tagger(start: RetrievalModel, config: TaggerConfig) -> TrainedTagger:
    """An untrained tagger on a model's passage tower, of which it takes a copy.

    Raises:
        ConfigError: the tower has fewer layers, or fewer positions, than the configuration asks for.
        ElError: the model came without a tokenizer that a tagger can use.
    """
    tower = start.passage_tower
    if start.tokenizer is None:
        raise ElError("a tagger needs the encoder's tokenizer; put its files beside the model")
    if config.max_tokens > tower.max_positions:
        raise ConfigError(
            f"max_tokens is {config.max_tokens}; the encoder has {tower.max_positions} positions"
        )
    transformer = copy.deepcopy(tower.transformer)
    if config.layers is not None:
        keep_layers(transformer, config.layers)
    torch.manual_seed(config.seed)
    model = TaggerModel(transformer)
    tokenizer = Tokenizer.from_str(start.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TrainedTagger(model, tokenizer, Reading.of(start.tokenizer, config.max_tokens, config.overlap))


# What `TaggerModel` calls its embeddings of word pieces, with the encoders that are supported.
_EMBEDDINGS = "transformer.embeddings.word_embeddings.weight"


def load_tagger(folder: Path, shared: Tensor | None = None) -> TrainedTagger:
    """Opens what `TrainedTagger.save` wrote, in float32 and in evaluation mode.

    Args:
        folder: the tagger.
        shared: the embeddings that it stands beside, for one that was saved without its own.

    Raises:
        InputError: a file is missing, broken or altered.
        MismatchError: another format, or other embeddings than those it was trained with.
    """
    manifest = read_manifest(folder)
    path = folder / _WEIGHTS
    if not path.is_file() or sha256_file(path) != manifest["weights"]:
        raise InputError(path, "", "missing, truncated or altered", REMEDY)
    try:
        state = load_file(path)
        model = TaggerModel(empty_transformer(backbone_config(folder / _BACKBONE)))
        if _EMBEDDINGS not in state and shared is not None:
            state[_EMBEDDINGS] = shared.detach().half()
        if _EMBEDDINGS not in state or _checksum(state[_EMBEDDINGS]) != manifest["embeddings"]:
            raise MismatchError(
                f"{folder}: the embeddings of word pieces that it shares with a model are not there, or are "
                "others. Put it beside the model that it came with"
            )
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InputError(folder, "", f"broken ({str(error).splitlines()[0]})", REMEDY) from error
    tokenizer = open_tokenizer(folder / TOKENIZER)
    return TrainedTagger(model.eval(), tokenizer, Reading(**manifest["reading"]))


def word_embeddings(transformer: nn.Module) -> Tensor:
    """The embeddings of word pieces of an encoder."""
    weight: Tensor = transformer.get_input_embeddings().weight  # type: ignore[operator]
    return weight


def _checksum(embeddings: Tensor) -> str:
    return hashlib.sha256(embeddings.half().contiguous().numpy().tobytes()).hexdigest()
