"""Reads mappings between ontologies as SSSOM (Simple Standard for Sharing Ontological Mappings), in TSV.

Source of the format: https://mapping-commons.github.io/sssom/.
"""

import csv
from collections import defaultdict
from pathlib import Path

from el.base.errors import InputError
from el.ontology.entries import Notes, short_id, text_lines

_NEEDED = ("subject_id", "predicate_id", "object_id")
# Predicates that say that two concepts are the same.
_SAME = {"skos:exactmatch", "owl:equivalentclass", "owl:sameas"}
_MESH_PREFIX = "mesh:"
_REMEDY = f"Give a table with the columns {', '.join(_NEEDED)}, separated by tabs"


def read_sssom(path: Path, notes: Notes) -> dict[str, set[str]]:
    """Reads which concepts are the same.

    Only exact matches count (`skos:exactMatch`, `owl:equivalentClass`, `owl:sameAs`). Rows with another
    predicate, or with the modifier `Not`, are counted and skipped. The prefix `mesh:` of an id is dropped. Of
    an address, the id is its last part.

    Args:
        path: the table, optionally gzipped. Lines that begin with `#` are its head.
        notes: receives what is skipped.

    Returns:
        The id of a concept -> the ids of all that are the same. Each mapping stands under both ids.

    Raises:
        InputError: the file is missing or not UTF-8, a column is missing, or a row is broken.
    """
    same: defaultdict[str, set[str]] = defaultdict(set)
    columns: list[str] = []
    for number, line in text_lines(path):
        if line.startswith("#") or not line.strip():
            continue
        cells = _cells(path, number, line)
        if not columns:
            columns = _checked_columns(path, number, cells)
            continue
        if len(cells) != len(columns):
            problem = f"{len(cells)} cells, not {len(columns)} as in the header"
            raise InputError(path, f"line {number}", problem, _REMEDY)
        row = dict(zip(columns, cells, strict=True))
        subject, target = (_id(row[column]) for column in ("subject_id", "object_id"))
        if row["predicate_id"].lower() not in _SAME or row.get("predicate_modifier", "").lower() == "not":
            notes.count("mapping", "that is no exact match skipped", f"line {number}")
        elif not subject or not target:
            raise InputError(path, f"line {number}", "an empty id", _REMEDY)
        else:
            same[subject].add(target)
            same[target].add(subject)
    if not columns:
        raise InputError(path, "", "is empty", _REMEDY)
    return dict(same)


def _checked_columns(path: Path, number: int, cells: list[str]) -> list[str]:
    missing = [column for column in _NEEDED if column not in cells]
    if missing:
        raise InputError(path, f"line {number}", f"no column {' and no column '.join(missing)}", _REMEDY)
    return cells


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter="\t", strict=True))
    except csv.Error as error:
        raise InputError(path, f"line {number}", f"malformed ({error})", _REMEDY) from error


def _id(text: str) -> str:
    """Returns a concept's id from a CURIE or from an address."""
    curie = short_id(text.strip()) if "://" in text else text.strip()
    return curie[len(_MESH_PREFIX) :] if curie.lower().startswith(_MESH_PREFIX) else curie
