"""`el` itself: its help, its mistakes, and that each sub-command is a module too."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import el
from el.base.cli import run_command
from el.commands import main as module
from el.commands.main import COMMANDS, console, main

SECONDS = 120
# Imported only when there is something to link.
SLOW = ("torch", "transformers", "openvino", "numpy")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=SECONDS)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments)
    printed = capsys.readouterr().out
    assert printed.startswith("usage: el COMMAND")
    assert list(COMMANDS) == ["index", "link", "evaluate", "bench"]
    lines = printed.splitlines()
    for name, summary in COMMANDS.items():
        assert [line.split(None, 1) for line in lines].count([name, summary]) == 1


@pytest.mark.parametrize("argument", ["--version", "-V"])
def test_version(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([argument])
    assert capsys.readouterr().out == f"el {el.__version__}\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "lnik",
            "no command 'lnik'. Did you mean link? Commands: index, link, evaluate, bench; see `el --help`",
        ),
        ("benchmark", "no command 'benchmark'. Did you mean bench? "),
        ("--linker", "no command '--linker'. Did you mean link"),
        ("xyz", "no command 'xyz'. Commands: index, "),
        ("", "no command ''. Commands: index, "),
    ],
)
def test_an_unknown_command(name: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main([name, "--help"]))
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {told}")
    assert err.count("\n") == 1


def test_a_command_gets_the_other_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("el.commands.link.main", given.append)
    main(["link", "a.txt", "--help"])
    # As the shell calls it.
    monkeypatch.setattr(sys, "argv", ["el", "link", "-"])
    console()
    assert given == [["a.txt", "--help"], ["-"]]


def test_the_console_command_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="el")
    assert script.load() is module.console


ALL_HELP = """
import contextlib, io, runpy, sys
from el.commands.main import COMMANDS, main

def printed(run):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        run()
    return out.getvalue()

for name in COMMANDS:
    by_command = printed(lambda: main([name, "--help"]))
    sys.argv = ["-", "--help"]
    by_module = printed(lambda: runpy.run_module(f"el.{name}", run_name="__main__", alter_sys=True))
    print(name, by_command.splitlines()[0].startswith(f"usage: el {name} "), by_command == by_module)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_help_of_every_command_answers_without_what_is_slow_to_import() -> None:
    done = python("-W", "ignore", "-c", ALL_HELP)
    assert done.returncode == 0, done.stderr
    *told, loaded = done.stdout.splitlines()
    assert told == [f"{name} True True" for name in COMMANDS]
    assert "argparse" in loaded.split()
    assert set(SLOW).isdisjoint(loaded.split())


def test_the_package_is_a_command() -> None:
    done = python("-m", "el", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"el {el.__version__}\n", "")
    done = python("-m", "el", "lnik")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no command 'lnik'. Did you mean link?")


def test_a_module_is_a_command() -> None:
    done = python("-m", "el.link", "--top-k", "none")
    assert done.returncode == 2
    assert "'none' is not a whole number" in done.stderr
