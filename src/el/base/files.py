"""Files: written whole or not at all, checksums, gzip, and JSON."""

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from el.base.errors import InputError

GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a gzip file raises where the file is cut or damaged."""

GZIP_SIGNATURE = b"\x1f\x8b"
"""The first bytes of every gzip file."""

# Bytes that are read at once to compute a checksum. A larger value needs more memory and saves no time.
_CHUNK = 1 << 20

# The sampled checksum reads _SAMPLE_BYTES bytes at _SAMPLES + 1 places, 4 MB in all. Larger values take more
# time, and a small change inside a file is found more often. Any other value gives other checksums: those in
# the manifests of existing indexes then no longer match.
_SAMPLES = 257
_SAMPLE_BYTES = 1 << 14


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` when the block ends without an error.

    If the block raises (also for Ctrl-C or a full disk), the temporary file is removed and an earlier file at
    `path` stays untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private to its owner. The finished file gets the usual permissions.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, which replaces `path` when the block ends without an error.

    If the block raises, or if `path` cannot be replaced, an earlier folder at `path` stays untouched.
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
    """Renames `replacement` to `path`. An earlier folder is deleted afterwards, or put back on failure."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    old = aside / path.name
    try:
        if path.exists():
            path.rename(old)
        replacement.rename(path)
    finally:
        # Ctrl-C may come between the two renames.
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
    """Returns the SHA-256 of a file's size and of 258 samples: both ends and 256 places between.

    The samples show in milliseconds whether a file of any size was cut, replaced or overwritten. A change of
    a few bytes between two samples is not noticed.

    Returns:
        64 hexadecimal digits.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for part in range(_SAMPLES + 1):
            file.seek(max(0, (size - _SAMPLE_BYTES) * part // _SAMPLES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


@contextlib.contextmanager
def open_unpacked(path: Path, *, by_name: bool = False) -> Iterator[BinaryIO]:
    """Opens a file of bytes and unpacks it if it is gzipped.

    Args:
        path: the file.
        by_name: whether the suffix `.gz` decides. Reading then fails for a file with this suffix that is not
            gzipped. By default the first bytes decide, whatever the name.

    Raises:
        OSError: the file cannot be opened. Reading may also raise `GZIP_ERRORS`.
    """
    with path.open("rb") as file:
        if by_name:
            is_packed = path.suffix == ".gz"
        else:
            is_packed = file.peek(len(GZIP_SIGNATURE))[: len(GZIP_SIGNATURE)] == GZIP_SIGNATURE
        if is_packed:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            yield file


def check_sampled(path: Path, expected: str, remedy: str) -> Path:
    """Returns a file with the expected `sampled_sha256`. The code that opens it trusts its content.

    Raises:
        InputError: the file is missing, or has another checksum.
    """
    if not path.is_file() or sampled_sha256(path) != expected:
        raise InputError(path, "", "missing, truncated or altered (its checksum is wrong)", remedy)
    return path


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON with sorted keys and a final newline, whole or not at all."""
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
        raise InputError(path, "", f"not JSON ({error})", "Make the file again") from error


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes one JSON object a line, the file whole or not at all. Returns the number of lines."""
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
    # The file is read as bytes, so that an error can name the line that is not UTF-8.
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
