"""Reads ontologies as JSON lines, one concept a line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from el.base.errors import InputError
from el.ontology.entries import Entry, one_line, text_lines
from el.ontology.ontology import Name

_TEXTS = ("id", "name", "kind", "definition")
_REMEDY = 'A line is like {"id": "X1", "name": "a name", "synonyms": ["another"], "kind": "disease"}'


def read_jsonl(path: Path, notes: list[str]) -> Iterator[Entry]:
    """Yields the concepts of a file of JSON objects, one a line, with id, name, synonyms, kind, definition.

    Args:
        path: the file, optionally gzipped.
        notes: receives a line about fields that are not used.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is not such an object.
    """
    unused: dict[str, None] = {}
    for number, line in text_lines(path):
        if line.strip():
            place = f"line {number}"
            row = _object(path, place, line)
            unused |= dict.fromkeys(key for key in row if key not in (*_TEXTS, "synonyms"))
            yield _entry(path, place, row)
    if unused:
        notes.append(f"fields that are not used: {', '.join(unused)}")


def _object(path: Path, place: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(path, place, f"not JSON ({error})", _REMEDY) from error
    if not isinstance(row, dict):
        raise InputError(path, place, "not a JSON object", _REMEDY)
    return row


def _entry(path: Path, place: str, row: Mapping[str, Any]) -> Entry:
    texts = {key: "" if row.get(key) is None else row[key] for key in _TEXTS}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise InputError(path, place, f"{key} is {value!r}; a string is needed", _REMEDY)
    synonyms = row.get("synonyms") or []
    if not isinstance(synonyms, list) or not all(isinstance(text, str) for text in synonyms):
        raise InputError(path, place, f"synonyms are {synonyms!r}; a list of strings is needed", _REMEDY)
    names = [one_line(texts["name"]), *(one_line(text) for text in synonyms if text.strip())]
    return Entry(
        place,
        texts["id"].strip(),
        # A synonym does not replace a missing preferred name: the concept is refused later.
        tuple(map(Name, names)) if names[0] else (),
        one_line(texts["kind"]),
        one_line(texts["definition"]),
    )
