"""Ids of other vocabularies that mean the same as a concept of an ontology: `equivalents.tsv` of its folder.

id              concept
OMIM:104300     D000544
"""

from collections.abc import Mapping
from pathlib import Path

from el.base.errors import InputError
from el.base.files import atomic_file
from el.ontology.entries import tsv_rows

EQUIVALENTS = "equivalents.tsv"

_HEADER = ["id", "concept"]
_REMEDY = "Make the ontology again, or correct the table"


def load_equivalents(folder: Path) -> dict[str, str]:
    """Reads the table of equivalents of an ontology folder.

    Args:
        folder: the ontology's folder. The table is in UTF-8. It has the columns id and concept, separated by
            tabs, and a header with these names.

    Returns:
        Id of another vocabulary -> id of a concept. Empty if the folder has no table.

    Raises:
        InputError: the table is not UTF-8, a column is unknown or missing, a cell is empty or holds white
            space, or an id is listed twice or is its own equivalent.
    """
    path = folder / EQUIVALENTS
    if not path.exists():
        return {}
    rows = tsv_rows(path, len(_HEADER), _REMEDY)
    _, header = next(rows, (1, []))
    if header != _HEADER:
        raise InputError(path, "line 1", f"the columns are not {', '.join(_HEADER)}", _REMEDY)
    equivalents: dict[str, str] = {}
    place_of: dict[str, str] = {}
    for number, (given, concept) in rows:
        place = f"line {number}"
        if not given or not concept or (given + concept).split() != [given + concept]:
            raise InputError(path, place, "an empty cell, or white space in an id", _REMEDY)
        if given == concept:
            raise InputError(path, place, f"{given} is its own equivalent", _REMEDY)
        # Ids that differ only in case mean the same.
        other = place_of.setdefault(given.casefold(), place)
        if other != place:
            raise InputError(path, place, f"{given} is also in {other}", "Keep one of the two lines")
        equivalents[given] = concept
    return equivalents


def write_equivalents(folder: Path, equivalents: Mapping[str, str]) -> None:
    """Writes the table of equivalents into an ontology folder, sorted by id, whole or not at all.

    Args:
        folder: the ontology's folder.
        equivalents: id of another vocabulary -> id of a concept. The ids hold no white space and no quotes.
    """
    lines = ["\t".join(row) for row in [_HEADER, *map(list, sorted(equivalents.items()))]]
    with atomic_file(folder / EQUIVALENTS) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
