"""Errors that a user can act on.

Every error that this project raises on purpose derives from `ElError`. A command prints the message to stderr
and exits with `ElError.exit_code`. Any other exception is a bug and keeps its traceback.
"""

import os
from pathlib import Path
from typing import Any, Self


class ElError(Exception):
    """One message for a person: what went wrong, where, and what to do about it."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(ElError):
    """A file holds something that cannot be used.

    Args:
        path: the file.
        place: where in the file ("line 12", "document 227508, annotation 3"); "" for the whole file.
        problem: what is wrong there.
        remedy: what the user can do about it.
    """

    def __init__(self, path: Path | str, place: str, problem: str, remedy: str) -> None:
        # A line end in a file's name or in an id must not begin a line that looks like another message.
        where = (f"{path}: {place}" if place else str(path)).replace("\n", "\\n")
        super().__init__(f"{where}: {problem}. {remedy}")
        self.path = Path(path)
        self.place = place
        # The arguments of the constructor, from which `of` and pickle make the error again.
        self._arguments: tuple[Any, ...] = (path, place, problem, remedy)

    def of(self, name: str) -> Self:
        """Returns the same error for a file that the user knows by another name."""
        return type(self)(name, *self._arguments[1:])

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        # By default, pickle calls the constructor with the message as its only argument.
        return type(self), self._arguments


def as_given(error: ElError, standard_input: Path | None) -> ElError:
    """Returns the error as the user should see it: with "standard input" in place of a temporary copy.

    Args:
        error: any error. An error about another file is returned unchanged.
        standard_input: the file that standard input was copied to; None if it was not read.
    """
    if isinstance(error, InputError) and error.path == standard_input:
        return error.of("standard input")
    return error


class UnreadableError(InputError):
    """A file exists but cannot be read."""

    exit_code = os.EX_IOERR


class ConfigError(ElError):
    """A parameter is unknown, misspelt or out of range."""


class UsageError(ElError):
    """The arguments of a command contradict each other."""

    exit_code = 2


class BusyError(ElError):
    """Another process is writing to the same place."""

    exit_code = os.EX_TEMPFAIL


class MismatchError(ElError):
    """Two artefacts do not belong together, such as a model and the index of another model."""


class FetchError(ElError):
    """No source could provide a file."""


def printable(text: str) -> str:
    """Returns a text that is safe to print: characters that control a terminal are written as escapes.

    Files may hold such characters in ids and types. ESC becomes `\\x1b`. Line feeds stay.
    """
    # Nearly all messages need no change.
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def first_line(error: Exception) -> str:
    """Returns the first line of a library's message, or the error's class where there is no message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
