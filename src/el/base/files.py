"""Files written whole or not at all, checksums, and JSON that reads the same every time."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from el.base.errors import InputError

_CHUNK = 1 << 20

# Of a large file's checksum: places between its ends, and bytes read at each.
_SAMPLES = 257
_SAMPLE_BYTES = 1 << 14


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renamed onto `path` when the block ends well.

    When the block raises (also on Ctrl-C or a full disk) the temporary file is removed and what
    stood at `path` before stays untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private to its owner; what is published follows the umask.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; takes the place of `path` when the block ends well.

    When the block raises, or the folder cannot take the place of what stands there, what stood at
    `path` before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _replace_folder(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(path: Path, replacement: Path) -> None:
    """Renames `replacement` to `path`; what stands there is deleted after that, or put back."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    old = aside / path.name
    try:
        if path.exists():
            path.rename(old)
        replacement.rename(path)
    finally:
        # Also on Ctrl-C between the two.
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sampled_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's size and of parts of it: both ends and 256 places between.

    Tells files apart that were cut off, replaced or written over, in milliseconds whatever their size. A few
    bytes that were altered in between go unnoticed.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for part in range(_SAMPLES + 1):
            file.seek(max(0, (size - _SAMPLE_BYTES) * part // _SAMPLES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON with sorted keys and a final newline, atomically."""
    with atomic_file(path) as temporary:
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Run the stage that makes it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(path, "", f"not JSON ({error})", "Make it again") from error


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes one JSON object a line, atomically. Returns the number of lines."""
    count = 0
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number from 1, object) for each line that is not blank.

    Raises:
        InputError: the file is missing, or a line is not a JSON object in UTF-8.
    """
    if not path.is_file():
        raise InputError(path, "", "no such file", "Run the stage that makes it")
    # As bytes, or else the line that is not UTF-8 would not be known.
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            place = f"line {number}"
            try:
                row = json.loads(line.decode())
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise InputError(path, place, f"not JSON ({error})", "Make the file again") from error
            if not isinstance(row, dict):
                raise InputError(path, place, "not a JSON object", "Make the file again")
            yield number, row
