"""The downloader against a server on this machine, and the reading of archives."""

import contextlib
import errno
import hashlib
import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from el.base import download as fetch
from el.base.errors import ConfigError, FetchError, InputError
from tests.el.base.server import BODY, Server, closed_url, serve

LIMIT = 1 << 20
AT_ONCE = fetch.Patience(backoff=0.0)
ONCE = fetch.Patience(attempts=1)


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no mirror of the machine that runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(fetch.MIRROR_VARIABLE, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.bin"


def get(url: str, target: Path, **options: Any) -> None:
    fetch.download(url, target, **{"max_bytes": LIMIT, "patience": AT_ONCE, **options})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- download ---------------------------------------------------------------------------------------------


def test_download_writes_the_file_and_nothing_else(server: Server, target: Path) -> None:
    get(server.url(), target, sha256=hashlib.sha256(BODY).hexdigest())
    assert target.read_bytes() == BODY
    assert names(target.parent) == ["file.bin"]


def test_download_says_start_and_end_where_there_is_no_terminal(
    server: Server, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get(server.url(), target)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [f"fetching {server.url()}", "fetched file.bin, 512,000 bytes"]


def test_a_lost_connection_is_taken_up_where_it_broke(server: Server, target: Path) -> None:
    server.behaviour.drop_after = [200_000]
    get(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.behaviour.requests == ["", "bytes=200000-"]
    assert server.behaviour.served == [200_000, len(BODY) - 200_000]


def test_a_later_call_goes_on_from_the_part(server: Server, target: Path) -> None:
    server.behaviour.drop_after = [200_000]
    with pytest.raises(FetchError, match="tried 1 times"):
        get(server.url(), target, patience=ONCE)
    assert names(target.parent) == ["file.bin.part", "file.bin.part.json"]
    get(server.url(), target)
    assert target.read_bytes() == BODY
    assert sum(server.behaviour.served) == len(BODY)


def test_a_changed_file_starts_anew(server: Server, target: Path) -> None:
    server.behaviour.drop_after = [200_000]
    with pytest.raises(FetchError):
        get(server.url(), target, patience=ONCE)
    changed = BODY[::-1]
    server.behaviour.files["/file.bin"] = changed
    server.behaviour.etag = '"two"'
    get(server.url(), target)
    assert target.read_bytes() == changed


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_validator_it_starts_anew(server: Server, target: Path, etag: str) -> None:
    server.behaviour.etag = etag
    server.behaviour.drop_after = [200_000]
    get(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.behaviour.requests == ["", ""]


def test_a_part_from_another_address_is_not_used(server: Server, target: Path) -> None:
    server.behaviour.files["/other.bin"] = BODY[::-1]
    server.behaviour.drop_after = [200_000]
    with pytest.raises(FetchError):
        get(server.url(), target, patience=ONCE)
    get(server.url("/other.bin"), target)
    assert target.read_bytes() == BODY[::-1]


def test_a_server_without_ranges_starts_anew(server: Server, target: Path) -> None:
    server.behaviour.ranges = False
    server.behaviour.drop_after = [200_000]
    get(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.behaviour.served == [200_000, len(BODY)]


def test_a_part_that_is_longer_than_the_file_starts_anew(server: Server, target: Path) -> None:
    server.behaviour.drop_after = [200_000]
    with pytest.raises(FetchError):
        get(server.url(), target, patience=ONCE)
    server.behaviour.files["/file.bin"] = BODY[:1000]
    get(server.url(), target)
    assert target.read_bytes() == BODY[:1000]


def test_a_broken_record_of_the_part_starts_anew(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(b"rubbish")
    target.with_name("file.bin.part.json").write_text("{", encoding="utf-8")
    get(server.url(), target)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, target: Path, status: int) -> None:
    server.behaviour.statuses = [status, status]
    get(server.url(), target)
    assert target.read_bytes() == BODY


def test_a_server_that_stays_busy_is_an_error(server: Server, target: Path) -> None:
    server.behaviour.statuses = [503] * 3
    with pytest.raises(FetchError, match=r"answered 503 .*tried 3 times"):
        get(server.url(), target)
    assert names(target.parent) == []


def test_waits_double(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("el.base.download.time.sleep", waits.append)
    server.behaviour.statuses = [503] * 3
    get(server.url(), target, patience=fetch.Patience(attempts=4, backoff=0.5))
    assert waits == [0.5, 1.0, 2.0]


def test_a_missing_file_is_asked_for_once(server: Server, target: Path) -> None:
    with pytest.raises(FetchError, match="answered 404"):
        get(server.url("/absent.bin"), target)
    assert len(server.behaviour.requests) == 1


def test_a_body_shorter_than_announced_is_an_error(server: Server, target: Path) -> None:
    server.behaviour.extra_length = 10
    server.behaviour.ranges = False
    with pytest.raises(FetchError, match="tried 3 times"):
        get(server.url(), target)
    assert not target.exists()


def test_an_announced_size_over_the_bound_is_not_read(server: Server, target: Path) -> None:
    with pytest.raises(FetchError, match="512,000 bytes, more than the 1,000 allowed"):
        get(server.url(), target, max_bytes=1000)
    assert names(target.parent) == []


def test_a_size_over_the_bound_that_was_not_announced_stops(server: Server, target: Path) -> None:
    server.behaviour.chunked = True
    with pytest.raises(FetchError, match="more than the 1,000 bytes allowed"):
        get(server.url(), target, max_bytes=1000)
    assert names(target.parent) == []


def test_a_wrong_checksum_removes_the_part(server: Server, target: Path) -> None:
    with pytest.raises(FetchError, match=f"SHA-256 is {hashlib.sha256(BODY).hexdigest()}"):
        get(server.url(), target, sha256="0" * 64)
    assert names(target.parent) == []


def test_a_password_in_the_address_is_not_shown(server: Server, target: Path) -> None:
    url = server.url("/absent.bin").replace("//", "//user:secret@")
    with pytest.raises(FetchError) as caught:
        get(url, target)
    assert "/absent.bin" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_interrupt_leaves_the_part_for_resuming(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "progress", _raise_at_second_call(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            get(server.url(), target)
    assert names(target.parent) == ["file.bin.part", "file.bin.part.json"]
    kept = target.with_name("file.bin.part").stat().st_size
    assert 0 < kept < len(BODY)
    get(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.behaviour.requests == ["", f"bytes={kept}-"]


def test_a_full_disk_is_explained(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(fetch, "progress", _raise_at_second_call(full))
    with pytest.raises(fetch.DiskError, match=r"file\.bin: No space left on device\. Free some space"):
        get(server.url(), target)
    assert not target.exists()


def _raise_at_second_call(error: BaseException) -> Any:
    """A stand-in for `progress` that raises when the second chunk has been written."""

    @contextlib.contextmanager
    def progress(*_: object, **__: object) -> Iterator[Callable[[int], None]]:
        calls = []

        def advance(count: int) -> None:
            calls.append(count)
            if len(calls) == 2:
                raise error

        yield advance

    return progress


# --- obtain -----------------------------------------------------------------------------------------------


def find(server: Server, cache: Path, mirror: str = "", **options: Any) -> fetch.Obtained:
    settings = {"max_bytes": LIMIT, "remedy": "Do that.", "patience": AT_ONCE, **options}
    return fetch.obtain(["file.bin"], [server.url()], mirror, cache, **settings)


def test_obtain_downloads_once(server: Server, tmp_path: Path) -> None:
    first = find(server, tmp_path)
    assert first.path.read_bytes() == BODY
    assert first.origin == server.url()
    assert find(server, tmp_path) == first
    assert len(server.behaviour.requests) == 1


def test_obtain_fetches_anew_what_does_not_fit_the_pin(server: Server, tmp_path: Path) -> None:
    first = find(server, tmp_path)
    first.path.write_bytes(b"damaged")
    found = find(server, tmp_path, pins={"file.bin": hashlib.sha256(BODY).hexdigest()})
    assert found.path.read_bytes() == BODY


def test_obtain_takes_the_mirror_folder_first(server: Server, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "file.bin").write_bytes(b"mirrored")
    assert find(server, tmp_path / "cache", str(mirror)) == fetch.Obtained(mirror / "file.bin", "mirror")
    assert server.behaviour.requests == []


def test_obtain_checks_the_mirror_against_the_pin(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"mirrored")
    with pytest.raises(InputError, match="not the pinned"):
        find(server, tmp_path / "cache", str(tmp_path), pins={"file.bin": "0" * 64})


def test_obtain_takes_a_mirror_address(server: Server, tmp_path: Path) -> None:
    server.behaviour.files["/mirror/file.bin"] = b"mirrored"
    found = find(server, tmp_path, server.url("/mirror/"))
    assert found.path.read_bytes() == b"mirrored"
    assert found.origin == "mirror"


def test_obtain_goes_on_to_the_address_when_the_mirror_lacks_the_file(server: Server, tmp_path: Path) -> None:
    assert find(server, tmp_path / "cache", str(tmp_path)).origin == server.url()


def test_obtain_says_all_that_was_tried(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        fetch.obtain(
            ["a.gz", "a.xml"],
            [closed_url("/first/a.gz"), closed_url("/second/a.gz")],
            str(tmp_path / "nowhere"),
            tmp_path / "cache",
            max_bytes=LIMIT,
            remedy="Set EL_MIRROR.",
            patience=AT_ONCE,
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "a.gz or a.xml could not be fetched. Tried:"
    assert lines[1] == f"  - mirror {tmp_path / 'nowhere'}: no such folder"
    assert "/first/a.gz: the connection failed" in lines[2]
    assert "/second/a.gz: the connection failed" in lines[3]
    assert lines[4] == "Set EL_MIRROR."


def test_obtain_stops_at_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(fetch, "progress", _raise_at_second_call(full))
    with pytest.raises(fetch.DiskError):
        find(server, tmp_path)


def test_obtain_refuses_an_address_without_a_file_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        fetch.obtain(["a"], ["http://127.0.0.1/"], "", tmp_path, max_bytes=LIMIT, remedy="")


def test_the_environment_overrides_the_mirror_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch.mirror_location("parameter") == "parameter"
    monkeypatch.setenv(fetch.MIRROR_VARIABLE, "environment")
    assert fetch.mirror_location("parameter") == "environment"


# --- extract_members --------------------------------------------------------------------------------------


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_extract_finds_members_by_base_name(tmp_path: Path) -> None:
    members = {"deep/er/a.txt": b"A", "b.txt": b"B", "c.txt": b"C", "a.txt/": b""}
    archive = make_zip(tmp_path / "x.zip", members)
    wanted = {"a.txt": hashlib.sha256(b"A").hexdigest(), "b.txt": None}
    fetch.extract_members(archive, wanted, tmp_path / "out", LIMIT)
    assert names(tmp_path / "out") == ["a.txt", "b.txt"]
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"A"


@pytest.mark.parametrize("members", [{"b.txt": b""}, {"x/a.txt": b"", "y/a.txt": b""}])
def test_extract_needs_each_member_exactly_once(tmp_path: Path, members: dict[str, bytes]) -> None:
    archive = make_zip(tmp_path / "x.zip", members)
    with pytest.raises(InputError, match=r"holds \d members named a\.txt instead of one"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", LIMIT)


@pytest.mark.parametrize("name", ["../a.txt", "x/../../a.txt", "/etc/a.txt"])
def test_extract_refuses_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "x.zip", {name: b"A"})
    with pytest.raises(InputError, match="leads out of the archive"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_extract_refuses_links_and_devices(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("a.txt")
    member.external_attr = (kind | 0o777) << 16
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(member, "/etc/hosts")
    with pytest.raises(InputError, match=r"a\.txt: the member is a link or a device, not a file"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["..\\a.txt", "C:\\a.txt", "a.txt\0.exe", "a.txt ", "./b/a.txt/../b.txt"])
def test_extract_takes_names_as_they_are(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "x.zip"
    member = zipfile.ZipInfo("a.txt")
    member.filename = name
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(member, "A")
        opened.writestr("c.txt", "C")
    with contextlib.suppress(InputError):
        fetch.extract_members(archive, {"a.txt": None, "c.txt": None}, tmp_path / "out", LIMIT)
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} <= {"x.zip", "out"}
    assert not (tmp_path / "out").exists() or set(names(tmp_path / "out")) <= {"a.txt", "c.txt"}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_extract_refuses_what_is_damaged_anywhere(tmp_path: Path, method: int) -> None:
    packed, content = io.BytesIO(), b"".join(b"%d " % number for number in range(60))
    with zipfile.ZipFile(packed, "w", method) as opened:
        opened.writestr("x/a.txt", content)
    archive, pin = tmp_path / "x.zip", hashlib.sha256(content).hexdigest()
    random = Random(method)
    for _ in range(100):
        damaged = bytearray(packed.getvalue())
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        archive.write_bytes(damaged)
        with contextlib.suppress(InputError):
            fetch.extract_members(archive, {"a.txt": pin}, tmp_path / "out", LIMIT)
            assert (tmp_path / "out" / "a.txt").read_bytes() == content
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") in ([], ["a.txt"])


def test_extract_refuses_what_unpacks_to_too_much(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.txt": bytes(600), "b.txt": bytes(600)})
    with pytest.raises(InputError, match="unpacks to 1,200 bytes, more than the 1,000 allowed"):
        fetch.extract_members(archive, {"a.txt": None, "b.txt": None}, tmp_path / "out", 1000)
    assert not (tmp_path / "out").exists()


def test_extract_never_writes_more_than_a_member_declares(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.txt", bytes(LIMIT))
    archive = tmp_path / "x.zip"
    size = LIMIT.to_bytes(4, "little")
    archive.write_bytes(bomb.getvalue().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(InputError, match="not a complete zip archive"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", 1000)
    assert names(tmp_path / "out") == []


def test_extract_checks_each_member(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"x/a.txt": b"A"})
    with pytest.raises(InputError, match=r"x/a\.txt: the SHA-256 is .* not the pinned 0000"):
        fetch.extract_members(archive, {"a.txt": "0" * 64}, tmp_path / "out", LIMIT)
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("keep", [0, 10, 4000, 7000])
def test_extract_refuses_a_truncated_archive(tmp_path: Path, keep: int) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.txt": hashlib.shake_256(b"").digest(8000)})
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"x\.zip: not a complete zip archive .*fetch it again"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", LIMIT)


def test_extract_refuses_a_damaged_member(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.txt": b"words and words and words"})
    content = bytearray(archive.read_bytes())
    content[37] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(InputError, match="not a complete zip archive"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", LIMIT)


def test_extract_refuses_what_needs_a_password(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.txt": b"A"})
    content = bytearray(archive.read_bytes())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + offset] |= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match="password"):
        fetch.extract_members(archive, {"a.txt": None}, tmp_path / "out", LIMIT)


def test_extract_names_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.zip: no such file"):
        fetch.extract_members(tmp_path / "absent.zip", {}, tmp_path / "out", LIMIT)
