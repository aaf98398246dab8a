"""The manifest of a trained tagger.

The module stands apart from `el.tagging.store` because it is read without PyTorch.
"""

from pathlib import Path
from typing import Any

from el.base.errors import InputError, MismatchError
from el.base.files import read_json
from el.tagging.encoding import Reading

FORMAT = "el-tagger-1"
MANIFEST = "manifest.json"
REMEDY = "Train the tagger again, or fetch it again"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads and checks a tagger's manifest.

    Raises:
        InputError: the folder holds no tagger, or its manifest is broken.
        MismatchError: the tagger has another format.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(folder, "", f"no tagger here ({MANIFEST} is missing)", REMEDY)
    manifest = read_json(folder / MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise MismatchError(f"{folder}: the format is {found!r}; this version reads {FORMAT!r}. {REMEDY}")
    try:
        Reading(**manifest["reading"])
        str(manifest["weights"]), str(manifest["embeddings"])
    except (KeyError, TypeError) as error:
        problem = f"is incomplete ({error})"
        raise InputError(folder / MANIFEST, "", problem, REMEDY) from error
    return dict(manifest)


def tagger_weights(folder: Path) -> str:
    """Returns the SHA-256 of a tagger's weights from its manifest.

    Raises:
        InputError: the folder holds no tagger, or its manifest is broken.
        MismatchError: the tagger has another format.
    """
    return str(read_manifest(folder)["weights"])
