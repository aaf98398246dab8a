"""The checks that a document must pass, whatever its format."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from el.base.errors import InputError
from el.corpus.opening import MAX_DOCUMENT
from el.corpus.types import Document, Mention, Passage, Span

Skip = Callable[[InputError], None]
"""Receives the error of a document, or of a mention (`MentionError`), that cannot be used.

If the function returns, the document or the mention is skipped. To stop, the function raises the error.
"""

# The mentions of a document whose errors say what their offsets seem to count. Each such error looks at the
# whole text. A larger value takes more time for documents in which no offset fits.
_HINTS = 10

_Item = TypeVar("_Item")

# The most characters of a text that a message shows. With more, a bad offset could print a whole document.
_SHOWN = 80


class MentionError(InputError):
    """One mention of a document cannot be used. The rest of the document can.

    Args:
        path: the file.
        place: the document and the annotation.
        problem: what is wrong there.
        remedy: what the user can do about it.
        type: the mention's type, in lower case. A mention of a type that is not linked does no harm.
    """

    def __init__(self, path: Path | str, place: str, problem: str, remedy: str, type: str = "") -> None:
        super().__init__(path, place, problem, remedy)
        self.type = type
        self._arguments = (path, place, problem, remedy, type)


def report(error: InputError, skip: Skip | None) -> None:
    """Gives an error to `skip`; raises the error if `skip` is None."""
    if skip is None:
        raise error
    skip(error)


def shortened(text: str) -> str:
    """Returns a text for a message, cut off if it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def quoted(text: str) -> str:
    """Returns a text for a message, in quotes, cut off if it is long."""
    return repr(shortened(text))


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
            report(error, skip)
        else:
            yield document


def make_document(
    path: Path,
    document_id: str,
    passages: Iterable[Passage],
    mentions: Iterable[Mention],
    relations: Iterable[tuple[str, str, str]] = (),
    source: object = None,
    skip: Skip | None = None,
    lines: Mapping[str, int] | None = None,
) -> Document:
    """Makes a document: sorts the mentions and checks passages and mentions.

    Args:
        path: the file, for messages.
        document_id: see `Document.id`.
        passages: see `Document.passages`.
        mentions: in any order.
        relations: see `Document.relations`.
        source: see `Document.source`.
        skip: receives the error of each mention that cannot be used, and the document is made without the
            mention. None raises the error.
        lines: mention id -> number of its line in the file, for messages; None if the format has no lines.

    Raises:
        InputError: passages overlap, or the text is too large.
        MentionError: two mentions share an id, or a mention's text differs from the text at its offsets.
    """
    in_order = sorted(mentions, key=lambda mention: (mention.start, mention.stop))
    document = Document(document_id, tuple(passages), (), tuple(relations), source)
    text = checked_text(path, document_id, document.passages)
    sound = _sound_mentions(path, document, text, in_order, skip, lines or {})
    return replace(document, mentions=tuple(sound))


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


def offset_hint(text: str, spans: Sequence[Span], surface: str, passages: Sequence[Passage] = ()) -> str:
    """Returns what offsets that do not fit seem to count: "these look like offsets in ..."; "" if unknown.

    Args:
        text: the document's text.
        spans: the places of a mention, as the file gives them.
        surface: the mention's text, as the file gives it.
        passages: the document's passages.
    """
    if not surface or not spans:
        return ""
    # In some files the offsets of passages fit, and offsets inside a passage have another unit.
    holder = next((passage for passage in reversed(passages) if passage.offset <= spans[0].start), None)
    texts = [(0, text)] + ([(holder.offset, holder.text)] if holder else [])
    for offset, part in texts:
        moved = _moved(spans, -offset)
        if _is_at(part, "utf-8", moved, surface):
            return "these look like offsets in bytes of UTF-8"
        if _is_at(part, "utf-16-le", moved, surface):
            return "these look like offsets in UTF-16 units"
    if _is_at(text, "utf-32-le", _moved(spans, -1), surface):
        return "these look like offsets that count from 1"
    if any(_is_at(passage.text, "utf-32-le", spans, surface) for passage in passages):
        return "these look like offsets relative to the passage"
    return ""


# The bytes of one character of the encoding's unit. UTF-32 has one unit for each code point.
_UNITS = {"utf-8": 1, "utf-16-le": 2, "utf-32-le": 4}


def _moved(spans: Iterable[Span], shift: int) -> list[Span]:
    return [Span(span.start + shift, span.stop + shift) for span in spans]


def _is_at(text: str, encoding: str, spans: Sequence[Span], surface: str) -> bool:
    """Whether a mention's text stands at offsets in units of an encoding."""
    unit = _UNITS[encoding]
    length = sum(span.stop - span.start for span in spans) + len(spans) - 1
    # The lengths are compared first: offsets that span a long text would copy it.
    if length * unit != len(_encoded(surface, encoding)):
        return False
    encoded, found = _encoded(text, encoding), []
    for start, stop in ((span.start * unit, span.stop * unit) for span in spans):
        if not 0 <= start < stop <= len(encoded):
            return False
        found.append(encoded[start:stop].decode(encoding, "replace"))
    return surface == " ".join(found)


# Many mentions of one document may be off. Without the cache, each would encode the text again.
@lru_cache(maxsize=8)
def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "surrogatepass")


def _sound_mentions(
    path: Path,
    document: Document,
    text: str,
    mentions: Iterable[Mention],
    skip: Skip | None,
    lines: Mapping[str, int],
) -> Iterator[Mention]:
    seen: set[str] = set()
    unsound = 0
    for mention in mentions:
        place = f"document {document.id}, annotation {mention.id}"
        if mention.id in lines:
            place = f"line {lines[mention.id]}, {place}"
        try:
            hinted = document if unsound < _HINTS else None
            _check_mention(path, place, text, mention, seen, hinted)
        except MentionError as error:
            unsound += 1
            report(error, skip)
        else:
            seen.add(mention.id)
            yield mention


def _check_mention(
    path: Path, place: str, text: str, mention: Mention, seen: Container[str], hinted: Document | None
) -> None:
    """Raises MentionError if a mention cannot be used.

    Args:
        path: the file.
        place: the document and the mention, for messages.
        text: the document's text.
        mention: the mention.
        seen: the ids of other mentions.
        hinted: the document if the message may hint at what the offsets count; None if not.
    """

    def error(problem: str, remedy: str) -> MentionError:
        return MentionError(path, place, problem, remedy, mention.type)

    if mention.id in seen:
        raise error("another annotation has this id", "Make the ids unique in the document")
    if any(not 0 <= span.start < span.stop for span in mention.spans):
        raise error("a location is empty or negative", "Correct its offsets")
    # Some readers take a missing surface form from the document. Such a form equals the text at its offsets
    # even where the offsets lie beyond the document's end.
    if any(span.stop > len(text) for span in mention.spans) or not _stands(text, mention):
        pieces = (text[span.start : min(span.stop, span.start + _SHOWN + 1)] for span in mention.spans)
        where = ", ".join(f"{span.start}:{span.stop}" for span in mention.spans)
        beyond = f" (the text ends at {len(text)})" if mention.stop > len(text) else ""
        found = quoted(" ".join(pieces))
        hint = offset_hint(text, mention.spans, mention.text, hinted.passages) if hinted else ""
        raise error(
            f"expected {quoted(mention.text)} at {shortened(where)}, found {found}{beyond}"
            + (f"; {hint}" if hint else ""),
            "Count offsets in Unicode code points from the start of the document, or correct the text",
        )


def _stands(text: str, mention: Mention) -> bool:
    """Whether the mention's text stands at its offsets."""
    # The lengths are compared first: many short mentions may have offsets that span the whole document.
    length = sum(span.stop - span.start for span in mention.spans) + len(mention.spans) - 1
    return length == len(mention.text) and mention.text == " ".join(
        text[span.start : span.stop] for span in mention.spans
    )
