"""Files from elsewhere: downloads that resume, mirrors, and archives that are checked while they are read.

The stages that fetch a corpus or an ontology share this module. It knows nothing about either of them.
"""

import contextlib
import errno
import hashlib
import lzma
import os
import stat
import struct
import sys
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

from el.base.errors import ConfigError, FetchError, InputError
from el.base.files import atomic_file, read_json, sha256_file, write_json
from el.base.progress import progress

MIRROR_VARIABLE = "EL_MIRROR"

# Bytes that are received or unpacked at once. A larger value takes more memory and shows progress less often.
_CHUNK = 1 << 16
# The HTTP codes of a server that is busy or fails for a moment: another attempt may succeed.
_RETRIED_STATUS = (429, 500, 502, 503, 504)
_MIRROR = "mirror"
# What zipfile raises for damaged data, a missing password and an unknown compression method.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


class DiskError(FetchError):
    """The disk is full, or a file on it cannot be read or written. Another address would not help."""

    exit_code = os.EX_IOERR


@dataclass(frozen=True)
class Patience:
    """How long to keep trying an address.

    Attributes:
        attempts: the number of attempts in all, after lost connections or answers of a busy server.
        timeout: seconds without a byte, after which a connection counts as lost.
        backoff: seconds to wait before the second attempt. The wait doubles before each further attempt.
    """

    attempts: int = 3
    timeout: float = 60.0
    backoff: float = 1.0


PATIENCE = Patience()


class _InterruptedError(Exception):
    """A download stopped for a reason that may be gone at the next attempt."""


@dataclass(frozen=True)
class Obtained:
    """A complete file on this disk.

    Attributes:
        path: the file, in the cache or in the mirror itself.
        origin: "mirror", or the address of the download. It never holds a path of this machine.
    """

    path: Path
    origin: str


# --- finding a file ---------------------------------------------------------------------------------------


def mirror_location(parameter: str) -> str:
    """Returns the mirror to use: the environment variable EL_MIRROR if set, or else the parameter.

    Returns:
        A folder or an address; "" for no mirror.
    """
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
    """Finds a file in the mirror, or else downloads it from the first address that has the file.

    Args:
        names: the names that the file may have in a mirror, the preferred name first.
        urls: the addresses to try after the mirror.
        mirror: a local folder, a base address, or "" for none.
        cache: the folder that keeps complete and unfinished downloads between runs. A complete download in
            this folder is used again, without a request to the server.
        max_bytes: the most bytes that a download may have.
        remedy: what the user can do if no source provides the file. It ends the error message.
        pins: file name -> expected SHA-256. A file whose name is missing here is not checked.
        patience: how long to keep trying an address.

    Raises:
        FetchError: no source provides the file. The message lists every source and why it failed.
        InputError: the mirror's file does not have the pinned checksum.
        ConfigError: an address does not end in a file name.
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
    """Compares a local file with its pinned SHA-256.

    Args:
        path: the file.
        pin: 64 hexadecimal digits; None to accept any file.

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
            "Replace the file with the pinned one, or correct the pin",
        )


def _cache_path(cache: Path, url: str) -> Path:
    # Each address has a folder in the cache: two addresses may provide different files of the same name.
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
    """Downloads `url` to `target`. The file appears there only when it is complete.

    Until then the bytes are kept in `target.part`, also after Ctrl-C. A later call continues from that part
    if the server still has the same file. Progress goes to stderr.

    Args:
        url: the address.
        target: the file to write.
        max_bytes: the most bytes that the file may have.
        sha256: the expected SHA-256 as 64 hexadecimal digits; None to accept any file.
        patience: how long to keep trying.

    Raises:
        FetchError: the file cannot be downloaded, is too large, or has another checksum. A `DiskError` if
            it cannot be written.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _report(f"fetching {_public(url)}")
        for attempt in range(1, patience.attempts + 1):
            try:
                _receive(url, target, max_bytes, patience.timeout)
                break
            except _InterruptedError as error:
                if attempt == patience.attempts:
                    raise FetchError(f"{_public(url)}: {error} (tried {attempt} times)") from error
                time.sleep(patience.backoff * 2 ** (attempt - 1))
        _publish(url, target, sha256)
        _report(f"fetched {target.name}, {target.stat().st_size:,} bytes")


def _report(line: str) -> None:
    print(line, file=sys.stderr)


def _public(url: str) -> str:
    """The address without the user name and the password that it may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _part_record(target: Path) -> Path:
    return target.with_name(target.name + ".part.json")


def _discard_part(target: Path) -> None:
    _part(target).unlink(missing_ok=True)
    _part_record(target).unlink(missing_ok=True)


def _receive(url: str, target: Path, max_bytes: int, timeout: float) -> None:
    """Makes one attempt to complete `target.part`, from its present end if the server allows that."""
    headers = {"Accept-Encoding": "identity", **_resume_headers(url, target)}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_status(url, response, target)
            _receive_body(url, response, target, max_bytes)
    except requests.Timeout as error:
        raise _InterruptedError(f"no answer within {timeout:g} seconds") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise _InterruptedError(f"the connection failed ({_root_cause(error)})") from error
    except requests.RequestException as error:
        raise FetchError(f"{_public(url)}: {error}") from error


def _root_cause(error: BaseException) -> BaseException:
    """The original error, such as "Connection refused", that requests and urllib3 wrap several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _resume_headers(url: str, target: Path) -> dict[str, str]:
    part = _part(target)
    try:
        record = read_json(_part_record(target))
    except InputError:  # The record is missing or broken: the download starts again from the first byte.
        return {}
    # Without a validator, the rest may belong to another version of the file.
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
        raise _InterruptedError("the file on the server is shorter than the part from an earlier download")
    if status not in (200, 206):
        raise FetchError(f"{_public(url)}: the server answered {status} {response.reason}")


def _receive_body(url: str, response: requests.Response, target: Path, max_bytes: int) -> None:
    start, total = _extent(response)
    if total is not None and total > max_bytes:
        raise FetchError(f"{_public(url)}: the file has {total:,} bytes, more than the {max_bytes:,} allowed")
    part = _part(target)
    if start == 0:
        _discard_part(target)
        write_json(_part_record(target), {"url": _public(url), "validator": _validator(response)})
    elif start != part.stat().st_size:
        _discard_part(target)
        raise _InterruptedError("the server sent another range of the file than the requested one")

    received = start
    with (
        progress(target.name, total, unit="bytes", done=start) as advance,
        part.open("ab") as stream,
    ):
        # `raw` gives the bytes as the server has them; `iter_content` would unpack a compressed body.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            received += len(chunk)
            if received > max_bytes:
                _discard_part(target)
                raise FetchError(f"{_public(url)}: the file has more than the {max_bytes:,} bytes allowed")
            stream.write(chunk)
            advance(len(chunk))
    if total is not None and received != total:
        raise _InterruptedError(f"the download ended after {received:,} of {total:,} bytes")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """The place in the file where the body starts, and the file's size (None if unknown), in bytes."""
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    if response.status_code == 200:
        return 0, size
    # "bytes 100-199/200"; the total may be "*".
    span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    if not first.isdecimal():
        raise _InterruptedError("the server sent a part of the file but did not say which part")
    if total.isdecimal():
        return int(first), int(total)
    return int(first), None if size is None else int(first) + size


def _validator(response: requests.Response) -> str:
    """The value for If-Range, by which the server checks that the file is the same; "" if it sent none."""
    # A weak ETag (W/) does not promise the same bytes.
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
            "Free some space or correct the permissions, and run again; a download continues where it stopped"
        ) from error


# --- unpacking --------------------------------------------------------------------------------------------


def extract_members(archive: Path, wanted: Mapping[str, str | None], out: Path, max_bytes: int) -> None:
    """Writes the wanted members of a zip archive into the folder `out`, each whole or not at all.

    Args:
        archive: the zip archive.
        wanted: base name of each member -> its SHA-256 as 64 hexadecimal digits, or None to accept any
            content. Each base name must be in the archive exactly once, in any folder.
        out: the folder to write to, under the base names. It is created if necessary.
        max_bytes: the most bytes that the wanted members may have together, unpacked.

    Raises:
        InputError: the archive is missing, broken or lacks a member, or a member does not have its pinned
            checksum.
        FetchError: a member cannot be written (a `DiskError`).
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {name: _find_member(archive, opened, name) for name in wanted}
            # zipfile never unpacks more of a member than its declared size, so this check is sufficient.
            total = sum(member.file_size for member in members.values())
            if total > max_bytes:
                raise _archive_error(
                    archive, f"unpacks to {total:,} bytes, more than the {max_bytes:,} allowed"
                )
            for name, member in members.items():
                _write_member(archive, opened, member, wanted[name], out / name)
    except FileNotFoundError as error:
        raise InputError(archive, "", "no such file", "Fetch it again, or put it into the mirror") from error
    except _ZIP_ERRORS as error:
        raise _archive_error(archive, f"not a complete zip archive ({error})") from error


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
        raise _archive_error(archive, "the member's path leads out of the archive", member.filename)
    # The upper half of the attributes holds the mode of a Unix file, or 0.
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise _archive_error(archive, "the member is a link or a device, not a file", member.filename)
    return member


def _write_member(
    archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, pin: str | None, target: Path
) -> None:
    digest = hashlib.sha256()
    with disk_errors(target), atomic_file(target) as temporary:
        with temporary.open("wb") as stream:
            for chunk in _chunks(archive, opened, member):
                digest.update(chunk)
                stream.write(chunk)
        if pin is not None and digest.hexdigest() != pin:
            problem = f"the SHA-256 is {digest.hexdigest()}, not the pinned {pin}"
            raise _archive_error(archive, problem, member.filename)


def _chunks(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with opened.open(member) as source:
            while chunk := source.read(_CHUNK):
                yield chunk
    except OSError as error:
        # bz2 has no error of its own, and an offset that is too large is an invalid argument to the system.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _archive_error(archive, f"not a complete zip archive ({error})", member.filename) from error


# --- recording the source ---------------------------------------------------------------------------------


def write_source(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes `source.json` into a folder: the given facts, and under "files" each file's SHA-256."""
    sums = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    write_json(folder / "source.json", {**facts, "files": sums})
