"""Progress as lines, where stderr is no terminal."""

import pytest

from el.base import progress as module
from el.base.progress import progress


@pytest.fixture(autouse=True)
def _seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that advances by 20 seconds at each reading."""
    ticks = iter(range(0, 10_000, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(ticks)))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_line_comes_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("encoding", 10_000) as advance:
        for _ in range(4):
            advance(1000)
    assert lines(capsys) == [
        "encoding: 2,000 of 10,000, 50.0 a second, 160 s left",
        "encoding: 4,000 of 10,000, 50.0 a second, 120 s left",
    ]


def test_the_total_may_be_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", None) as advance:
        advance(0)
        advance(0)
        advance(3000)
    assert lines(capsys) == ["reading: 3,000, 50.0 a second"]


def test_a_download_that_continues(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("file.bin", 900_000_000, unit="bytes", done=100_000_000) as advance:
        advance(40_000_000)
        advance(40_000_000)
    assert lines(capsys) == ["file.bin: 180.0 MB of 900.0 MB, 2.0 MB/s, 360 s left"]


def test_nothing_is_shown_without_a_description(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("", 3) as advance:
        advance(1)
    assert lines(capsys) == []
