"""Writes and reads towers in the layout of a `SentenceTransformer`.

The library sentence-transformers writes them. They are read without the library: importing it takes seconds,
and only a transformer, its pooling and its normalisation are needed.
"""

import tempfile
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from el.base.errors import InputError
from el.base.extras import needs_extra
from el.base.files import atomic_folder, read_json
from el.models.tower import EncoderSource, Pooling, Tower, load_tokenizer, load_tower

# Files of versions before 5 have one boolean for each mode of pooling.
_OLD_POOLING: dict[str, Pooling] = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


def save_towers(
    query: Tower, passage: Tower | None, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes a SentenceTransformer. If there are two towers, it routes queries and documents.

    Args:
        query: the tower of queries.
        passage: the tower of passages; None if `query` serves both sides.
        tokenizer: the tokenizer of both.
        folder: where to write, atomically.
    """
    with needs_extra("pipeline"):
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Router

    with tempfile.TemporaryDirectory() as scratch:
        modules = _modules_of(query, tokenizer, Path(scratch) / "query")
        if passage is not None:
            documents = _modules_of(passage, tokenizer, Path(scratch) / "document")
            modules = [Router.for_query_document(query_modules=modules, document_modules=documents)]
        model = SentenceTransformer(modules=modules, device="cpu")
        with atomic_folder(folder) as temporary:
            model.save_pretrained(str(temporary), create_model_card=False)


def _modules_of(tower: Tower, tokenizer: PreTrainedTokenizerBase, scratch: Path) -> list[Any]:
    with needs_extra("pipeline"):
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    # The library's Transformer module can only be made from a folder.
    tower.transformer.save_pretrained(scratch)  # type: ignore[operator]
    tokenizer.save_pretrained(scratch)
    modules: list[Any] = [
        Transformer(str(scratch), max_seq_length=tokenizer.model_max_length),
        Pooling(tower.width, pooling_mode=tower.pooling),
    ]
    return [*modules, Normalize()] if tower.normalize else modules


def load_towers(folder: Path) -> tuple[Tower, Tower | None, PreTrainedTokenizerBase]:
    """Loads a SentenceTransformer.

    Returns:
        The query tower; the passage tower, or None if one tower serves both sides; and the tokenizer.

    Raises:
        InputError: the folder does not hold a SentenceTransformer, or holds one with other modules.
    """
    if not (folder / "modules.json").is_file():
        raise InputError(folder, "", "not a SentenceTransformer (no modules.json)", "Train or fetch it again")
    try:
        modules = [(_kind(row["type"]), folder / row["path"]) for row in read_json(folder / "modules.json")]
        if [kind for kind, _ in modules] == ["Router"]:
            query, passage = _routes(modules[0][1])
            return _tower(folder, query), _tower(folder, passage), _tokenizer(query[0][1])
        return _tower(folder, modules), None, _tokenizer(modules[0][1])
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        problem = f"not a SentenceTransformer ({type(error).__name__}: {error})"
        raise InputError(folder, "", problem, "Train or fetch it again") from error


def _routes(folder: Path) -> tuple[list[tuple[str, Path]], list[tuple[str, Path]]]:
    """Returns the modules (kind, folder) for queries, and those for documents."""
    config = read_json(folder / "router_config.json")
    routes = [
        [(_kind(config["types"][name]), folder / name) for name in config["structure"][route]]
        for route in ("query", "document")
    ]
    return routes[0], routes[1]


def _kind(module: str) -> str:
    """Returns the name of a module's class. Its package depends on the version of the library."""
    return module.rpartition(".")[2]


def _tower(folder: Path, modules: list[tuple[str, Path]]) -> Tower:
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(
            folder,
            "",
            f"modules {', '.join(kinds)} are not supported",
            "Give a model of Transformer and Pooling, with or without Normalize",
        )
    path = str(modules[0][1])
    pooling = _pooling(modules[1][1] / "config.json")
    source = EncoderSource(folder.name, "folder", path, path, pooling)
    return load_tower(source, normalize="Normalize" in kinds)


def _pooling(path: Path) -> Pooling:
    config = read_json(path)
    modes = [config["pooling_mode"]] if "pooling_mode" in config else []
    modes += [
        _OLD_POOLING.get(key, key) for key, on in config.items() if key.startswith("pooling_mode_") and on
    ]
    if modes not in (["cls"], ["mean"]):
        raise InputError(
            path, "pooling_mode", f"{modes} is not supported", "Give a model with cls or mean pooling"
        )
    pooling: Pooling = modes[0]
    return pooling


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Loads the tokenizer with the model's maximal length, which older versions save in a separate file."""
    separate = folder / "sentence_bert_config.json"
    max_tokens = read_json(separate).get("max_seq_length") if separate.is_file() else None
    return load_tokenizer(folder, max_tokens)
