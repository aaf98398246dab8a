"""Finds the files of documents that a user gives as files, folders and patterns."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from el.base.errors import InputError, UnreadableError
from el.corpus.brat import counterpart, is_annotations
from el.corpus.checks import Skip

# Files of settings that brat keeps beside the documents of a folder.
_BRAT_SETTINGS = {"annotation.conf", "visual.conf", "tools.conf", "kb_shortcuts.conf"}


def find_inputs(arguments: Iterable[str | Path], skip: Skip | None = None) -> list[Path]:
    """Returns the files that the arguments stand for, each once, in the order of the arguments.

    A folder stands for all files below it, sorted. A pattern (`*`, `?`, `[...]`, or `**` for any number of
    folders) stands for the files and folders that it matches, sorted. Both skip hidden files and brat's
    settings. A brat document is returned once, as its text.

    Args:
        arguments: files, folders and patterns.
        skip: receives the error of an argument, or of a folder below it, that cannot be used. The argument or
            folder is skipped. None raises the error.

    Raises:
        InputError: a file does not exist, a pattern matches nothing, or a folder holds no files.
        UnreadableError: a folder cannot be read.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        try:
            files = [_document_file(path) for path in _files(str(argument), skip)]
            if not files:
                raise InputError(str(argument), "", "holds no files", "Give a folder with documents in it")
        except InputError as error:
            if skip is None:
                raise
            skip(error)
            continue
        for path in files:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _files(argument: str, skip: Skip | None) -> Iterator[Path]:
    path = Path(argument)
    if path.is_dir():
        yield from _files_below(path, skip)
    elif path.exists():
        yield path
    elif glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207, Path.glob takes no absolute patterns
        if not matches:
            raise InputError(argument, "", "no file matches", "Check the pattern, and quote it for the shell")
        for match in map(Path, matches):
            if match.name not in _BRAT_SETTINGS:
                yield from _files(str(match), skip)
    else:
        raise InputError(argument, "", "no such file or folder", "Check the path")


def _files_below(folder: Path, skip: Skip | None) -> Iterator[Path]:
    # By default, os.walk skips a folder that cannot be read and reports nothing.
    def report(error: OSError) -> None:
        problem = f"cannot be read ({error.strerror})"
        unreadable = UnreadableError(error.filename, "", problem, "Check its permissions")
        if skip is None:
            raise unreadable from error
        skip(unreadable)

    for parent, folders, names in os.walk(folder, onerror=report):
        # The list is changed in place, because os.walk continues with the folders that are left in it.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name not in _BRAT_SETTINGS:
                yield Path(parent, name)


def _document_file(path: Path) -> Path:
    text = counterpart(path) if is_annotations(path) else None
    return text or path
