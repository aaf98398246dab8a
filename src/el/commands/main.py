"""`el`: one command with sub-commands.

The module of a sub-command is imported only when the user asks for it. So --help and error messages appear
at once.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from el import __version__
from el.base.cli import run_command
from el.base.errors import UsageError

COMMANDS = {
    "index": "make a linker from an ontology: MeSH, or your own",
    "link": "link documents with a linker",
    "evaluate": "score a linker on an annotated corpus",
    "bench": "time a linker on this machine",
}


def _pages() -> Path:
    """Returns the folder of the pages: in the package where a wheel is installed, else in the repository."""
    package = Path(__file__).parents[1]
    return package / "docs" if (package / "docs").is_dir() else package.parents[1] / "docs"


_HELP = f"""\
usage: el COMMAND ...

Links mentions of chemicals and diseases in text to concepts of MeSH or of your own ontology.

commands:
{"".join(f"  {name:10}{summary}" + chr(10) for name, summary in COMMANDS.items())}
  el COMMAND --help   what a command does, its options and examples
  el --version        the version

Each command is also a Python module: `python -m el.link` does the same as `el link`.
Pages about formats, linking and ontologies of your own: {_pages()}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a sub-command.

    Raises:
        UsageError: there is no such command.
        ElError: a problem that the user can solve, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    name, *others = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(_HELP, end="")
    elif name in ("-V", "--version"):
        print(f"el {__version__}")
    elif name in COMMANDS:
        importlib.import_module(f"el.commands.{name}").main(others)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(f"no command {name!r}. {hint}Commands: {', '.join(COMMANDS)}; see `el --help`")


def console() -> None:
    """The entry point of the console command."""
    run_command(main)
