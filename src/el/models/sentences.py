"""Towers as a `SentenceTransformer` on disk.

The library writes them. They are read without it, because importing it takes seconds, and all that is
needed is a transformer, its pooling and its normalisation.
"""

import tempfile
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from el.base.errors import InputError
from el.base.extras import needs_extra
from el.base.files import atomic_folder, read_json
from el.models.tower import EncoderSource, Pooling, Tower, load_tokenizer, load_tower

# Until version 5 a pooling's mode was one of several booleans.
_OLD_POOLING: dict[str, Pooling] = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


def save_towers(
    query: Tower, passage: Tower | None, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes a SentenceTransformer; with two towers, one that routes queries and documents."""
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

    # SentenceTransformer's own Transformer module reads a folder, and so it gets one.
    tower.transformer.save_pretrained(scratch)  # type: ignore[operator]
    tokenizer.save_pretrained(scratch)
    modules: list[Any] = [
        Transformer(str(scratch), max_seq_length=tokenizer.model_max_length),
        Pooling(tower.width, pooling_mode=tower.pooling),
    ]
    return [*modules, Normalize()] if tower.normalize else modules


def load_towers(folder: Path) -> tuple[Tower, Tower | None, PreTrainedTokenizerBase]:
    """Loads query tower, passage tower (None where one serves both sides) and tokenizer.

    Raises:
        InputError: the folder holds no SentenceTransformer, or one of other modules.
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
    """The modules of queries and those of documents."""
    config = read_json(folder / "router_config.json")
    routes = [
        [(_kind(config["types"][name]), folder / name) for name in config["structure"][route]]
        for route in ("query", "document")
    ]
    return routes[0], routes[1]


def _kind(module: str) -> str:
    """The class of a module, which versions of the library keep in different places."""
    return module.rpartition(".")[2]


def _tower(folder: Path, modules: list[tuple[str, Path]]) -> Tower:
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(
            folder,
            "",
            f"modules {', '.join(kinds)}",
            "A Transformer, a Pooling and at most a Normalize are needed",
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
        raise InputError(path, "pooling_mode", f"{modes}", "One of cls and mean is needed")
    pooling: Pooling = modes[0]
    return pooling


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, cutting texts where the model was told to; older versions say that beside it."""
    beside = folder / "sentence_bert_config.json"
    cut = read_json(beside).get("max_seq_length") if beside.is_file() else None
    return load_tokenizer(folder, cut)
