"""Checks values that were read from JSON against the types that the code expects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from el.base.errors import InputError

_REMEDY = "Correct the value (docs/data.md describes the formats)"


def check_types(
    path: Path,
    place: str,
    value: Any,
    schema: Any,
    root: str = "$",
    error: Callable[[Path, str, str, str], InputError] = InputError,
    remedy: str = _REMEDY,
) -> None:
    """Checks that a value has the types of a schema. Nothing is converted: "5" is no number, 5 is no text.

    Args:
        path: the file, for messages.
        place: the place in the file, for messages.
        value: a value as `json.loads` returns it.
        schema: a type, such as a `TypedDict`. Keys that a `TypedDict` does not name are allowed.
        root: what messages call the value, such as `mentions[0]`.
        error: makes the error of path, place, problem and remedy.
        remedy: what the user can do about a wrong type.

    Raises:
        InputError: a value has another type, or a key that the schema requires is missing. The message names
            the field, such as `$.mentions[0].type`.
    """
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError as invalid:
        raise error(path, place, _with_root(str(invalid), root), remedy) from invalid


def _with_root(problem: str, root: str) -> str:
    """The message with the value's name in place of `$`. A message about the value itself has no `$`."""
    if " - at `$" in problem:
        return problem.replace(" - at `$", f" - at `{root}", 1)
    return problem if root == "$" else f"{problem} - at `{root}`"
