"""The checks that a document must pass, whatever its format."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from el.base.errors import InputError
from el.corpus.opening import MAX_DOCUMENT
from el.corpus.types import Document, Mention, Passage

Skip = Callable[[InputError], None]
"""Receives the error of a document that cannot be used. The document is skipped."""

_Item = TypeVar("_Item")


def read_each(
    items: Iterable[_Item], read: Callable[[_Item], Document], skip: Skip | None
) -> Iterator[Document]:
    """Yields the document that `read` makes of each item.

    Args:
        items: parts of a file, one for each document.
        read: makes a document of an item.
        skip: receives the errors of `read`, and the items that caused them are skipped. None raises them.

    Raises:
        InputError: an error of `read` if `skip` is None; an error of `items` in any case.
    """
    for item in items:
        try:
            document = read(item)
        except InputError as error:
            if skip is None:
                raise
            skip(error)
        else:
            yield document


def make_document(
    path: Path,
    document_id: str,
    passages: Iterable[Passage],
    mentions: Iterable[Mention],
    relations: Iterable[tuple[str, str, str]] = (),
    source: object = None,
) -> Document:
    """Makes a document: sorts the mentions and checks passages and mentions.

    Args:
        path: the file, for messages.
        document_id: see `Document.id`.
        passages: see `Document.passages`.
        mentions: in any order.
        relations: see `Document.relations`.
        source: see `Document.source`.

    Raises:
        InputError: passages overlap, the text is too large, two mentions share an id, or a mention's text
            differs from the text at its offsets.
    """
    in_order = sorted(mentions, key=lambda mention: (mention.start, mention.stop))
    document = Document(document_id, tuple(passages), tuple(in_order), tuple(relations), source)
    _check_mentions(path, document, checked_text(path, document_id, document.passages))
    return document


def checked_text(path: Path, document_id: str, passages: Iterable[Passage]) -> str:
    """Returns the text of a document with these passages; see `Document.text`.

    Raises:
        InputError: passages overlap, or a passage ends beyond the size limit of a document.
    """
    passages = tuple(passages)
    end = 0
    for passage in passages:
        place = f"document {document_id}, passage at {passage.offset}"
        if passage.offset < end:
            raise InputError(
                path,
                place,
                f"starts before {end}, where the previous passage ends",
                "Give the passages increasing offsets, in Unicode code points",
            )
        end = passage.offset + len(passage.text)
        if end > MAX_DOCUMENT:
            problem = f"ends after character {MAX_DOCUMENT:,}, the limit of a document"
            raise InputError(path, place, problem, "Split the document")
    return Document(document_id, passages).text


def _check_mentions(path: Path, document: Document, text: str) -> None:
    seen: set[str] = set()
    for mention in document.mentions:
        place = f"document {document.id}, annotation {mention.id}"
        if mention.id in seen:
            raise InputError(
                path, place, "another annotation has this id", "Make the ids unique in the document"
            )
        seen.add(mention.id)
        if any(not 0 <= span.start < span.stop for span in mention.spans):
            raise InputError(path, place, "a location is empty or negative", "Correct its offsets")
        found = " ".join(text[span.start : span.stop] for span in mention.spans)
        # Some readers take a missing surface form from the document. Such a form equals the text at its
        # offsets even where the offsets lie beyond the document's end.
        if found != mention.text or any(span.stop > len(text) for span in mention.spans):
            where = ", ".join(f"{span.start}:{span.stop}" for span in mention.spans)
            beyond = f" (the text ends at {len(text)})" if mention.stop > len(text) else ""
            raise InputError(
                path,
                place,
                f"expected {mention.text!r} at {where}, found {found!r}{beyond}",
                "Count offsets in Unicode code points from the start of the document, or correct the text",
            )
