"""Files: written whole or not at all, checksums, gzip, and JSON."""

import contextlib
import fcntl
import glob
import gzip
import hashlib
import json
import os
import re
import shutil
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from el.base.errors import BusyError, InputError

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

# Ends of the names of what is not written completely, and of a folder that is being replaced. Before them,
# `tempfile` puts 8 characters.
_UNFINISHED, _REPLACED = ".part", ".old"
# The end of the name of a folder that is being deleted. It may be incomplete, so it is not put back.
_DELETED = ".deleted"
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.(?:part|old)", re.DOTALL)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` when the block ends without an error.

    If the block raises (also for Ctrl-C or a full disk), the temporary file is removed and an earlier file at
    `path` stays untouched. If the process is killed, `clear_leftovers` removes the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _locked_file(path)
    try:
        yield temporary
        # mkstemp makes the file private to its owner. The finished file gets the usual permissions.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, which replaces `path` when the block ends without an error.

    If the block raises, or if `path` cannot be replaced, an earlier folder at `path` stays untouched. If the
    process is killed, `clear_leftovers` removes the temporary folder, or puts the earlier folder back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path.parent, f".{path.name}.", _UNFINISHED) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _replace_folder(path, temporary)


def _replace_folder(path: Path, replacement: Path) -> None:
    """Renames `replacement` to `path`. An earlier folder is deleted afterwards, or put back on failure."""
    with temporary_folder(path.parent, f".{path.name}.", _REPLACED) as aside:
        old = aside / path.name
        try:
            if path.exists():
                path.rename(old)
            replacement.rename(path)
        finally:
            # Ctrl-C may come between the two renames.
            if old.exists():
                old.rename(aside / f"{path.name}{_DELETED}" if path.exists() else path)


def remove_folder(path: Path) -> None:
    """Deletes a folder. If the process is killed, the folder at `path` is complete or gone."""
    with temporary_folder(path.parent, f".{path.name}.", _REPLACED) as aside:
        path.rename(aside / f"{path.name}{_DELETED}")


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str, suffix: str = "") -> Iterator[Path]:
    """Yields a new folder in `parent`, which is deleted when the block ends.

    The folder is locked, so that `clear_temporary_folders` and `clear_leftovers` of other processes keep it.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            if _lock(handle) is not False and _is_at(handle, folder):
                break
            os.close(handle)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def clear_temporary_folders(parent: Path, prefix: str) -> None:
    """Deletes the folders of `temporary_folder` that killed processes left."""
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        _delete_if_unlocked(folder)


def clear_leftovers(paths: Iterable[Path]) -> None:
    """Deletes what killed processes left beside files and folders that they wrote.

    What a living process writes stays. If a process was killed while it replaced a folder, the earlier folder
    is put back.

    Args:
        paths: files of `atomic_file` and folders of `atomic_folder`. Each parent is searched once.
    """
    names: defaultdict[Path, set[str]] = defaultdict(set)
    for path in paths:
        names[path.parent].add(path.name)
    for parent, wanted in names.items():
        if parent.is_dir():
            for found in [*parent.iterdir()]:
                match = _LEFTOVER.fullmatch(found.name)
                if match and match["name"] in wanted:
                    _delete_if_unlocked(found, parent / match["name"])


def _delete_if_unlocked(found: Path, path: Path | None = None) -> None:
    """Deletes a leftover, unless a living process has locked it. An earlier `path` inside it is put back."""
    try:
        # Without waiting, if it is a named pipe, and without following a link.
        handle = os.open(found, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if not _lock(handle) or not _is_at(handle, found):
            return
        if path is not None and (found / path.name).exists() and not path.exists():
            (found / path.name).rename(path)
        if found.is_dir():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)
    finally:
        os.close(handle)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Makes this process the only one that writes to `path` while the block runs.

    The claim is the lock of a hidden file beside `path`, which is removed at the end. The claim of a killed
    process ends with it.

    Raises:
        BusyError: another process writes to `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        if _lock(handle) is False:
            owner = os.read(handle, _CHUNK).decode(errors="replace").strip()
            os.close(handle)
            raise BusyError(
                f"{path}: another process{owner and f' ({owner})'} is writing here. Run the command again "
                "when that process has ended"
            )
        # The earlier owner may have removed the file between the opening and the lock.
        if _is_at(handle, lock):
            break
        os.close(handle)
    try:
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()}\n".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _locked_file(path: Path) -> tuple[Path, int]:
    """Makes a temporary file beside `path`. Returns it, and the handle that locks it until it is closed."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent)
        # Between the two calls, `clear_leftovers` of another process may lock the file and remove it.
        if _lock(handle) is not False and _is_at(handle, Path(name)):
            return Path(name), handle
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Locks an open file or folder until it is closed. The system unlocks it when the process ends.

    Returns:
        False if another process has the lock, None if the file system has no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


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
