"""Plain text in."""

from pathlib import Path

from el.corpus.types import Document, Passage
from el.errors import InputError


def read_plain(path: Path) -> Document:
    """Reads a text file as one document: its name without suffix is the id, its paragraphs are the passages.

    Paragraphs are parted by blank lines. Offsets count the characters of the file as it stands, line ends
    included; a byte order mark does not count.

    Raises:
        InputError: the file is missing, is not UTF-8 or holds no text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Check the path") from error
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 ({error.reason})"
        raise InputError(path, f"byte {error.start}", problem, "Convert the file to UTF-8") from error
    passages = _paragraphs(text)
    if not passages:
        raise InputError(path, "", "holds no text", "Give a file with text in it")
    return Document(path.stem, passages)


def _paragraphs(text: str) -> tuple[Passage, ...]:
    """Runs of lines that are not blank, without the white space around each run."""
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
    return tuple(passages)
