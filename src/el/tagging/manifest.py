"""What a trained tagger says of itself; read without PyTorch."""

from pathlib import Path
from typing import Any

from el.base.errors import InputError, MismatchError
from el.base.files import read_json
from el.tagging.encoding import Reading

FORMAT = "el-tagger-1"
MANIFEST = "manifest.json"
REMEDY = "Train the tagger again, or fetch it again"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads a tagger's manifest.

    Raises:
        InputError: there is no tagger, or its manifest is broken.
        MismatchError: another format.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(folder, "", "no tagger here", REMEDY)
    manifest = read_json(folder / MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise MismatchError(f"{folder}: format {found!r}, this version reads {FORMAT!r}. {REMEDY}")
    try:
        Reading(**manifest["reading"])
        str(manifest["weights"]), str(manifest["embeddings"])
    except (KeyError, TypeError) as error:
        problem = f"is incomplete ({error})"
        raise InputError(folder / MANIFEST, "", problem, REMEDY) from error
    return dict(manifest)


def tagger_weights(folder: Path) -> str:
    """The checksum of a tagger's weights, as its manifest has it; raises as `read_manifest` does."""
    return str(read_manifest(folder)["weights"])
