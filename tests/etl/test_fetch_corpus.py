"""The corpus stage, on made-up archives; once on the real one where a mirror has it."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from el.base.download import Patience
from el.base.errors import ConfigError, FetchError, InputError
from etl import fetch_corpus as stage
from etl.fetch_corpus import CorpusSource, fetch_corpus
from tests.el.base.server import closed_url, serve

OUTPUT = {f"{split}.{suffix}" for split in stage.SPLITS for suffix in stage.FORMATS}
REAL_MIRROR = os.environ.get("EL_MIRROR", "")


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no mirror of the machine that runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("EL_MIRROR", raising=False)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with a made-up archive, whose members are the pinned ones."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    members = {}
    with zipfile.ZipFile(folder / stage.ARCHIVE, "w") as archive:
        for member, (name, _) in stage.BC5CDR_MEMBERS.items():
            content = f"made up for {name}".encode()
            archive.writestr(f"CDR_Data/{member}", content)
            members[member] = (name, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(stage, "BC5CDR_MEMBERS", members)
    return folder


def run(tmp_path: Path, **parameters: Any) -> Path:
    out = tmp_path / "raw" / "corpus"
    parameters.setdefault("url", closed_url("/CDR_Data.zip"))
    fetch_corpus(CorpusSource(**parameters), out, tmp_path / "cache", patience=Patience(backoff=0.0))
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def source_json(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    return facts


def test_bc5cdr_from_a_mirror(tmp_path: Path, mirror: Path) -> None:
    out = run(tmp_path, source="bc5cdr", mirror=str(mirror))
    assert set(contents(out)) == OUTPUT | {"source.json"}
    assert (out / "dev.BioC.xml").read_text(encoding="utf-8") == "made up for dev.BioC.xml"
    assert source_json(out) == {
        "source": "bc5cdr",
        "from": "mirror",
        "files": dict(stage.BC5CDR_MEMBERS.values()),
    }


def test_source_json_names_no_path_of_this_machine(tmp_path: Path, mirror: Path) -> None:
    out = run(tmp_path, source="bc5cdr", mirror=str(mirror))
    assert str(tmp_path) not in (out / "source.json").read_text(encoding="utf-8")


def test_bc5cdr_from_the_address_and_then_from_the_cache(tmp_path: Path, mirror: Path) -> None:
    with serve() as server:
        url = server.url("/CDR_Data.zip")
        server.behaviour.files["/CDR_Data.zip"] = (mirror / stage.ARCHIVE).read_bytes()
        first = contents(run(tmp_path, source="bc5cdr", url=url))
    assert contents(run(tmp_path, source="bc5cdr", url=url)) == first
    assert json.loads(first["source.json"])["from"] == url


def test_the_environment_names_the_mirror(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EL_MIRROR", str(mirror))
    out = run(tmp_path, source="bc5cdr", mirror=str(tmp_path / "nowhere"))
    assert source_json(out)["from"] == "mirror"


def test_nothing_reachable_is_one_message_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        run(tmp_path, source="bc5cdr", mirror=str(tmp_path / "nowhere"))
    message = str(caught.value)
    assert f"mirror {tmp_path / 'nowhere'}: no such folder" in message
    assert "/CDR_Data.zip: the connection failed" in message
    assert "Put CDR_Data.zip into a folder" in message
    assert "EL_MIRROR" in message
    assert "data.corpus.mirror" in message
    assert "el.pipeline.compose" in message
    assert not (tmp_path / "raw" / "corpus").exists()


def test_other_data_under_the_same_name_is_refused(tmp_path: Path, mirror: Path) -> None:
    content = (mirror / stage.ARCHIVE).read_bytes()
    with zipfile.ZipFile(mirror / stage.ARCHIVE, "w") as archive:
        for member in stage.BC5CDR_MEMBERS:
            archive.writestr(member, "other data")
    assert (mirror / stage.ARCHIVE).read_bytes() != content
    with pytest.raises(InputError, match="not the pinned"):
        run(tmp_path, source="bc5cdr", mirror=str(mirror))


def test_a_failure_leaves_what_stood_there(tmp_path: Path, mirror: Path) -> None:
    out = run(tmp_path, source="bc5cdr", mirror=str(mirror))
    before = contents(out)
    archive = mirror / stage.ARCHIVE
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"CDR_Data\.zip: not a complete zip archive"):
        run(tmp_path, source="bc5cdr", mirror=str(mirror))
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["corpus"]


def test_path_copies_what_is_there(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    names = ["train.BioC.xml", "dev.PubTator.txt", "test.BioC.xml", "test.PubTator.txt"]
    for name in [*names, "notes.txt"]:
        (given / name).write_text(name, encoding="utf-8")
    out = run(tmp_path, source="path", path=str(given))
    assert set(contents(out)) == {*names, "source.json"}
    assert str(given) not in (out / "source.json").read_text(encoding="utf-8")


def test_path_needs_every_split(tmp_path: Path) -> None:
    (tmp_path / "train.BioC.xml").touch()
    with pytest.raises(InputError, match=r"neither dev\.BioC\.xml nor dev\.PubTator\.txt exists"):
        run(tmp_path, source="path", path=str(tmp_path))


def test_path_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.corpus\.path: empty"):
        run(tmp_path, source="path")


@pytest.mark.real
@pytest.mark.skipif(
    not (REAL_MIRROR and Path(REAL_MIRROR, stage.ARCHIVE).is_file()),
    reason=f"EL_MIRROR names no folder with {stage.ARCHIVE}",
)
def test_the_real_archive_holds_what_is_pinned(tmp_path: Path) -> None:
    out = run(tmp_path, source="bc5cdr", mirror=REAL_MIRROR)
    assert source_json(out)["files"] == dict(stage.BC5CDR_MEMBERS.values())
