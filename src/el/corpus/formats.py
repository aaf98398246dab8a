"""Any corpus in, and linked documents out in the format that came in."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TextIO

from el.corpus.bioc_xml import read_bioc, write_bioc
from el.corpus.fields import candidate_rows, format_ids, format_scores
from el.corpus.plain import read_plain
from el.corpus.pubtator import read_pubtator, write_pubtator
from el.corpus.store import read_documents
from el.corpus.types import Document, LinkedDocument, LinkedMention
from el.errors import ElError, InputError
from el.files import atomic_file

Format = Literal["bioc", "pubtator", "plain", "jsonl"]

TSV_COLUMNS = ("document", "start", "stop", "text", "type", "ids", "scores", "names")

_HEAD_BYTES = 1 << 16
_XML = re.compile(rb"<(\?xml|!DOCTYPE|collection)\b")
_PUBTATOR = re.compile(rb"[^|\t\n]+\|t\|")
_JSON_LINES = re.compile(rb'\{"id":.*"passages":')


def read_corpus(path: Path, format: Format | Literal["auto"] = "auto") -> tuple[Format, Iterator[Document]]:
    """Reads a file of documents.

    Args:
        path: BioC XML, PubTator, plain text (one document), or JSON lines as `el.corpus.store` writes them.
        format: "auto" goes by what the file begins with; what is nothing else is plain text.

    Returns:
        The format, and the documents, which are read as they are asked for.

    Raises:
        InputError: now if the file is missing; while reading if it cannot be read, or if a mention's text
            is not the text at its offsets.
    """
    found = _recognise(path) if format == "auto" else format
    if found == "bioc":
        return found, read_bioc(path)
    if found == "pubtator":
        return found, read_pubtator(path)
    if found == "jsonl":
        return found, read_documents(path)
    return found, map(read_plain, [path])


def write_linked(documents: Sequence[LinkedDocument], target: Path | TextIO, format: Format) -> None:
    """Writes linked documents.

    - "bioc": the documents as they came, with links as infons; see `write_bioc`.
    - "pubtator": the documents as they came, with links in columns 6 and 8; see `write_pubtator`.
    - "plain": the links only, a table of tab-separated `TSV_COLUMNS` under a header, one mention a line;
      ids, scores and preferred names are joined by `|`, in the same order; ids are `-1` for NIL.
    - "jsonl": the links only, one JSON object a mention: document, mention, spans, text, type, predicted,
      decided_by, candidates (id, name, score, matched_name; best first).

    Args:
        documents: what the linker found.
        target: a file, written whole or not at all, or an open stream.
        format: usually the one that `read_corpus` returned.

    Raises:
        ElError: the format cannot hold the documents.
    """
    with _opened(target) as stream:
        if format == "plain":
            _write_tsv(documents, stream)
        elif format == "jsonl":
            _write_json_lines(documents, stream)
        else:
            _check_ids(documents)
            write = write_bioc if format == "bioc" else write_pubtator
            links = {
                (linked.document.id, mention.mention.id): mention
                for linked in documents
                for mention in linked.mentions
            }
            write((_with_linked_mentions(linked) for linked in documents), stream, links)


def _check_ids(documents: Sequence[LinkedDocument]) -> None:
    counts = Counter(linked.document.id for linked in documents)
    repeated = next((document_id for document_id, count in counts.items() if count > 1), None)
    if repeated is not None:
        raise ElError(
            f"{counts[repeated]} documents have the id {repeated!r}: their links cannot be told apart. "
            "Give each document an id of its own"
        )


def _recognise(path: Path) -> Format:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Check the path") from error
    if _XML.match(head):
        return "bioc"
    if _PUBTATOR.match(head):
        return "pubtator"
    if _JSON_LINES.match(head):
        return "jsonl"
    return "plain"


@contextlib.contextmanager
def _opened(target: Path | TextIO) -> Iterator[TextIO]:
    if not isinstance(target, Path):
        yield target
        return
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream


def _with_linked_mentions(linked: LinkedDocument) -> Document:
    """The document with the linked mentions added that it does not have yet (those found by the linker)."""
    document = linked.document
    known = {mention.id for mention in document.mentions}
    found = [mention.mention for mention in linked.mentions if mention.mention.id not in known]
    mentions = sorted([*document.mentions, *found], key=lambda mention: (mention.start, mention.stop))
    return Document(document.id, document.passages, tuple(mentions), document.relations)


def _write_tsv(documents: Sequence[LinkedDocument], stream: TextIO) -> None:
    stream.write("\t".join(TSV_COLUMNS) + "\n")
    for document in documents:
        for linked in document.mentions:
            # A mention may run over a line end.
            fields = [" ".join(field.split()) for field in _tsv_fields(document.document.id, linked)]
            stream.write("\t".join(fields) + "\n")


def _tsv_fields(document_id: str, linked: LinkedMention) -> list[str]:
    mention = linked.mention
    names = {link.concept_id: link.name for link in linked.links}
    return [
        document_id,
        str(mention.start),
        str(mention.stop),
        mention.text,
        mention.type,
        format_ids(linked.predicted),
        format_scores(linked.scores),
        "|".join(names.get(concept_id, "") for concept_id in linked.predicted),
    ]


def _write_json_lines(documents: Sequence[LinkedDocument], stream: TextIO) -> None:
    for document in documents:
        for linked in document.mentions:
            row = {
                "document": document.document.id,
                "mention": linked.mention.id,
                "spans": [[span.start, span.stop] for span in linked.mention.spans],
                "text": linked.mention.text,
                "type": linked.mention.type,
                "predicted": linked.predicted,
                "decided_by": linked.decided_by,
                "candidates": candidate_rows(linked.links),
            }
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
