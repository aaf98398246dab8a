"""Reads and writes checkpoint files: tensors by name. No code that a file holds is ever run.

It is apart because other people's files must be checked before anything is built from them.
"""

import copy
import hashlib
import json
import pickle
import sys
import zipfile
from collections.abc import Collection, Mapping
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
from el.base.stand_ins import check_content
from el.models.tower import backbone_config

BACKBONE_FOLDER = "backbone"
# Only written if the passage tower's configuration differs from the query tower's.
PASSAGE_BACKBONE_FOLDER = "passage_backbone"
# The backbone of the four released Hypencoders. Their config.json has its name and nothing else of it.
_KNOWN_BACKBONES = {name: BertConfig() for name in ("bert-base-uncased", "google-bert/bert-base-uncased")}
# A key of a file's metadata. The value is JSON: the name of each tensor that is not stored -> the name of the
# stored tensor that it is equal to.
_STORED_ONCE = "stored_once"
# What training tools put before all names: DataParallel, torch.compile, and wrappers such as Lightning's.
_WRAPPERS = ("module.", "_orig_mod.", "model.")
# The files of a checkpoint that are fetched from the hub.
_PATTERNS = ["*.json", "*.txt", "*.model", "model.safetensors", "pytorch_model.bin"]


def resolve_checkpoint(location: str | Path) -> Path:
    """Returns the local folder of a checkpoint.

    Args:
        location: a folder, or a name on the hub. A name is fetched from the hub, or found in its cache.

    Raises:
        ElError: there is no such folder, and the hub has no such name or cannot be reached.
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
            f"checkpoint {location}: no such folder, and it cannot be fetched from the model hub "
            f"({type(error).__name__}). Download it on a machine that reaches the hub, and give its folder"
        ) from error


def find_backbone_config(folder: Path, name: str, own_folder: str = BACKBONE_FOLDER) -> PreTrainedConfig:
    """Finds the configuration of a checkpoint's backbone.

    The first of these places that has one is taken: the checkpoint itself, where this project saves it;
    the folder `name`, relative to the current folder or beside the checkpoint; the known backbone of the
    released checkpoints; `name` on the hub or in its cache.

    Args:
        folder: the checkpoint.
        name: the backbone's folder or hub name; "" if the checkpoint does not say.
        own_folder: the checkpoint's folder for the configuration. `BACKBONE_FOLDER` replaces a missing one.

    Raises:
        ElError: no place has a configuration, or the first one found is not one of a backbone.
    """
    saved = folder / own_folder
    if not saved.is_dir():
        saved = folder / BACKBONE_FOLDER
    for place in (saved, *((Path(name), folder.parent / name) if name else ())):
        file = place / "config.json"
        if file.is_file() and place.resolve() != folder.resolve():
            try:
                return backbone_config(place)
            except (OSError, ValueError) as error:
                problem = f"not the configuration of a backbone ({error})"
                raise InputError(file, "", problem, "Fetch the checkpoint again") from error
    if name in _KNOWN_BACKBONES:
        return copy.deepcopy(_KNOWN_BACKBONES[name])
    try:
        if not name:
            raise ValueError("model_name_or_path is missing")
        return backbone_config(name)
    except (OSError, ValueError) as error:
        raise ElError(
            f"checkpoint {folder}: the configuration of its backbone {name!r} is not in {saved}, not in a "
            f"folder {name}, and not on the hub. Put the backbone's config.json into {saved}"
        ) from error


def load_tensors(folder: Path, root: str = "") -> tuple[Path, dict[str, Tensor]]:
    """Reads a checkpoint's tensors, memory-mapped where the layout allows it.

    Training tools may put a prefix, such as `module.`, before all names. It is removed and reported.

    Args:
        folder: the folder of the checkpoint.
        root: what at least one name begins with.

    Returns:
        The file, and the tensors by name.

    Raises:
        InputError: there is no file, it is broken, it is a pickle that holds more than tensors, or an unknown
            prefix stands before the root.
    """
    path, tensors = _read_tensors(folder)
    if prefix := _wrapping(tensors):
        print(f"{path}: removed the prefix {prefix!r} from all names of tensors", file=sys.stderr)
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    if not any(name.startswith(root) for name in tensors):
        before = {name.partition(root)[0] for name in tensors if root in name}
        if before:
            problem = f"its tensors have the prefix {min(before)!r} before {root!r}"
            raise InputError(path, "", problem, "Save the model again without the prefix")
    return path, tensors


def _wrapping(names: Collection[str]) -> str:
    """Returns what wrappers put before all names, such as "module._orig_mod."; "" for nothing."""
    prefix = ""
    while wrapper := next(
        (known for known in _WRAPPERS if names and all(name.startswith(prefix + known) for name in names)), ""
    ):
        prefix += wrapper
    return prefix


def _read_tensors(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    path = folder / "model.safetensors"
    if path.is_file():
        check_content(path)
        try:
            return path, _load_safetensors(path)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(
                path, "", f"truncated or broken ({error})", "Fetch the checkpoint again"
            ) from error
    path = folder / "pytorch_model.bin"
    if not path.is_file():
        raise InputError(
            folder,
            "",
            "holds neither model.safetensors nor pytorch_model.bin",
            "Fetch the checkpoint again",
        )
    check_content(path)
    refusal = "refused: the pickle is broken, or holds more than tensors"
    try:
        # torch before 1.6 did not write zip archives. Such files cannot be memory-mapped.
        mapped = zipfile.is_zipfile(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise InputError(path, "", refusal, "Convert it to safetensors") from error
    # The exception that a broken pickle raises depends on where the file is broken.
    except (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(path, "", f"truncated or broken ({error})", "Fetch the checkpoint again") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(path, "", "holds other things than tensors by name", "Convert it to safetensors")
    return path, tensors


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        stored_once = json.loads((file.metadata() or {}).get(_STORED_ONCE, "{}"))
    if not isinstance(stored_once, dict):
        raise ValueError(f"{_STORED_ONCE} is {stored_once!r}")
    return tensors | {name: tensors[other] for name, other in stored_once.items()}


def compact_tensors(path: Path) -> None:
    """Rewrites a Hypencoder's safetensors file in half precision, and stores equal tensors once.

    The file's metadata list the tensors that are left out. `load_tensors` restores them; the released code
    cannot read such a file.

    Raises:
        ElError: a number is too large for half precision, or not finite.
    """
    kept: dict[str, Tensor] = {}
    stored_once: dict[str, str] = {}
    first: dict[tuple[torch.Size, str], str] = {}
    for name, tensor in _load_safetensors(path).items():
        half = tensor.half() if tensor.is_floating_point() else tensor
        if not half.isfinite().all():
            raise ElError(
                f"{path}: {name} has numbers that are too large for half precision. Train the model again"
            )
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
    """Writes tensors as safetensors. Tensors that share memory are each written in full."""
    copies = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    # Older versions of transformers refuse files without this entry.
    save_file(copies, path, metadata={"format": "pt"})


def assign_tensors(path: Path, prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Gives a module its parameters, in float32. Tensors that are float32 already are not copied.

    The pooler of a BERT takes no part in a Hypencoder, and may be missing.

    Args:
        path: the file of the tensors, for messages.
        prefix: what the checkpoint puts before the module's parameter names.
        module: the module; its parameters may have no memory yet.
        tensors: the checkpoint's tensors for the module, by their names in the checkpoint.

    Raises:
        InputError: tensors are missing, unknown or have another shape; the message names them.
    """
    expected = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    # Old versions of transformers save this buffer, newer ones compute it.
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
            path, "", shown, "The checkpoint and its config.json do not fit together; fetch both again"
        )
    module.load_state_dict({name.removeprefix(prefix): t.float() for name, t in given.items()}, assign=True)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
