"""Files from elsewhere: downloads that resume, mirrors, and archives that are checked as they are read.

The fetch stages share this module. It knows nothing of corpora or ontologies.
"""

import contextlib
import hashlib
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from el.base.errors import ConfigError, FetchError, InputError
from el.base.files import atomic_file, read_json, sha256_file, write_json

MIRROR_VARIABLE = "EL_MIRROR"

_CHUNK = 1 << 16
_RETRIED_STATUS = (429, 500, 502, 503, 504)
_MIRROR = "mirror"


class DiskError(FetchError):
    """The disk is full, or a file on it cannot be read or written; another address would not help."""

    exit_code = os.EX_IOERR


@dataclass(frozen=True)
class Patience:
    """How long to keep trying an address.

    Attributes:
        attempts: how often a lost connection or a busy server is tried, in all.
        timeout: seconds without a byte after which a connection counts as lost.
        backoff: seconds to wait before the second attempt; doubles with each further one.
    """

    attempts: int = 3
    timeout: float = 60.0
    backoff: float = 1.0


PATIENCE = Patience()


class _InterruptedError(Exception):
    """A download that stopped for a reason that may have passed when it is tried again."""


@dataclass(frozen=True)
class Obtained:
    """A whole file on this disk.

    Attributes:
        path: where it lies: in the cache, or in the mirror itself.
        origin: "mirror", or the address it was downloaded from. Never a path of this machine.
    """

    path: Path
    origin: str


# --- finding a file ---------------------------------------------------------------------------------------


def mirror_location(parameter: str) -> str:
    """Returns the mirror in use: the environment variable EL_MIRROR, or else the parameter; "" for none."""
    return os.environ.get(MIRROR_VARIABLE, "") or parameter


def obtain(
    names: Sequence[str],
    urls: Sequence[str],
    mirror: str,
    cache: Path,
    *,
    max_bytes: int,
    remedy: str,
    pins: Mapping[str, str] | None = None,
    patience: Patience = PATIENCE,
) -> Obtained:
    """Finds a file in the mirror, or else downloads it from the first address that has it.

    Args:
        names: the names under which a mirror may hold the file, in the order of preference.
        urls: the addresses to try after the mirror.
        mirror: a local folder, a base address, or "" for none.
        cache: the folder that keeps downloads, whole and unfinished, from one run to the next. A whole
            download in it is used again without asking the server.
        max_bytes: the most bytes that a download may have.
        remedy: what the user can do when nothing provides the file; ends the message.
        pins: the expected SHA-256 by file name; a name that is not in it is not checked.
        patience: how long to keep trying an address.

    Raises:
        FetchError: nothing provides the file; the message says all that was tried and why each failed.
        InputError: the mirror's file has another checksum than the pinned one.
        ConfigError: an address names no file.
    """
    pins = pins or {}
    tried: list[str] = []
    addresses = {url: _public(url) for url in urls}
    if _is_address(mirror):
        addresses = {f"{mirror.rstrip('/')}/{name}": _MIRROR for name in names} | addresses
    elif mirror:
        folder = Path(mirror).expanduser().resolve()
        held = _first_held(folder, names, pins)
        if held is not None:
            return Obtained(held, _MIRROR)
        problem = f"holds no {' or '.join(names)}" if folder.is_dir() else "no such folder"
        tried.append(f"mirror {folder}: {problem}")

    targets = {url: _cache_path(cache, url) for url in addresses}
    for url, target in targets.items():
        if _is_whole(target, pins.get(target.name)):
            return Obtained(target, addresses[url])
    for url, target in targets.items():
        try:
            download(url, target, max_bytes=max_bytes, sha256=pins.get(target.name), patience=patience)
        except DiskError:
            raise
        except FetchError as error:
            tried.append(str(error))
        else:
            return Obtained(target, addresses[url])
    lines = "".join(f"\n  - {line}" for line in tried)
    raise FetchError(f"{' or '.join(names)} could not be fetched. Tried:{lines}\n{remedy}")


def _is_address(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _is_whole(target: Path, pin: str | None) -> bool:
    return target.is_file() and (pin is None or sha256_file(target) == pin)


def _first_held(folder: Path, names: Sequence[str], pins: Mapping[str, str]) -> Path | None:
    for name in names:
        path = folder / name
        if path.is_file():
            check_sha256(path, pins.get(name))
            return path
    return None


def check_sha256(path: Path, pin: str | None) -> None:
    """Compares a local file with its pinned SHA-256; None for no pin.

    Raises:
        InputError: the checksums differ.
    """
    if pin is None:
        return
    found = sha256_file(path)
    if found != pin:
        raise InputError(
            path,
            "",
            f"the SHA-256 is {found}, not the pinned {pin}",
            "Replace the file with the one that was pinned, or correct the pin",
        )


def _cache_path(cache: Path, url: str) -> Path:
    # A folder for each address, so that files of one name from two addresses never pass for each other.
    key = hashlib.sha256(url.encode()).hexdigest()[:12]
    name = PurePosixPath(urlsplit(url).path).name
    if name in ("", ".."):
        raise ConfigError(f"{_public(url)}: the address names no file")
    return cache / key / name


# --- downloading ------------------------------------------------------------------------------------------


def download(
    url: str,
    target: Path,
    *,
    max_bytes: int,
    sha256: str | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Downloads `url` to `target`, which appears only when it is whole.

    What has arrived is kept beside it in `target.part`, also after Ctrl-C, and a later call goes on from
    there as long as the server still has the same file. Progress goes to stderr.

    Args:
        max_bytes: the most bytes that the file may have.
        sha256: the expected SHA-256 as 64 hexadecimal digits; None to take any.
        patience: how long to keep trying.

    Raises:
        FetchError: the file cannot be had, is too large, or has another checksum. A `DiskError` when
            it cannot be written.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _say(console, f"fetching {_public(url)}")
        with Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        ) as progress:
            for attempt in range(1, patience.attempts + 1):
                try:
                    _receive(url, target, max_bytes, patience.timeout, progress)
                    break
                except _InterruptedError as error:
                    if attempt == patience.attempts:
                        raise FetchError(f"{_public(url)}: {error} (tried {attempt} times)") from error
                    time.sleep(patience.backoff * 2 ** (attempt - 1))
        _publish(url, target, sha256)
        _say(console, f"fetched {target.name}, {target.stat().st_size:,} bytes")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _public(url: str) -> str:
    """The address without the user name and password that it may carry."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _part_record(target: Path) -> Path:
    return target.with_name(target.name + ".part.json")


def _discard_part(target: Path) -> None:
    _part(target).unlink(missing_ok=True)
    _part_record(target).unlink(missing_ok=True)


def _receive(url: str, target: Path, max_bytes: int, timeout: float, progress: Progress) -> None:
    """One attempt: brings `target.part` to the end of the file, from where it stands where that works."""
    headers = {"Accept-Encoding": "identity", **_resume_headers(url, target)}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_status(url, response, target)
            _receive_body(url, response, target, max_bytes, progress)
    except requests.Timeout as error:
        raise _InterruptedError(f"no answer within {timeout:g} seconds") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise _InterruptedError(f"the connection failed ({_root_cause(error)})") from error
    except requests.RequestException as error:
        raise FetchError(f"{_public(url)}: {error}") from error


def _root_cause(error: BaseException) -> BaseException:
    """The error beneath the wrappings of requests and urllib3, such as "Connection refused"."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _resume_headers(url: str, target: Path) -> dict[str, str]:
    part = _part(target)
    try:
        record = read_json(_part_record(target))
    except InputError:  # missing or broken: start anew
        return {}
    # Without a validator nothing tells whether the rest belongs to the same file.
    if record["url"] != _public(url) or not record["validator"] or not part.is_file():
        return {}
    size = part.stat().st_size
    return {"Range": f"bytes={size}-", "If-Range": record["validator"]} if size else {}


def _check_status(url: str, response: requests.Response, target: Path) -> None:
    status = response.status_code
    if status in _RETRIED_STATUS:
        raise _InterruptedError(f"the server answered {status} {response.reason}")
    if status == 416:
        _discard_part(target)
        raise _InterruptedError("the file on the server is shorter than the part that was kept")
    if status not in (200, 206):
        raise FetchError(f"{_public(url)}: the server answered {status} {response.reason}")


def _receive_body(
    url: str, response: requests.Response, target: Path, max_bytes: int, progress: Progress
) -> None:
    start, total = _extent(response)
    if total is not None and total > max_bytes:
        raise FetchError(f"{_public(url)}: the file has {total:,} bytes, more than the {max_bytes:,} allowed")
    part = _part(target)
    if start == 0:
        _discard_part(target)
        write_json(_part_record(target), {"url": _public(url), "validator": _validator(response)})
    elif start != part.stat().st_size:
        _discard_part(target)
        raise _InterruptedError("the server sent another range than the one that was asked for")

    received = start
    for earlier in progress.task_ids:
        progress.remove_task(earlier)
    task = progress.add_task(target.name, total=total, completed=start)
    with part.open("ab") as stream:
        # Bytes as they are on the server: requests would unpack a body that is labelled as compressed.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            received += len(chunk)
            if received > max_bytes:
                _discard_part(target)
                raise FetchError(f"{_public(url)}: the file has more than the {max_bytes:,} bytes allowed")
            stream.write(chunk)
            progress.advance(task, len(chunk))
    if total is not None and received != total:
        raise _InterruptedError(f"the file ended after {received:,} of {total:,} bytes")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Where the body starts in the file, and the size of the whole file (None: unknown), in bytes."""
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    if response.status_code == 200:
        return 0, size
    # "bytes 100-199/200"; the total may be "*".
    span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    if not first.isdecimal():
        raise _InterruptedError("the server sent a part of the file without saying which")
    if total.isdecimal():
        return int(first), int(total)
    return int(first), None if size is None else int(first) + size


def _validator(response: requests.Response) -> str:
    """What If-Range takes to tell whether the file is still the same; "" when the server gives nothing."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified", "")


def _publish(url: str, target: Path, sha256: str | None) -> None:
    part = _part(target)
    if sha256 is not None:
        found = sha256_file(part)
        if found != sha256:
            _discard_part(target)
            raise FetchError(f"{_public(url)}: the SHA-256 is {found}, not the expected {sha256}")
    part.replace(target)
    _part_record(target).unlink(missing_ok=True)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError inside the block, such as a full disk, into a `DiskError` that names the file."""
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{error.filename2 or error.filename or path}: {error.strerror or error}. "
            "Free some space or correct the permissions, then run again; a download goes on where it stopped"
        ) from error


# --- unpacking --------------------------------------------------------------------------------------------


def extract_members(archive: Path, wanted: Mapping[str, str | None], out: Path, max_bytes: int) -> None:
    """Writes the wanted members of a zip archive into the folder `out`, each whole or not at all.

    Args:
        wanted: base name of each member -> its SHA-256 as 64 hexadecimal digits, or None to take any. Each
            must be in the archive exactly once, in whichever folder.
        out: the folder to write to, under the base names; made if it is not there.
        max_bytes: the most bytes that the wanted members may have together, unpacked.

    Raises:
        InputError: the archive is missing, broken, lacks a member, or a member is not what was pinned.
        FetchError: a member cannot be written (a `DiskError`).
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {name: _find_member(archive, opened, name) for name in wanted}
            # zipfile never yields more of a member than its declared size, so that this bounds the whole.
            total = sum(member.file_size for member in members.values())
            if total > max_bytes:
                raise _archive_error(
                    archive, f"unpacks to {total:,} bytes, more than the {max_bytes:,} allowed"
                )
            for name, member in members.items():
                _write_member(archive, opened, member, wanted[name], out / name)
    except FileNotFoundError as error:
        raise InputError(archive, "", "no such file", "Fetch it again, or put it into the mirror") from error
    # What zipfile raises for damaged data, for a missing password and for an unknown way of packing.
    except (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise _archive_error(archive, f"not a whole zip archive ({error})") from error


def _archive_error(archive: Path, problem: str, place: str = "") -> InputError:
    return InputError(archive, place, problem, "Delete it and fetch it again, or take it from a mirror")


def _find_member(archive: Path, opened: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    found = [
        info for info in opened.infolist() if PurePosixPath(info.filename).name == name and not info.is_dir()
    ]
    if len(found) != 1:
        raise _archive_error(archive, f"holds {len(found)} members named {name} instead of one")
    member = found[0]
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts:
        raise _archive_error(archive, "the path leads out of the archive", member.filename)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _archive_error(archive, "a link, not a file", member.filename)
    return member


def _write_member(
    archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, pin: str | None, target: Path
) -> None:
    digest = hashlib.sha256()
    with disk_errors(target), atomic_file(target) as temporary:
        with opened.open(member) as source, temporary.open("wb") as stream:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                stream.write(chunk)
        if pin is not None and digest.hexdigest() != pin:
            problem = f"the SHA-256 is {digest.hexdigest()}, not the pinned {pin}"
            raise _archive_error(archive, problem, member.filename)


# --- handing on -------------------------------------------------------------------------------------------


def write_source(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes `source.json` into a folder: the facts, and under "files" the SHA-256 of each file there."""
    sums = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    write_json(folder / "source.json", {**facts, "files": sums})
