"""Plain text in. It has no room for links: they are written as a table, see `el.corpus.tables`."""

from collections.abc import Iterator
from pathlib import Path

from el.base.errors import InputError
from el.corpus.checks import Skip, read_each
from el.corpus.opening import decoded, document_name, read_whole
from el.corpus.types import Document, Passage

BYTE_ORDER_MARK = "\ufeff"


def read_plain(path: Path, skip: Skip | None = None) -> Iterator[Document]:
    """Yields a text file as one document: its name without suffix is the id, its paragraphs are the passages.

    Paragraphs are parted by blank lines. Offsets count the characters of the file as it stands, line ends
    included; a byte order mark does not count.

    Args:
        path: the file.
        skip: is told of a document that cannot be used, which is left out; None to raise instead.

    Raises:
        InputError: the file is missing, too large, is not UTF-8 or holds no text.
    """
    return read_each([path], _read_document, skip)


def _read_document(path: Path) -> Document:
    text = decoded(path, read_whole(path)).removeprefix(BYTE_ORDER_MARK)
    return Document(document_name(path), paragraphs(path, text))


def paragraphs(path: Path, text: str) -> tuple[Passage, ...]:
    """Returns the runs of lines that are not blank, without the white space around each run.

    Raises:
        InputError: there is none.
    """
    passages: list[Passage] = []
    start = stop = offset = 0
    # The empty line at the end closes the last paragraph.
    for line in [*text.split("\n"), ""]:
        if line.strip():
            start = start if stop else offset + len(line) - len(line.lstrip())
            stop = offset + len(line.rstrip())
        elif stop:
            passages.append(Passage("paragraph", start, text[start:stop]))
            stop = 0
        offset += len(line) + 1
    if not passages:
        raise InputError(path, "", "holds no text", "Give a file with text in it")
    return tuple(passages)
