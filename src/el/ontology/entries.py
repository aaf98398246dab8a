"""What the readers of ontology files have in common: lines of a file, and concepts as a file gives them."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from el.base.errors import InputError
from el.ontology.ontology import Name

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Entry:
    """One concept as a file gives it, not checked yet.

    Attributes:
        place: where in the file it stands, such as "line 12".
        id: its id; "" if the file has none.
        names: its names, the preferred name first; names of other scope than exact have a relation.
        kind: what the file says; "" if nothing.
        definition: "" if there is none.
        namespace: the part of the ontology that it belongs to, as the file names it; "" if it does not.
        obsolete: whether the file says that it is no longer used.
        replaced: whether an obsolete one has a successor.
    """

    place: str
    id: str
    names: tuple[Name, ...]
    kind: str = ""
    definition: str = ""
    namespace: str = ""
    obsolete: bool = False
    replaced: bool = False


def open_file(path: Path) -> BinaryIO:
    """Opens a file, gzipped or not, whatever its name.

    Raises:
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(path, "", "no such file", "Check the path")
    with path.open("rb") as stream:
        is_gzip = stream.read(len(_GZIP)) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line number from 1, line with its end). A byte order mark is dropped.

    Raises:
        InputError: the file is missing, not UTF-8, or a gzip file that is cut or broken.
    """
    number = 0
    try:
        with open_file(path) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 (byte {error.start + 1} of the line)"
        raise InputError(path, f"line {number}", problem, "Convert the file to UTF-8") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise broken_gzip(path, error) from error


def broken_gzip(path: Path, error: Exception) -> InputError:
    """What to raise for a gzip file that cannot be read."""
    return InputError(path, "", f"not a whole gzip file ({error})", "Copy or fetch it again")


def one_line(text: str) -> str:
    """The text with its white space made single."""
    return " ".join(text.split())
