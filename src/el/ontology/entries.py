"""The common part of all readers of ontology files: opening a file, its lines, and unchecked concepts."""

import codecs
import contextlib
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from el.base.errors import InputError
from el.base.files import GZIP_ERRORS, open_unpacked
from el.ontology.ontology import Name

# Marks the type of a synonym that is no name, by the type's id or by what the ontology says about the type.
# Mondo has DEPRECATED "to be removed" and EXCLUDE "excluded synonym", HPO has obsolete_synonym.
_LEFT_OUT = re.compile(
    r"deprecat|obsolet|exclude|discard|retract|withdrawn|to be removed|do not use", re.IGNORECASE
)
# A prefix and a number as the last part of an address, in the form of OBO and others: HP_0000118, NCIT_C3262.
_NUMBERED = re.compile(r"([A-Za-z]\w*)_([A-Z]?\d+)")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
"""Runs of control characters. Some of them change what a terminal shows."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One concept as a file gives it, before any check.

    Attributes:
        place: the place in the file, such as "line 12".
        id: the concept's id; "" if the file gives none.
        name: the preferred name; "" if the file gives none.
        synonyms: the other names. The relation of a synonym says whether it is exact.
        kind: the kind, as the file spells it; "" if the file gives none.
        definition: the definition; "" if the file gives none.
        namespace: the part of the ontology that the concept belongs to; "" if the file names none.
        obsolete: whether the file marks the concept as obsolete.
        replaced: whether an obsolete concept has a successor.
        mapped_to: ids of the concept of another ontology that the names belong to.
    """

    place: str
    id: str
    name: str
    synonyms: tuple[Name, ...] = ()
    kind: str = ""
    definition: str = ""
    namespace: str = ""
    obsolete: bool = False
    replaced: bool = False
    mapped_to: tuple[str, ...] = ()


class Notes:
    """What the reading of a file repairs and leaves out, for the user.

    Like things are counted and make one line, with the place of the first.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def say(self, line: str) -> None:
        """Adds a line that needs no count."""
        self._counts["", line] = 1

    def count(self, thing: str, what: str, place: str = "") -> None:
        """Counts one thing.

        Args:
            thing: what is counted, in the singular, such as "synonym".
            what: what happens to it, such as "without a scope".
            place: its place in the file, such as "line 12"; "" if no place is shown.
        """
        self._counts[thing, what] += 1
        self._first.setdefault((thing, what), place)

    def lines(self) -> list[str]:
        """Returns the lines, in the order in which their first things came, without control characters."""
        return [CONTROL.sub(" ", self._line(*key)) for key in self._counts]

    def _line(self, thing: str, what: str) -> str:
        if not thing:
            return what
        first = self._first[thing, what]
        return f"{counted(self._counts[thing, what], thing)} {what}" + (f" (first: {first})" if first else "")


def counted(count: int, thing: str) -> str:
    """Returns a number with what it counts, such as "1 class" or "1,200 classes"."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{count:,} {thing}" + ("" if count == 1 else plural)


def merged(path: Path, entries: Iterable[Entry], notes: Notes) -> Iterator[Entry]:
    """Makes one entry of all that have the same id. All entries are held in memory.

    Raises:
        InputError: entries of one id have different names.
    """
    groups: dict[str, Entry] = {}
    for entry in entries:
        # The id is missing. The caller refuses the entry.
        if not entry.id:
            yield entry
            continue
        first = groups.setdefault(entry.id, entry)
        if first is entry:
            continue
        if first.name and entry.name and first.name != entry.name:
            problem = f"the id {entry.id} is also in {first.place}, with another name"
            raise InputError(path, entry.place, problem, "Give each concept a unique id")
        notes.count("repeated id", "merged with the concept before", entry.place)
        groups[entry.id] = replace(
            first,
            name=first.name or entry.name,
            synonyms=first.synonyms + entry.synonyms,
            definition=first.definition or entry.definition,
            obsolete=first.obsolete or entry.obsolete,
            replaced=first.replaced or entry.replaced,
        )
    yield from groups.values()


def named(entries: Iterable[Entry], thing: str, what: str, notes: Notes) -> Iterator[Entry]:
    """Skips entries without a name: they only refer to a concept of another ontology.

    An obsolete concept often has no name. It stays, because the caller counts it as obsolete.

    Args:
        entries: the entries.
        thing, what: see `Notes.count`.
        notes: counts the entries that are skipped.
    """
    for entry in entries:
        if entry.name or entry.obsolete:
            yield entry
        else:
            notes.count(thing, what)


def is_left_out(*texts: str) -> bool:
    """Whether a synonym's type says that the synonym is no name: it is deprecated or excluded.

    Args:
        texts: the type's id, and what the ontology says about the type.
    """
    return any(_LEFT_OUT.search(text) for text in texts)


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
                if number == 1 and line.startswith(_UTF16):
                    raise InputError(path, "line 1", "in UTF-16, not UTF-8", "Save the file as UTF-8")
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


def short_id(address: str) -> str:
    """Returns the id in an address, such as HP:0000118 in http://purl.obolibrary.org/obo/HP_0000118.

    The id is the part after the last # or /. A prefix and a number are joined by a colon.
    """
    last = re.split("[#/]", address)[-1]
    numbered = _NUMBERED.fullmatch(last)
    return f"{numbered[1]}:{numbered[2]}" if numbered else last
