"""Reading and writing checkpoint files: tensors by name, without running anything that they hold."""

import copy
import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedConfig

from el.base.errors import ElError, InputError
from el.base.files import atomic_file
from el.models.tower import backbone_config

BACKBONE_FOLDER = "backbone"
# Of a passage tower that is built otherwise than the query tower.
PASSAGE_BACKBONE_FOLDER = "passage_backbone"
# What the four released Hypencoders were built on; their config.json gives only this name.
_KNOWN_BACKBONES = {name: BertConfig() for name in ("bert-base-uncased", "google-bert/bert-base-uncased")}
# In a file's metadata: JSON, the names of tensors that are not stored -> those that they are equal to.
_STORED_ONCE = "stored_once"
_PATTERNS = ["*.json", "*.txt", "*.model", "model.safetensors", "pytorch_model.bin"]


def resolve_checkpoint(location: str | Path) -> Path:
    """Returns a local folder; a name that is none is fetched from the hub, or found in its cache.

    Raises:
        ElError: it is no folder, and the hub cannot be reached or does not have it.
    """
    if Path(location).is_dir():
        return Path(location)
    try:
        return Path(snapshot_download(str(location), allow_patterns=_PATTERNS))
    except (
        HFValidationError,
        RepositoryNotFoundError,
        LocalEntryNotFoundError,
        HfHubHTTPError,
        OSError,
    ) as error:
        raise ElError(
            f"checkpoint {location}: no such folder, and the model hub does not give it "
            f"({type(error).__name__}). Fetch it where the hub can be reached and give its folder"
        ) from error


def find_backbone_config(folder: Path, name: str, own_folder: str = BACKBONE_FOLDER) -> PreTrainedConfig:
    """Finds the configuration of a checkpoint's backbone, nearest first.

    In the checkpoint (as we save it); `name` as a folder relative to the current one or beside the
    checkpoint; the backbone of the released checkpoints; `name` on the hub or in its cache.

    Raises:
        ElError: none of them has it, or the nearest is no configuration of a backbone.
    """
    own = folder / own_folder
    if not own.is_dir():
        own = folder / BACKBONE_FOLDER
    for place in (own, *((Path(name), folder.parent / name) if name else ())):
        file = place / "config.json"
        if file.is_file() and place.resolve() != folder.resolve():
            try:
                return backbone_config(place)
            except (OSError, ValueError) as error:
                problem = f"not the configuration of a backbone ({error})"
                raise InputError(file, "", problem, "Fetch it again") from error
    if name in _KNOWN_BACKBONES:
        return copy.deepcopy(_KNOWN_BACKBONES[name])
    try:
        if not name:
            raise ValueError("model_name_or_path is missing")
        return backbone_config(name)
    except (OSError, ValueError) as error:
        raise ElError(
            f"checkpoint {folder}: the configuration of its backbone {name!r} is neither in {own} nor in a "
            f"folder {name} nor on the hub. Put the backbone's config.json into {own}"
        ) from error


def load_tensors(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Reads a checkpoint's tensors, memory-mapped. Returns the file and the tensors by name.

    Raises:
        InputError: there is no file, it is broken, or it is a pickle that holds more than tensors.
    """
    path = folder / "model.safetensors"
    if path.is_file():
        try:
            return path, _load_safetensors(path)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(
                path, "", f"truncated or broken ({error})", "Fetch the checkpoint again"
            ) from error
    path = folder / "pytorch_model.bin"
    if not path.is_file():
        raise InputError(
            folder, "", "holds neither model.safetensors nor pytorch_model.bin", "Fetch it again"
        )
    refusal = "refused: a pickle that holds more than tensors, or a broken one"
    try:
        # The layout of torch before 1.6 is no zip archive, and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise InputError(path, "", refusal, "Convert it to safetensors") from error
    # What a broken pickle raises depends on where it breaks.
    except (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(path, "", f"truncated or broken ({error})", "Fetch the checkpoint again") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(path, "", "holds something else than tensors by name", "Convert it to safetensors")
    return path, tensors


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        stored_once = json.loads((file.metadata() or {}).get(_STORED_ONCE, "{}"))
    if not isinstance(stored_once, dict):
        raise ValueError(f"{_STORED_ONCE} is {stored_once!r}")
    return tensors | {name: tensors[other] for name, other in stored_once.items()}


def compact_tensors(path: Path) -> None:
    """Rewrites a Hypencoder's safetensors file in half precision, with equal tensors stored once.

    Which they are stands in the file's metadata; `load_tensors` reads it, the released code does not.

    Raises:
        ElError: a number is too large for half precision.
    """
    kept: dict[str, Tensor] = {}
    stored_once: dict[str, str] = {}
    first: dict[tuple[torch.Size, str], str] = {}
    for name, tensor in _load_safetensors(path).items():
        half = tensor.half() if tensor.is_floating_point() else tensor
        if not half.isfinite().all():
            raise ElError(f"{path}: {name} has numbers that are too large for half precision")
        content = hashlib.sha256(half.numpy().tobytes()).hexdigest()
        other = first.setdefault((half.shape, content), name)
        if other == name:
            kept[name] = half
        else:
            stored_once[name] = other
    metadata = {"format": "pt", _STORED_ONCE: json.dumps(stored_once)}
    with atomic_file(path) as temporary:
        save_file(kept, temporary, metadata=metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors as safetensors; those that share memory are written each on its own."""
    own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    # Older versions of transformers read nothing without this.
    save_file(own, path, metadata={"format": "pt"})


def assign_tensors(path: Path, prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Gives a module its parameters, in float32, without copying those that are float32 already.

    Args:
        path: the file they come from, for messages.
        prefix: what the checkpoint puts before the module's own names.
        module: the module, its parameters without memory as yet.
        tensors: the checkpoint's tensors for it, by their names there.

    The pooler of a BERT takes no part in a Hypencoder and may be missing.

    Raises:
        InputError: tensors are missing, unknown or misshapen; names them.
    """
    expected = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    # Old transformers saved this buffer; today it is computed.
    given = {name: tensor for name, tensor in tensors.items() if not name.endswith("embeddings.position_ids")}
    for name, tensor in expected.items():
        if name.startswith(f"{prefix}pooler.") and name not in given:
            given[name] = torch.zeros(tensor.shape)
    problems = [f"missing {name}" for name in expected if name not in given]
    problems += [f"unknown {name}" for name in given if name not in expected]
    problems += [
        f"{name} has shape {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if problems:
        shown = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise InputError(
            path, "", shown, "The checkpoint and its config.json do not fit together; fetch it again"
        )
    module.load_state_dict({name.removeprefix(prefix): t.float() for name, t in given.items()}, assign=True)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
