"""The common part of all readers of ontology files: opening a file, its lines, and unchecked concepts."""

import contextlib
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from el.base.errors import InputError
from el.base.files import GZIP_ERRORS, open_unpacked
from el.ontology.ontology import Name


@dataclass(frozen=True, slots=True)
class Entry:
    """One concept as a file gives it, before any check.

    Attributes:
        place: the place in the file, such as "line 12".
        id: the concept's id; "" if the file gives none.
        names: the names, the preferred name first. The relation of a name says whether it is exact.
        kind: the kind, as the file spells it; "" if the file gives none.
        definition: the definition; "" if the file gives none.
        namespace: the part of the ontology that the concept belongs to; "" if the file names none.
        obsolete: whether the file marks the concept as obsolete.
        replaced: whether an obsolete concept has a successor.
    """

    place: str
    id: str
    names: tuple[Name, ...]
    kind: str = ""
    definition: str = ""
    namespace: str = ""
    obsolete: bool = False
    replaced: bool = False


@contextlib.contextmanager
def open_file(
    path: Path, *, by_name: bool = False, remedy: str = "Copy or fetch it again"
) -> Iterator[BinaryIO]:
    """Opens a file of bytes, optionally gzipped. See `el.base.files.open_unpacked`.

    Args:
        path: the file.
        by_name: whether the suffix `.gz`, and not the first bytes, shows that the file is gzipped.
        remedy: what the user can do about a damaged gzip file.

    Raises:
        InputError: the file does not exist, or a gzip file is cut or damaged. The latter may be raised when
            the block reads.
    """
    if not path.is_file():
        raise InputError(path, "", "no such file", "Check the path")
    try:
        with open_unpacked(path, by_name=by_name) as stream:
            yield stream
    except GZIP_ERRORS as error:
        raise InputError(path, "", f"not a complete gzip file ({error})", remedy) from error


def text_lines(path: Path, remedy: str = "Convert the file to UTF-8") -> Iterator[tuple[int, str]]:
    """Yields (line number from 1, line with its end). A byte order mark is dropped.

    Args:
        path: the file, optionally gzipped.
        remedy: what the user can do about a file that is not UTF-8.

    Raises:
        InputError: the file is missing, is not UTF-8, or is a gzip file that is cut or damaged.
    """
    number = 0
    try:
        with open_file(path) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 (byte {error.start + 1} of the line)"
        raise InputError(path, f"line {number}", problem, remedy) from error


def tsv_rows(path: Path, columns: int, remedy: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number from 1, cells) for each line of a table with columns separated by tabs.

    A cell that holds a tab is quoted with double quotes.

    Args:
        path: the table, optionally gzipped.
        columns: the number of columns.
        remedy: what the user can do about a broken line.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is malformed or has another number of columns.
    """
    for number, line in text_lines(path, remedy):
        # Each line gets a reader, so that a quote without an end cannot extend into the lines that follow.
        reader = csv.reader([line.rstrip("\r\n")], delimiter="\t", strict=True)
        try:
            cells = next(reader, [])
        except csv.Error as error:
            raise InputError(path, f"line {number}", f"malformed ({error})", remedy) from error
        if len(cells) != columns:
            problem = f"{len(cells)} columns separated by tabs, not {columns}"
            raise InputError(path, f"line {number}", problem, remedy)
        yield number, cells


def one_line(text: str) -> str:
    """Returns the text with each run of white space replaced by one space."""
    return " ".join(text.split())
