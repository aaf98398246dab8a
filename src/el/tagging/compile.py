"""Compiles a trained tagger into the folder that `Tagger` opens.

The module stands apart because it needs PyTorch, and `Tagger` runs without.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from el.base.files import atomic_folder, sampled_sha256, write_json
from el.runtime.openvino import save_compiled
from el.tagging.finder import DictionaryFinder
from el.tagging.store import TrainedTagger
from el.tagging.tagger import FORMAT, MANIFEST, NETWORK, TOKENIZER, TRANSITIONS, Tagger


def compile_tagger(tagger: TrainedTagger, folder: Path) -> None:
    """Writes the folder that `Tagger` opens, completely or not at all. Weights are in half precision.

    Args:
        tagger: the trained tagger.
        folder: the folder to write. An earlier folder is replaced.
    """
    model = tagger.model
    # OpenVINO traces the model. A trace of the plain attention is valid for inputs of any shape.
    model.transformer.set_attn_implementation("eager")  # type: ignore[operator]
    rows = torch.full((2, 3), tagger.reading.first)
    example = (rows, torch.ones_like(rows), torch.zeros_like(rows), torch.zeros_like(rows))
    with atomic_folder(folder) as temporary, torch.no_grad():
        save_compiled(model, example, [[-1, -1]] * len(example), temporary / NETWORK)
        (temporary / TOKENIZER).write_text(tagger.tokenizer.to_str(), encoding="utf-8")
        np.save(temporary / TRANSITIONS, model.transitions.numpy(), allow_pickle=False)
        files = {path.name: sampled_sha256(path) for path in sorted(temporary.iterdir())}
        manifest = {"format": FORMAT, "reading": asdict(tagger.reading), "files": files}
        write_json(temporary / MANIFEST, manifest)


def make_tagger(tagger: TrainedTagger, finder: DictionaryFinder) -> "Tagger":
    """Returns a compiled tagger whose files are temporary, for use in this process only."""
    with tempfile.TemporaryDirectory() as scratch:
        compile_tagger(tagger, Path(scratch) / "compiled")
        return Tagger(Path(scratch) / "compiled", finder)
