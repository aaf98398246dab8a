"""Reads plain text. Plain text cannot hold links; they are written as a table, see `el.corpus.tables`."""

import re
from collections.abc import Iterator
from pathlib import Path

from el.base.errors import InputError
from el.corpus.checks import Skip, read_each
from el.corpus.opening import BLANKS, decoded, document_name, read_whole
from el.corpus.types import Document, Passage

BYTE_ORDER_MARK = "\ufeff"

# A line that is not empty.
_LINE = re.compile(r"[^\n]+")
# A line without the blanks around it.
_INK = re.compile(f"[^{BLANKS}](?:.*[^{BLANKS}])?", re.DOTALL)


def read_plain(path: Path, skip: Skip | None = None) -> Iterator[Document]:
    """Yields a text file as one document. The id is the file's name without its suffix.

    The passages are paragraphs, separated by blank lines. Offsets count the characters of the file, with line
    ends and without a byte order mark.

    Args:
        path: the file.
        skip: receives the error if the document cannot be used, and the document is skipped. None raises the
            error.

    Raises:
        InputError: the file is missing, is too large, is not UTF-8 or holds no text.
    """
    return read_each([path], _read_document, skip)


def _read_document(path: Path) -> Document:
    text = decoded(path, read_whole(path)).removeprefix(BYTE_ORDER_MARK)
    return Document(document_name(path), paragraphs(path, text))


def paragraphs(path: Path, text: str) -> tuple[Passage, ...]:
    """Returns the paragraphs of a text: runs of lines that are not blank, without white space around them.

    Args:
        path: the file, for messages.
        text: its text.

    Raises:
        InputError: the text has no paragraphs.
    """
    places: list[tuple[int, int]] = []
    end = -2
    for line in _LINE.finditer(text):
        ink = _INK.search(text, *line.span())
        if ink is None:
            continue
        if line.start() == end + 1:
            places[-1] = (places[-1][0], ink.end())
        else:
            places.append(ink.span())
        end = line.end()
    if not places:
        raise InputError(path, "", "holds no text", "Give a file with text in it")
    return tuple(Passage("paragraph", start, text[start:stop]) for start, stop in places)
