"""Converted corpora on disk: JSON lines, one document a line.

    {"id": str,
     "passages": [{"kind": str, "offset": int, "text": str}, ...],
     "mentions": [{"id": str, "spans": [[start, stop], ...], "text": str, "type": str,
                   "concept_ids": [str, ...], "part_texts": [str, ...], "role": str}, ...],
     "relations": [[kind, first id, second id], ...]}

Keys and values are those of `el.corpus.types`; what is written is read back equal.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from el.corpus.checks import make_document
from el.corpus.types import Document, Mention, Passage, Span
from el.errors import InputError
from el.files import read_jsonl, write_jsonl


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Writes documents, atomically. Returns their number."""
    return write_jsonl(path, (_row(document) for document in documents))


def read_documents(path: Path) -> Iterator[Document]:
    """Yields the documents that `write_documents` wrote.

    Raises:
        InputError: the file is missing, a line is not a document, or a mention's text is not the text
            at its offsets.
    """
    for number, row in read_jsonl(path):
        try:
            document = _document(path, row)
        except (LookupError, TypeError, ValueError) as error:
            problem = f"not a document ({type(error).__name__}: {error})"
            raise InputError(path, f"line {number}", problem, "Convert the corpus again") from error
        yield document


def _row(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "passages": [
            {"kind": passage.kind, "offset": passage.offset, "text": passage.text}
            for passage in document.passages
        ],
        "mentions": [_mention_row(mention) for mention in document.mentions],
        "relations": document.relations,
    }


def _mention_row(mention: Mention) -> dict[str, Any]:
    return {
        "id": mention.id,
        "spans": [[span.start, span.stop] for span in mention.spans],
        "text": mention.text,
        "type": mention.type,
        "concept_ids": mention.concept_ids,
        "part_texts": mention.part_texts,
        "role": mention.role,
    }


def _document(path: Path, row: dict[str, Any]) -> Document:
    passages = [Passage(**passage) for passage in row["passages"]]
    mentions = [_mention(mention) for mention in row["mentions"]]
    relations = [(kind, first, second) for kind, first, second in row["relations"]]
    return make_document(path, row["id"], passages, mentions, relations)


def _mention(row: dict[str, Any]) -> Mention:
    return Mention(
        id=row["id"],
        spans=tuple(Span(start, stop) for start, stop in row["spans"]),
        text=row["text"],
        type=row["type"],
        concept_ids=tuple(row["concept_ids"]),
        part_texts=tuple(row["part_texts"]),
        role=row["role"],
    )
