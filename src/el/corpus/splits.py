"""The splits of a converted corpus, or of several corpora together.

A folder of one corpus has train.jsonl, dev.jsonl and test.jsonl. A folder of several corpora has such a
folder for each of them, with the corpus's name.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from el.base.errors import InputError
from el.base.files import sha256_file
from el.corpus.store import read_documents
from el.corpus.types import Document


def split_files(corpus: Path, split: str) -> dict[str, Path]:
    """Returns the files of a split.

    Args:
        corpus: the folder of one converted corpus, or of several.
        split: "train", "dev" or "test".

    Returns:
        The name of a corpus -> its file, sorted by name. A single corpus has the name "".

    Raises:
        InputError: there is no such file, or one of several corpora has none.
    """
    names = sorted({path.parent.name for path in corpus.glob("*/*.jsonl")})
    single = corpus / f"{split}.jsonl"
    files = {name: corpus / name / single.name for name in names} or {"": single}
    for path in files.values():
        if not path.is_file():
            raise InputError(path, "", "no such file", "Convert the corpus first")
    return files


def split_documents(corpus: Path, split: str) -> Iterator[Document]:
    """Yields the documents of a split, corpus by corpus. Raises InputError if a file is missing or broken."""
    for path in split_files(corpus, split).values():
        yield from read_documents(path)


def split_checksum(corpus: Path, split: str) -> str:
    """Returns the SHA-256 of a split's file; of several files, that of their names and checksums."""
    sums = {name: sha256_file(path) for name, path in split_files(corpus, split).items()}
    if "" in sums:
        return sums[""]
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()
