"""The corpus stage, on made-up archives; once on the real ones where a mirror has them."""

import hashlib
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from el.base.download import Patience
from el.base.errors import ConfigError, FetchError, InputError
from etl import fetch_corpus as stage
from etl.fetch_corpus import CorpusSource, fetch_corpus
from tests.el.base.server import closed_url, serve

BC5CDR = "CDR_Data.zip"
OUTPUT = {
    "bc5cdr": {f"{split}.{suffix}" for split in stage.SPLITS for suffix in stage.FORMATS},
    "ncbi_disease": {f"{split}.PubTator.txt" for split in stage.SPLITS},
}
REAL_MIRROR = os.environ.get("EL_MIRROR", "")


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no mirror of the machine that runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("EL_MIRROR", raising=False)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror of all corpora with made-up archives, whose members are the pinned ones."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for source, corpus in stage.CORPORA.items():
        archives: dict[str, dict[str, tuple[str, str]]] = {}
        for archive, members in corpus.archives.items():
            archives[archive] = {}
            with zipfile.ZipFile(folder / archive, "w") as opened:
                for member, (name, _) in members.items():
                    content = f"made up for {name}".encode()
                    opened.writestr(f"some/folder/{member}", content)
                    archives[archive][member] = (name, hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(stage.CORPORA, source, replace(corpus, archives=archives))
    return folder


def pins(source: str) -> dict[str, str]:
    """Name in the output folder -> SHA-256."""
    return dict(pin for members in stage.CORPORA[source].archives.values() for pin in members.values())


def run(tmp_path: Path, **parameters: Any) -> Path:
    out = tmp_path / "raw" / "corpus"
    parameters.setdefault("url", closed_url("/corpora"))
    fetch_corpus(CorpusSource(**parameters), out, tmp_path / "cache", patience=Patience(backoff=0.0))
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def source_json(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    return facts


@pytest.mark.parametrize("source", stage.CORPORA)
def test_a_corpus_from_a_mirror(tmp_path: Path, mirror: Path, source: str) -> None:
    out = run(tmp_path, source=source, mirror=str(mirror))
    assert set(contents(out)) == OUTPUT[source] | {"source.json"}
    for name in OUTPUT[source]:
        assert (out / name).read_text(encoding="utf-8") == f"made up for {name}"
    assert source_json(out) == {"source": source, "from": "mirror", "files": pins(source)}


def test_the_parameters_know_every_corpus() -> None:
    known = get_args(get_type_hints(CorpusSource)["source"])
    assert sorted(known) == sorted([*stage.CORPORA, "both", "path"])


def test_source_json_names_no_path_of_this_machine(tmp_path: Path, mirror: Path) -> None:
    out = run(tmp_path, source="bc5cdr", mirror=str(mirror))
    assert str(tmp_path) not in (out / "source.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", stage.CORPORA)
def test_a_corpus_from_the_address_and_then_from_the_cache(tmp_path: Path, mirror: Path, source: str) -> None:
    archives = list(stage.CORPORA[source].archives)
    with serve() as server:
        url = server.url("/corpora/")
        for name in archives:
            server.behaviour.files[f"/corpora/{name}"] = (mirror / name).read_bytes()
        first = contents(run(tmp_path, source=source, url=url))
    assert contents(run(tmp_path, source=source, url=url)) == first
    assert json.loads(first["source.json"])["from"] == ", ".join(f"{url}{name}" for name in archives)


def test_one_archive_may_be_in_the_mirror_and_the_others_at_the_address(tmp_path: Path, mirror: Path) -> None:
    moved = "NCBIdevelopset_corpus.zip"
    with serve() as server:
        server.behaviour.files[f"/{moved}"] = (mirror / moved).read_bytes()
        (mirror / moved).unlink()
        url = server.url("")
        out = run(tmp_path, source="ncbi_disease", mirror=str(mirror), url=url)
    assert source_json(out)["from"] == f"mirror, {url}/{moved}"


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
    with pytest.raises(
        FetchError, match=r"Put NCBItrainset_corpus\.zip, NCBIdevelopset_corpus\.zip, NCBItest"
    ):
        run(tmp_path, source="ncbi_disease")
    assert "EL_MIRROR" in message
    assert "data.corpus.mirror" in message
    assert "el.pipeline.compose" in message
    assert not (tmp_path / "raw" / "corpus").exists()


@pytest.mark.parametrize(
    ("source", "archive"), [("bc5cdr", BC5CDR), ("ncbi_disease", "NCBItestset_corpus.zip")]
)
def test_other_data_under_the_same_name_is_refused(
    tmp_path: Path, mirror: Path, source: str, archive: str
) -> None:
    with zipfile.ZipFile(mirror / archive, "w") as opened:
        for member in stage.CORPORA[source].archives[archive]:
            opened.writestr(member, "other data")
    with pytest.raises(InputError, match="not the pinned"):
        run(tmp_path, source=source, mirror=str(mirror))


def test_a_failure_leaves_what_stood_there(tmp_path: Path, mirror: Path) -> None:
    out = run(tmp_path, source="bc5cdr", mirror=str(mirror))
    before = contents(out)
    archive = mirror / BC5CDR
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
@pytest.mark.parametrize("source", stage.CORPORA)
def test_the_real_archives_hold_what_is_pinned(tmp_path: Path, source: str) -> None:
    archives = stage.CORPORA[source].archives
    if not REAL_MIRROR or not all(Path(REAL_MIRROR, name).is_file() for name in archives):
        pytest.skip(f"EL_MIRROR names no folder with {', '.join(archives)}")
    out = run(tmp_path, source=source, mirror=REAL_MIRROR)
    assert source_json(out)["files"] == pins(source)


def test_both_corpora_each_in_a_folder(tmp_path: Path, mirror: Path) -> None:
    out = run(tmp_path, source="both", mirror=str(mirror), url="")
    assert {path.name for path in out.iterdir()} == set(stage.CORPORA)
    for source in stage.CORPORA:
        assert set(contents(out / source)) == OUTPUT[source] | {"source.json"}
        assert source_json(out / source)["source"] == source


def test_one_address_for_both_corpora_is_refused(tmp_path: Path, mirror: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.corpus\.url: one address for two corpora"):
        run(tmp_path, source="both", mirror=str(mirror), url="https://example.org")
    assert not (tmp_path / "raw" / "corpus").exists()
