"""Errors that a user can act on.

Every error raised on purpose derives from `ElError`; command-line modules print its message to
stderr and exit with `ElError.exit_code`. Anything else is a bug and keeps its traceback.
"""

import os
from pathlib import Path
from typing import Self


class ElError(Exception):
    """What went wrong, where, and the remedy, in one message for a person."""

    exit_code = 1


class InputError(ElError):
    """A file holds something that cannot be used.

    Args:
        path: the file.
        place: where in the file ("line 12", "document 227508, annotation 3"); "" for the whole file.
        problem: what is wrong there.
        remedy: what the user can do about it.
    """

    def __init__(self, path: Path | str, place: str, problem: str, remedy: str) -> None:
        where = f"{path}: {place}" if place else str(path)
        super().__init__(f"{where}: {problem}. {remedy}")
        self.path = Path(path)
        self.place = place
        self._arguments = (path, place, problem, remedy)

    def of(self, name: str) -> Self:
        """The same error, of a file that the user knows by another name."""
        return type(self)(name, *self._arguments[1:])

    def __reduce__(self) -> tuple[type[Self], tuple[Path | str, str, str, str]]:
        # Pickled as it was made: by default the one message would stand for all arguments.
        return type(self), self._arguments


def as_given(error: ElError, standard_input: Path | None) -> ElError:
    """The error, with standard input in place of the file that it was copied to, if it is one of that."""
    if isinstance(error, InputError) and error.path == standard_input:
        return error.of("standard input")
    return error


class UnreadableError(InputError):
    """A file is there but cannot be read."""

    exit_code = os.EX_IOERR


class ConfigError(ElError):
    """A parameter is unknown, misspelt or out of range."""


class UsageError(ElError):
    """Arguments of a command that do not go together."""

    exit_code = 2


class MismatchError(ElError):
    """Artefacts that do not fit together, such as an index made by another model."""


class FetchError(ElError):
    """Nothing that was tried could provide a file."""
