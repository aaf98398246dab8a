"""The fuzzer and the kills, briefly. At length, they are commands: `tests.fuzz.run` and `tests.fuzz.kill`."""

from pathlib import Path

import pytest

from tests.fuzz.kill import disturb, index_scene, link_scene
from tests.fuzz.run import StubLinker, fuzz


def test_damaged_inputs_are_linked_or_reported() -> None:
    assert [*fuzz(seed=0, start=0, inputs=150)] == []


def test_what_no_user_should_see_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr("el.corpus.tables.TableWriter.write", fail)
        assert "error" in {finding.kind for finding in fuzz(seed=1, start=0, inputs=5)}
    monkeypatch.setattr(StubLinker, "link", lambda _, documents, *__: iter([*documents][:0]))
    assert "loss" in {finding.kind for finding in fuzz(seed=1, start=0, inputs=5)}


def test_a_killed_link_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    assert disturb(link_scene(tmp_path, jobs=2, files=6, documents=20), kills=2, seed=2) == []


def test_a_killed_index_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    assert disturb(index_scene(tmp_path, concepts=200), kills=1, seed=3) == []
