"""Splits of one corpus and of several, with the same functions."""

from pathlib import Path

import pytest

from el.base.errors import ConfigError, InputError
from el.corpus.splits import split_checksum, split_documents, split_files
from el.corpus.store import write_documents
from el.corpus.types import Document, Mention, Span
from el.evaluation.protocol import named_protocol
from el.evaluation.run import load_split, split_queries


def write(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev", "test"):
        documents = [Document.of_text(f"{name}-{split}", "fever") for name in names]
        mention = Mention("0", (Span(0, 5),), "fever", "disease", ("D1",))
        write_documents(
            folder / f"{split}.jsonl", [Document(d.id, d.passages, (mention,)) for d in documents]
        )


def test_one_corpus(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    assert split_files(tmp_path, "dev") == {"": tmp_path / "dev.jsonl"}
    assert [document.id for document in split_documents(tmp_path, "dev")] == ["a-dev", "b-dev"]
    split = load_split(tmp_path, "dev")
    assert (split.corpora, split.of_corpora) == ({}, [split.documents])
    with pytest.raises(ConfigError, match="scores the corpus bc5cdr, which the data do not have"):
        split.scored(named_protocol("bc5cdr"))


def test_several_corpora_are_read_together_and_scored_apart(tmp_path: Path) -> None:
    write(tmp_path / "ncbi_disease", "n")
    write(tmp_path / "bc5cdr", "a", "b")
    assert [document.id for document in split_documents(tmp_path, "train")] == [
        "a-train",
        "b-train",
        "n-train",
    ]
    split = load_split(tmp_path, "test")
    assert [document.id for document in split.documents] == ["a-test", "b-test", "n-test"]
    for protocol, expected in (
        ("full", ["a-test", "b-test", "n-test"]),
        ("bc5cdr", ["a-test", "b-test"]),
        ("ncbi_disease", ["n-test"]),
    ):
        queries = split_queries(split, named_protocol(protocol), 0)
        assert [query.document_id for query in queries] == expected


def test_the_checksum_changes_with_every_file_and_name(tmp_path: Path) -> None:
    write(tmp_path / "one" / "x", "a")
    write(tmp_path / "one" / "y", "b")
    write(tmp_path / "two" / "x", "a")
    write(tmp_path / "two" / "z", "b")
    write(tmp_path / "three" / "x", "a")
    write(tmp_path / "three" / "y", "c")
    sums = {split_checksum(tmp_path / name, "dev") for name in ("one", "two", "three")}
    assert len(sums) == 3


def test_a_split_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dev\.jsonl: no such file\. Convert the corpus first"):
        split_files(tmp_path, "dev")
    # A corpus that lacks a split is not left out.
    write(tmp_path / "bc5cdr", "a")
    write(tmp_path / "ncbi_disease", "n")
    (tmp_path / "ncbi_disease" / "dev.jsonl").unlink()
    with pytest.raises(InputError, match=r"ncbi_disease/dev\.jsonl: no such file"):
        split_files(tmp_path, "dev")
