"""Checks values that were read from JSON against the types that the code expects."""

from pathlib import Path
from typing import Any

import msgspec

from el.base.errors import InputError


def check_types(path: Path, place: str, value: Any, schema: Any) -> None:
    """Checks that a value has the types of a schema. Nothing is converted: "5" is no number, 5 is no text.

    Args:
        path: the file, for messages.
        place: the place in the file, for messages.
        value: a value as `json.loads` returns it.
        schema: a type, such as a `TypedDict`. Keys that a `TypedDict` does not name are allowed.

    Raises:
        InputError: a value has another type, or a key that the schema requires is missing. The message names
            the field, such as `$.mentions[0].type`.
    """
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        remedy = "Correct the value (docs/data.md describes the formats)"
        raise InputError(path, place, str(error), remedy) from error
