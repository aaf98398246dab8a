"""params.yaml, and its sections as dataclasses with checked names and types."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from el.base.errors import ConfigError

Section = TypeVar("Section")

PARAMS = Path("params.yaml")

_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
# The largest exponent of a whole number that a message writes out.
_MAX_EXPONENT = 18


def load_params(path: Path = PARAMS) -> dict[str, Any]:
    """Reads params.yaml.

    Returns:
        Section -> parameters.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file. Run from the root of the repository") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({error})") from error
    if not isinstance(params, dict):
        raise ConfigError(f"{path}: expected sections of parameters")
    return params


def load_section(
    kind: type[Section], params: Mapping[str, Any], section: str, path: Path = PARAMS, **more: Any
) -> Section:
    """Builds a dataclass from a section of the parameters and checks names and types.

    A field may be str, int, float (an int is accepted too), bool, Literal, `X | None`, `tuple[X, ...]` (a
    list in YAML) or `dict[str, X]`. A field with a default may be left out.

    Args:
        kind: the dataclass. Its fields are the known parameters.
        params: all parameters.
        section: the section's path, such as "data.corpus".
        path: the file that the parameters come from, for messages.
        more: fields that do not come from the section. They override the section.

    Raises:
        ConfigError: the section is missing, or a parameter is unknown, missing, of the wrong type, or refused
            by the dataclass itself.
    """
    values: Any = params
    for part in section.split("."):
        if not isinstance(values, Mapping) or part not in values:
            raise ConfigError(f"{path}: section {section} is missing")
        values = values[part]
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: {section} is {values!r}; a section of parameters is needed")
    values = {**values, **more}
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(map(str, set(values) - set(known)))
    if unknown:
        raise ConfigError(f"{path}: {section}.{unknown[0]} is unknown; known are {', '.join(sorted(known))}")
    for name, field in known.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"{path}: {section}.{name} is missing")
        if name in values:
            values[name] = _checked(f"{path}: {section}.{name}", hints[name], values[name])
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {section}: {error}") from error


def _checked(place: str, hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(f"{place} is {value!r}; one of {', '.join(map(str, arguments))} is needed")
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _checked(place, next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{place} is {value!r}; a list is needed, such as [{value}]")
        return tuple(
            _checked(f"{place}, item {number}", arguments[0], item)
            for number, item in enumerate(value, start=1)
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{place} is {value!r}; a section is needed")
        return {
            _checked(f"{place}: a key", arguments[0], key): _checked(f"{place}.{key}", arguments[1], item)
            for key, item in value.items()
        }
    expected = origin or hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        what = _EXPECTED.get(expected, expected.__name__)
        raise ConfigError(f"{place} is {_shown(value)}; {what} is needed{_hint(expected, value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{place} is {value}; a finite number is needed")
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    return f"the text {value!r}" if isinstance(value, str) else repr(value)


def _hint(expected: type, value: Any) -> str:
    """Returns what the user probably means by a value of a wrong type, as the end of a message."""
    if expected in (int, float) and isinstance(value, str | float):
        try:
            number = float(value)
        except ValueError:
            return ""
        if expected is float and math.isfinite(number):
            # PyYAML reads YAML 1.1, in which a number with an exponent has a point, and its exponent a sign.
            return f". YAML takes it for text: write {_with_point(str(value))}"
        if expected is int and number.is_integer() and abs(number) < 10**_MAX_EXPONENT:
            return f": write {int(number)}"
    if expected is str and value is not None and not isinstance(value, list | Mapping):
        return f': put it in quotes, such as "{value}"'
    if expected is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return f": write {value.lower()} without quotes"
    return ""


def _with_point(text: str) -> str:
    """Returns a number as YAML 1.1 reads it: 5.0e-5 for "5e-5", 1.0e+3 for "1e3"."""
    digits, letter, exponent = text.strip().lower().replace("_", "").partition("e")
    if not letter:
        return digits
    digits = digits if "." in digits else f"{digits}.0"
    return f"{digits}e{exponent if exponent[:1] in ('+', '-') else f'+{exponent}'}"
