"""Reads ontologies as JSON lines, one concept a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, cast

from el.base.errors import InputError
from el.corpus.fields import parse_ids
from el.corpus.schema import check_types
from el.ontology.entries import Entry, Notes, one_line, text_lines
from el.ontology.ontology import Name

_REMEDY = 'A line is like {"id": "X1", "name": "a name", "synonyms": ["another"], "kind": "disease"}'


class _Row(TypedDict, total=False):
    """A line. A value of null is the same as a missing value."""

    id: str | None
    name: str | None
    synonyms: list[str] | None
    kind: str | None
    definition: str | None
    mapped_to: list[str] | None


def read_jsonl(path: Path, notes: Notes) -> Iterator[Entry]:
    """Yields the concepts of a file of JSON objects, one a line.

    The fields are id, name, synonyms, kind, definition and mapped_to.

    Args:
        path: the file, optionally gzipped.
        notes: receives the fields that are not used.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is not such an object.
    """
    unused: dict[str, None] = {}
    for number, line in text_lines(path):
        if line.strip():
            place = f"line {number}"
            row = _row(path, place, line)
            unused |= dict.fromkeys(key for key in row if key not in _Row.__annotations__)
            yield _entry(place, row)
    if unused:
        notes.say(f"fields that are not used: {', '.join(map(one_line, unused))}")


def _row(path: Path, place: str, line: str) -> _Row:
    try:
        row = json.loads(line)
    # json raises ValueError for a number of more digits than Python converts.
    except (ValueError, RecursionError) as error:
        raise InputError(path, place, f"not JSON ({error})", _REMEDY) from error
    if not isinstance(row, dict):
        raise InputError(path, place, "not a JSON object", _REMEDY)
    check_types(path, place, row, _Row, remedy=_REMEDY)
    return cast(_Row, row)


def _entry(place: str, row: _Row) -> Entry:
    synonyms = map(one_line, row.get("synonyms") or ())
    return Entry(
        place,
        (row.get("id") or "").strip(),
        one_line(row.get("name") or ""),
        tuple(Name(text) for text in synonyms if text),
        one_line(row.get("kind") or ""),
        one_line(row.get("definition") or ""),
        mapped_to=tuple(one for text in row.get("mapped_to") or () for one in parse_ids(text)),
    )
