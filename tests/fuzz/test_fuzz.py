"""The fuzzer and the kills, briefly. At length, they are commands: `tests.fuzz.run` and `tests.fuzz.kill`."""

from pathlib import Path

import pytest

from tests.fuzz.kill import disturb, index_scene, link_scene
from tests.fuzz.run import fuzz


def test_damaged_inputs_are_linked_or_reported() -> None:
    assert [*fuzz(seed=0, start=0, inputs=150)] == []


def test_what_no_user_should_see_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("el.corpus.store.JsonLinesWriter.write", fail)
    kinds = [finding.kind for finding in fuzz(seed=1, start=0, inputs=5)]
    assert "error" in kinds
    monkeypatch.setattr("el.corpus.store.JsonLinesWriter.write", lambda *_: None)
    assert [finding.kind for finding in fuzz(seed=1, start=0, inputs=5)].count("loss")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_link_goes_on_and_loses_nothing(tmp_path: Path, jobs: int) -> None:
    assert disturb(link_scene(tmp_path, jobs, files=6, documents=20), kills=3, seed=jobs) == []


def test_a_killed_index_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    assert disturb(index_scene(tmp_path, concepts=200), kills=3, seed=3) == []
