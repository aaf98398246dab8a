"""MeSH ids that a corpus uses and that MeSH has since replaced by others."""

from pathlib import Path

from el.base.errors import InputError

RETIRED_IDS = Path(__file__).with_name("retired_ids.tsv")

_HEADER = ["retired_id", "current_id", "current_name"]
_REMEDY = "Correct the table"


def load_retired_ids(path: Path = RETIRED_IDS) -> dict[str, str]:
    """Reads the table of retired ids.

    Args:
        path: a tab-separated file in UTF-8 with the header retired_id, current_id, current_name.

    Returns:
        Retired id -> current id. No current id is itself retired.

    Raises:
        InputError: the file is missing, a column is unknown or missing, a field is empty, an id is
            listed twice or is replaced by itself or by another retired id.
    """
    if not path.is_file():
        raise InputError(path, "", "no such file", "Restore it from the repository")
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].split("\t") != _HEADER:
        raise InputError(path, "line 1", f"the columns are not {', '.join(_HEADER)}", _REMEDY)
    current: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        retired_id, current_id = _parse(path, number, line)
        if retired_id in current:
            raise InputError(path, f"line {number}", f"{retired_id} is listed twice", _REMEDY)
        current[retired_id] = current_id
        line_of[retired_id] = number
    for retired_id, current_id in current.items():
        if current_id in current:
            problem = f"{retired_id} is replaced by {current_id}, which is itself retired"
            raise InputError(path, f"line {line_of[retired_id]}", problem, "Name the id that is current now")
    return current


def _parse(path: Path, number: int, line: str) -> tuple[str, str]:
    fields = line.split("\t")
    if len(fields) != len(_HEADER) or not all(field.strip() for field in fields):
        problem = f"not {len(_HEADER)} filled columns separated by tabs"
        raise InputError(path, f"line {number}", problem, _REMEDY)
    retired_id, current_id, _ = fields
    if retired_id == current_id:
        raise InputError(path, f"line {number}", f"{retired_id} is replaced by itself", _REMEDY)
    return retired_id, current_id
