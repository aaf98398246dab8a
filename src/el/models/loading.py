"""Opens a saved model of any kind. It is apart because it imports all kinds."""

from pathlib import Path

from el.base.errors import InputError
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder


def load_model(folder: str | Path) -> RetrievalModel:
    """Loads a Hypencoder or a bi-encoder from a folder, ready for inference.

    Raises:
        InputError: the folder holds neither kind of model, or a broken one.
    """
    folder = Path(folder)
    if (folder / "modules.json").is_file():
        return BiEncoder.from_pretrained(folder).eval()
    if (folder / "config.json").is_file():
        return Hypencoder.from_pretrained(folder)
    raise InputError(folder, "", "no model here", "Run the stage that trains the model")
