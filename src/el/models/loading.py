"""Opening a saved model of any kind."""

from pathlib import Path

from el.base.errors import InputError
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.fixed import TOWERS_FOLDER, FixedScorer
from el.models.hypencoder import Hypencoder


def load_model(folder: Path) -> RetrievalModel:
    """Loads a Hypencoder, a bi-encoder or a fixed scorer from a folder, ready for inference.

    Raises:
        InputError: the folder holds none of them, or is broken.
    """
    if (folder / "modules.json").is_file():
        return BiEncoder.from_pretrained(folder).eval()
    if (folder / TOWERS_FOLDER).is_dir():
        return FixedScorer.from_pretrained(folder)
    if (folder / "config.json").is_file():
        return Hypencoder.from_pretrained(folder)
    raise InputError(folder, "", "no model here", "Run the stage that trains it")
