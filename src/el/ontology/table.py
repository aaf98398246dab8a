"""Reads ontologies as tables with a header: CSV, TSV, and exports of spreadsheets with semicolons."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from el.base.errors import InputError
from el.corpus.fields import parse_ids
from el.ontology.entries import CONTROL, Entry, Notes, counted, one_line, text_lines
from el.ontology.ontology import Name

COLUMNS = ("id", "name", "synonyms", "kind", "definition", "mapped_to")
_NEEDED = ("id", "name")
# In the order of preference: a name rarely holds a tab, and often a comma.
_NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}
_DELIMITERS = tuple(_NAMES)
_BETWEEN = "|"
# The most characters of a line that a message shows.
_SHOWN = 100


def read_table(path: Path, notes: Notes) -> Iterator[Entry]:
    """Yields the concepts of a table, in the file's order.

    The columns `id` and `name` are required. The columns `synonyms` (separated by `|`), `kind`, `definition`
    and `mapped_to` (ids, separated by `|`) are optional. Their order is free. In a table without the column
    `synonyms`, an id may have several rows: the name in the first row is the preferred name. Columns are
    separated by tabs, commas or semicolons. Cells may be quoted.

    Args:
        path: the table, optionally gzipped.
        notes: receives the columns that are not used.

    Raises:
        InputError: the file is missing or not UTF-8, a column is missing, a row is broken or has no name, or
            rows of one id contradict each other.
    """
    delimiter, columns = _header(path)
    unused = [column for column in columns if column not in COLUMNS]
    if unused:
        notes.say(f"columns that are not used: {', '.join(unused)}")
    entries = _entries(path, delimiter, columns)
    return entries if "synonyms" in columns else _grouped(path, entries)


def is_header(line: str) -> bool:
    """Whether a line names the columns that a table needs."""
    return any(set(_NEEDED) <= set(_cells(line, delimiter)) for delimiter in _DELIMITERS)


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter and the names of the columns."""
    number, line = next(((n, line) for n, line in text_lines(path) if line.strip()), (0, ""))
    if not number:
        raise InputError(path, "", "is empty", f"Give a table with the columns {', '.join(COLUMNS)}")
    if "\r" in line.rstrip("\r\n"):
        problem = "line ends are carriage returns alone"
        raise InputError(path, f"line {number}", problem, "End lines with a line feed")
    headers = {delimiter: _cells(line, delimiter) for delimiter in _DELIMITERS}
    delimiter = next(
        (d for d, header in headers.items() if set(_NEEDED) <= set(header)),
        max(_DELIMITERS, key=lambda d: len(headers[d])),
    )
    columns = headers[delimiter]
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        found = CONTROL.sub(" ", ", ".join(columns))
        found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
        problem = f"no column {' and no column '.join(missing)}; the columns are {found}"
        remedy = f"Name them in the first line: {', '.join(_NEEDED)}, and optionally {', '.join(COLUMNS[2:])}"
        raise InputError(path, f"line {number}", problem, remedy)
    repeated = next((column for column in columns if column and columns.count(column) > 1), None)
    if repeated:
        problem = f"two columns are named {repeated}"
        raise InputError(path, f"line {number}", problem, "Rename or remove one")
    return delimiter, columns


def _cells(line: str, delimiter: str) -> list[str]:
    """The names of the columns in a header, in lower case."""
    try:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    # A cell is too long, or holds a line end. Such a line is no header.
    except csv.Error:
        cells = [line]
    return [one_line(cell).lower() for cell in cells]


def _entries(path: Path, delimiter: str, columns: Sequence[str]) -> Iterator[Entry]:
    """One entry a row."""
    for place, row in _rows(path, delimiter):
        if len(row) != len(columns):
            problem = f"{counted(len(row), 'cell')}, not {len(columns)} as in the header"
            remedy = f"Put a cell that holds the delimiter ({_NAMES[delimiter]}) into double quotes"
            raise InputError(path, place, problem, remedy)
        yield _entry(path, place, dict(zip(columns, row, strict=True)))


def _rows(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Yields (place, cells) for each row after the header that is not blank."""
    reader = csv.reader((line for _, line in text_lines(path)), delimiter=delimiter, strict=True)
    is_header = True
    while True:
        # A quoted cell may hold line ends. Messages name the first line of a row.
        place = f"line {reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            remedy = (
                "Close each quote, double the quotes inside a quoted cell, and end lines with a line feed"
            )
            raise InputError(path, place, f"a broken row ({error})", remedy) from error
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if not is_header:
            yield place, row
        is_header = False


def _entry(path: Path, place: str, cells: Mapping[str, str]) -> Entry:
    name = one_line(cells["name"])
    if not name:
        raise InputError(path, place, "no name", "Give one, or remove the row")
    synonyms = (one_line(text) for text in cells.get("synonyms", "").split(_BETWEEN))
    return Entry(
        place,
        cells["id"].strip(),
        name,
        tuple(Name(text) for text in synonyms if text),
        one_line(cells.get("kind", "")),
        one_line(cells.get("definition", "")),
        mapped_to=parse_ids(cells.get("mapped_to", "")),
    )


def _grouped(path: Path, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Makes one entry of all that have the same id."""
    groups: dict[str, Entry] = {}
    for entry in entries:
        first = groups.setdefault(entry.id, entry)
        if first is entry:
            continue
        for column in ("kind", "definition", "mapped_to"):
            if getattr(entry, column) and getattr(entry, column) != getattr(first, column):
                problem = f"the id {entry.id} has another {column} in {first.place}"
                remedy = f"Give each concept a unique id, and one {column} in its first row"
                raise InputError(path, entry.place, problem, remedy)
        groups[entry.id] = replace(first, synonyms=(*first.synonyms, Name(entry.name)))
    yield from groups.values()
