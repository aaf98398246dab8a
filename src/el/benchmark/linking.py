"""Measures how long a whole linker takes to open and to link documents, and the memory that it needs.

This module does not import PyTorch. So the measuring process has the same modules in memory as `el link`.
"""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from el.base.files import read_json, write_json
from el.benchmark.memory import peak_memory_mb
from el.corpus.types import Document
from el.linking.linker import Linker
from el.linking.mentions import FindMentions
from el.models.inputs import tokens_for

# The number of documents that are linked before the clock starts. The first documents are slower.
_WARM_UP = 8


def time_linker(folder: Path, documents: Sequence[Document], find: FindMentions) -> dict[str, float]:
    """Opens a linker and links documents. Equal mentions are linked once. Must run in a new process.

    Args:
        folder: the linker's folder.
        documents: the documents with their mentions.
        find: "never" links the given mentions; otherwise they are removed and mentions are found.

    Returns:
        `ready_seconds`: time until the first document is linked, without the import of Python modules;
        `documents_per_second` and `mentions_per_second`: the rates after a warm-up;
        `peak_memory_mb`: the peak memory of this process so far, including mapped files.
    """
    if find != "never":
        documents = [replace(document, mentions=()) for document in documents]
    start = time.perf_counter()
    linker = Linker.load(folder)
    for _ in linker.link(documents[:1], find):
        pass
    ready = time.perf_counter() - start
    of_documents, of_mentions = _rate(linker, documents, find)
    return {
        "ready_seconds": round(ready, 2),
        "documents_per_second": round(of_documents, 1),
        "mentions_per_second": round(of_mentions, 1),
        "peak_memory_mb": round(peak_memory_mb()),
    }


def with_context(folder: Path, characters: int, scratch: Path) -> Path:
    """Makes a linker that reads context around mentions. It is for timing only: its answers are bad.

    Args:
        folder: the linker; its model was trained on bare mentions.
        characters: characters of context on each side of a mention.
        scratch: where to put the new linker; its files are symbolic links to those of `folder`.
    """
    made = scratch / "with_context"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(folder.resolve(), made, copy_function=os.symlink)
    settings = {
        made / "manifest.json": {"inputs": {"context_characters": characters}},
        made / "compiled" / "manifest.json": {"max_tokens": tokens_for(characters)},
    }
    for path, changed in settings.items():
        write_json(path, read_json(path) | changed)
    return made


def _rate(linker: Linker, documents: Sequence[Document], find: FindMentions) -> tuple[float, float]:
    """Returns documents and mentions per second.

    The documents of the warm-up are not timed again, unless there are no others.
    """
    for _ in linker.link(documents[:_WARM_UP], find):
        pass
    timed = documents[_WARM_UP:] or documents
    start, mentions = time.perf_counter(), 0
    for linked in linker.link(timed, find):
        mentions += len(linked.mentions)
    seconds = time.perf_counter() - start
    return len(timed) / seconds, mentions / seconds
