"""params.yaml, and its sections as dataclasses with checked names and types."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from el.base.errors import ConfigError

Section = TypeVar("Section")


def load_params(path: Path = Path("params.yaml")) -> dict[str, Any]:
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


def load_section(kind: type[Section], params: Mapping[str, Any], section: str, **more: Any) -> Section:
    """Builds a dataclass from a section of the parameters and checks names and types.

    A field may be str, int, float (an int is accepted too), bool, Literal, `X | None`, `tuple[X, ...]` (a
    list in YAML) or `dict[str, X]`. A field with a default may be left out.

    Args:
        kind: the dataclass. Its fields are the known parameters.
        params: all parameters.
        section: the section's path, such as "data.corpus".
        more: fields that do not come from the section. They override the section.

    Raises:
        ConfigError: the section is missing, or a parameter is unknown, missing, of the wrong type, or refused
            by the dataclass itself.
    """
    values: Any = params
    for part in section.split("."):
        if not isinstance(values, Mapping) or part not in values:
            raise ConfigError(f"params.yaml: section {section} is missing")
        values = values[part]
    if not isinstance(values, Mapping):
        raise ConfigError(f"params.yaml: {section} is {values!r}; a section of parameters is needed")
    values = {**values, **more}
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(map(str, set(values) - set(known)))
    if unknown:
        raise ConfigError(
            f"params.yaml: {section}.{unknown[0]} is unknown; known are {', '.join(sorted(known))}"
        )
    for name, field in known.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"params.yaml: {section}.{name} is missing")
        if name in values:
            values[name] = _checked(f"{section}.{name}", hints[name], values[name])
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"params.yaml: {section}: {error}") from error


def _checked(place: str, hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(
                f"params.yaml: {place} is {value!r}; one of {', '.join(map(str, arguments))} is needed"
            )
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _checked(place, next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"params.yaml: {place} is {value!r}; a list is needed")
        return tuple(_checked(place, arguments[0], item) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"params.yaml: {place} is {value!r}; a section is needed")
        return {
            _checked(f"{place}: a key", arguments[0], key): _checked(f"{place}.{key}", arguments[1], item)
            for key, item in value.items()
        }
    expected = origin or hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ConfigError(f"params.yaml: {place} is {value!r}; {expected.__name__} is needed")
    return value
