"""MeSH ids that corpora use and that MeSH has replaced by other ids."""

from collections.abc import Container, Mapping
from pathlib import Path

from el.base.errors import InputError
from el.ontology.entries import tsv_rows

RETIRED_IDS = Path(__file__).with_name("retired_ids.tsv")

_HEADER = ["retired_id", "current_id", "current_name"]
_REMEDY = "Correct the table"


def load_retired_ids(path: Path = RETIRED_IDS) -> dict[str, str]:
    """Reads the table of retired ids.

    Args:
        path: a file in UTF-8 with the columns retired_id, current_id and current_name, separated by tabs, and
            a header with these names.

    Returns:
        Retired id -> current id. A current id is never itself retired.

    Raises:
        InputError: the file is missing or not UTF-8, a column is unknown or missing, a cell is empty, or an
            id is listed twice, replaced by itself, or replaced by another retired id.
    """
    rows = tsv_rows(path, len(_HEADER), _REMEDY)
    _, header = next(rows, (1, []))
    if header != _HEADER:
        raise InputError(path, "line 1", f"the columns are not {', '.join(_HEADER)}", _REMEDY)
    current: dict[str, str] = {}
    place_of: dict[str, str] = {}
    for number, cells in rows:
        place = f"line {number}"
        if not all(cell.strip() for cell in cells):
            raise InputError(path, place, "an empty cell", _REMEDY)
        retired_id, current_id, _ = cells
        if retired_id == current_id:
            raise InputError(path, place, f"{retired_id} is replaced by itself", _REMEDY)
        if retired_id in current:
            raise InputError(path, place, f"{retired_id} is listed twice", _REMEDY)
        current[retired_id] = current_id
        place_of[retired_id] = place
    for retired_id, current_id in current.items():
        if current_id in current:
            problem = f"{retired_id} is replaced by {current_id}, which is itself retired"
            raise InputError(path, place_of[retired_id], problem, "Replace it by an id that is not retired")
    return current


def current_id(concept_id: str, known: Container[str], retired: Mapping[str, str]) -> str:
    """Returns the current id of a concept. An id that is among the known ones is not replaced."""
    return concept_id if concept_id in known else retired.get(concept_id, concept_id)
