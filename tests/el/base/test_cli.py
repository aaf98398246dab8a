"""Parameters in, messages and exit codes out."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from el.base.cli import run_command
from el.base.errors import ConfigError, ElError
from el.base.params import load_params, load_section
from el.training.mining import MiningConfig


@dataclass(frozen=True)
class Settings:
    count: int
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    label: str | None = None
    names: tuple[str, ...] = ()
    flag: bool = False
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError("count must not be negative")


def load(**values: Any) -> Settings:
    return load_section(Settings, {"outer": {"inner": values}}, "outer.inner")


def test_values_and_defaults() -> None:
    assert load(count=3) == Settings(3)
    everything = load(
        count=1, rate=2, kind="b", label="x", names=["n", "m"], flag=True, sha256={"file": "abc"}
    )
    assert everything == Settings(1, 2.0, "b", "x", ("n", "m"), True, {"file": "abc"})
    assert isinstance(everything.rate, float)
    assert load(count=1, label=None).label is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"outer\.inner\.count is missing"),
        ({"count": 1, "coumt": 2}, r"outer\.inner\.coumt is unknown; known are count, flag"),
        ({"count": 1, 5: 2}, r"outer\.inner\.5 is unknown"),
        ({"count": "1"}, r"outer\.inner\.count is the text '1'; a whole number is needed: write 1"),
        ({"count": True}, "count is True; a whole number is needed"),
        ({"count": 1.5}, r"count is 1\.5; a whole number"),
        ({"count": None}, "count is empty; a whole number"),
        ({"count": 1, "rate": "fast"}, "rate is the text 'fast'; a number"),
        ({"count": 1, "rate": True}, "rate is True; a number"),
        ({"count": 1, "kind": "c"}, "kind is 'c'; one of a, b is needed"),
        ({"count": 1, "label": 3}, "label is 3; text"),
        ({"count": 1, "names": "n"}, "names is 'n'; a list is needed"),
        ({"count": 1, "names": ["n", 2]}, "names, item 2 is 2; text"),
        ({"count": 1, "flag": 1}, "flag is 1; true or false"),
        ({"count": 1, "sha256": ["x"]}, "sha256 is .*; a section is needed"),
        ({"count": 1, "sha256": {"file": 3}}, r"sha256\.file is 3; text"),
        ({"count": 1, "sha256": {3: "x"}}, "sha256: a key is 3; text"),
        ({"count": -1}, "count must not be negative"),
    ],
)
def test_what_is_refused(values: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_section(Settings, {"outer": {"inner": values}}, "outer.inner")


def test_sections() -> None:
    for params in ({}, {"outer": {}}, {"outer": 3}):
        with pytest.raises(ConfigError, match=r"section outer\.inner is missing"):
            load_section(Settings, params, "outer.inner")
    with pytest.raises(ConfigError, match="a section of parameters is needed"):
        load_section(Settings, {"outer": {"inner": None}}, "outer.inner")


def test_fields_from_elsewhere() -> None:
    settings = load_section(Settings, {"s": {"count": 1}}, "s", names=("x",), count=2)
    assert settings == Settings(2, names=("x",))


def test_params_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ConfigError, match="Run from the root"):
        load_params(path)
    path.write_text("a: {b: 1}")
    assert load_params(path) == {"a": {"b": 1}}
    for content, message in ((b"a: [", "not YAML"), (b"a: \xff", "not YAML"), (b"3", "expected sections")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            load_params(path)


class TwoError(ElError):
    exit_code = 2


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ElError("what and where"), 1, "error: what and where"),
        (TwoError("special"), 2, "error: special"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue"),
        (OSError(28, "No space left on device", "file.bin"), 74, "error: file.bin: No space left on device"),
        (OSError(28, "No space left on device"), 74, "error: file: No space left on device"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(raising(error))
    assert caught.value.code == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", message)


def test_help_of_commands_without_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", "--help"])
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: pytest.fail("the stage ran"), "Stage: does this.")
    assert stop.value.code == 0
    assert "Stage: does this." in capsys.readouterr().out


def test_what_a_section_refuses_is_named_with_its_place() -> None:
    params = {"mining": {"names": 0, "nearest": 1, "positives": 1}}
    with pytest.raises(ConfigError, match=r"params\.yaml: mining: names is 0"):
        load_section(MiningConfig, params, "mining")


def test_bugs_keep_their_traceback() -> None:
    for bug in (ValueError("bug"), OSError("of a library, with no number")):
        with pytest.raises(type(bug)) as caught:
            run_command(raising(bug))
        assert caught.value is bug
    run_command(lambda: None)


@pytest.mark.parametrize("name", ["dvc", "another"])
def test_a_stage_ends_with_its_dvc(tmp_path: Path, name: str) -> None:
    """Also if DVC is killed. What runs a command without DVC may end before it."""
    stage = "import time; from el.base.cli import run_command; run_command(lambda: time.sleep(600))"
    runner = tmp_path / name
    runner.write_text(
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {stage!r}])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    dvc = subprocess.Popen(
        [sys.executable, runner], env=os.environ | {"DVC_STAGE": "mine"}, stdout=subprocess.PIPE, text=True
    )
    assert dvc.stdout is not None
    child = psutil.Process(int(dvc.stdout.readline()))
    try:
        # Until its thread has found its parents.
        time.sleep(3)
        dvc.kill()
        dvc.wait()
        _, alive = psutil.wait_procs([child], 20 if name == "dvc" else 3)
        assert bool(alive) == (name != "dvc")
    finally:
        dvc.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
