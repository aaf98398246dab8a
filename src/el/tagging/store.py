"""A trained tagger, and how it is saved as a folder:

    manifest.json         format, checksums, and the encoder's special tokens and window size
    backbone/config.json  the configuration of the encoder
    weights.safetensors   all weights, in half precision
    tokenizer.json        the tokenizer of the encoder

The word embeddings are half the weights of a small encoder, and a tagger's training does not change them.
They may be left out of the folder if the tagger stands beside a model with the same word embeddings.
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

from el.base.errors import ConfigError, ElError, InputError, MismatchError, first_line
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
    """A tagger with its tokenizer and its reading."""

    model: TaggerModel
    tokenizer: Tokenizer
    reading: Reading

    def save(self, folder: Path, shared: Tensor | None = None) -> Path:
        """Writes the tagger completely or not at all. Returns the folder.

        Args:
            folder: the folder to write. An earlier folder is replaced.
            shared: the word embeddings of the model that the tagger will stand beside. If the tagger's word
                embeddings equal them in half precision, they are left out. None if there is no such model.
        """
        state = {
            name: tensor.detach().half().contiguous() for name, tensor in self.model.state_dict().items()
        }
        embeddings = state[_EMBEDDINGS]
        if (
            shared is not None
            and embeddings.shape == shared.shape
            and torch.equal(embeddings, shared.detach().half())
        ):
            del state[_EMBEDDINGS]
        with atomic_folder(folder) as temporary:
            save_file(state, temporary / _WEIGHTS, metadata={"format": "pt"})
            self.model.transformer.config.save_pretrained(temporary / _BACKBONE)  # type: ignore[union-attr, operator]
            (temporary / TOKENIZER).write_text(self.tokenizer.to_str(), encoding="utf-8")
            manifest = {
                "format": FORMAT,
                "weights": sha256_file(temporary / _WEIGHTS),
                "embeddings": _checksum(embeddings),
                "reading": asdict(self.reading),
            }
            write_json(temporary / MANIFEST, manifest)
        return folder


def fresh_tagger(start: RetrievalModel, config: TaggerConfig) -> TrainedTagger:
    """Returns an untrained tagger on a copy of a model's passage tower.

    Raises:
        ConfigError: the tower has fewer layers or fewer positions than the configuration asks for.
        ElError: the model has no tokenizer, or a tokenizer without a special token that a tagger needs.
    """
    tower = start.passage_tower
    if start.tokenizer is None:
        raise ElError("a tagger needs the encoder's tokenizer; put the tokenizer's files beside the model")
    if config.max_tokens > tower.max_positions:
        raise ConfigError(
            f"max_tokens is {config.max_tokens}; the encoder has {tower.max_positions} positions. Set it to "
            f"{tower.max_positions} or less"
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


# The name of the word embeddings in the state of a `TaggerModel`, for all encoders that are supported.
_EMBEDDINGS = "transformer.embeddings.word_embeddings.weight"


def load_tagger(folder: Path, shared: Tensor | None = None) -> TrainedTagger:
    """Opens a tagger that `TrainedTagger.save` wrote, in float32 and in evaluation mode.

    Args:
        folder: the tagger's folder.
        shared: the word embeddings of the model beside it, for a tagger that was saved without; or None.

    Raises:
        InputError: a file is missing, broken or altered.
        MismatchError: the tagger has another format, or was trained with other word embeddings.
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
                f"{folder}: the tagger was saved without its word embeddings, and the model beside it is "
                "missing or has others. Put the tagger beside the model that it was trained with"
            )
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InputError(folder, "", f"broken ({first_line(error)})", REMEDY) from error
    tokenizer = open_tokenizer(folder / TOKENIZER)
    return TrainedTagger(model.eval(), tokenizer, Reading(**manifest["reading"]))


def word_embeddings(transformer: nn.Module) -> Tensor:
    """Returns the word embeddings of an encoder, (vocabulary, width)."""
    weight: Tensor = transformer.get_input_embeddings().weight  # type: ignore[operator]
    return weight


def _checksum(embeddings: Tensor) -> str:
    return hashlib.sha256(embeddings.half().contiguous().numpy().tobytes()).hexdigest()
