"""Towers as a `SentenceTransformer` on disk."""

import tempfile
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Router, Transformer
from transformers import PreTrainedTokenizerBase

from el.errors import InputError
from el.files import atomic_folder
from el.models.tower import Tower


def save_towers(
    query: Tower, passage: Tower | None, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes a SentenceTransformer; with two towers, one that routes queries and documents."""
    with tempfile.TemporaryDirectory() as scratch:
        modules = _modules_of(query, tokenizer, Path(scratch) / "query")
        if passage is not None:
            documents = _modules_of(passage, tokenizer, Path(scratch) / "document")
            modules = [Router.for_query_document(query_modules=modules, document_modules=documents)]
        model = SentenceTransformer(modules=modules, device="cpu")
        with atomic_folder(folder) as temporary:
            model.save_pretrained(str(temporary), create_model_card=False)


def load_towers(folder: Path) -> tuple[Tower, Tower | None, PreTrainedTokenizerBase]:
    """Loads query tower, passage tower (None where one serves both sides) and tokenizer.

    Raises:
        InputError: the folder holds no SentenceTransformer, or one of other modules.
    """
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(
            folder, "", f"not a SentenceTransformer ({error})", "Train or fetch it again"
        ) from error
    first: Any = model[0]
    if isinstance(first, Router):
        routes: Any = first.sub_modules
        query, passage = (list(routes[route]) for route in ("query", "document"))
        return _tower(folder, query), _tower(folder, passage), query[0].tokenizer
    return _tower(folder, list(model)), None, model.tokenizer


def _modules_of(tower: Tower, tokenizer: PreTrainedTokenizerBase, scratch: Path) -> list[Any]:
    # SentenceTransformer's own Transformer module reads a folder, and so it gets one.
    tower.transformer.save_pretrained(scratch)  # type: ignore[operator]
    tokenizer.save_pretrained(scratch)
    modules: list[Any] = [
        Transformer(str(scratch), max_seq_length=tokenizer.model_max_length),
        Pooling(tower.width, pooling_mode=tower.pooling),
    ]
    return [*modules, Normalize()] if tower.normalize else modules


def _tower(folder: Path, modules: list[Any]) -> Tower:
    transformer, *rest = modules
    pooling = [module for module in rest if isinstance(module, Pooling)]
    others = [module for module in rest if not isinstance(module, Pooling | Normalize)]
    if not isinstance(transformer, Transformer) or len(pooling) != 1 or others:
        kinds = ", ".join(type(module).__name__ for module in modules)
        raise InputError(
            folder, "", f"modules {kinds}", "A Transformer, a Pooling and at most a Normalize are needed"
        )
    normalize = any(isinstance(module, Normalize) for module in rest)
    return Tower(transformer.auto_model, pooling[0].pooling_mode, normalize)
