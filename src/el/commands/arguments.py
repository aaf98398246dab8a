"""What the commands share: the exit codes in their --help, common options, and the check of an output."""

import argparse
from pathlib import Path

from el.base.cli import say
from el.base.errors import ElError, UsageError
from el.base.files import clear_leftovers

# A file that every linker has.
LINKER_MARK = "vectors/manifest.json"

EXIT_CODES = """\
exit codes:
  0    success
  1    an input, the linker or another part cannot be used
  2    wrong arguments, or an output that exists already (see --force)
  3    el link linked nothing: there is no mention, or none of a type that is linked
  74   a file cannot be read or written
  75   another process is writing to the same place
  130  interrupted by Ctrl-C
  143  ended by SIGTERM
"""


def begun_part(linker: Path) -> tuple[str, str] | None:
    """Returns what a linker has if it has the first part of its ontology only, as `part_of` does.

    None for a linker of a whole ontology, and for a broken one, which is reported when it is opened.
    """
    from el.ontology.convert import part_of

    if not (linker / LINKER_MARK).is_file():
        return None
    try:
        return part_of(linker / "ontology")
    except ElError:
        return None


def say_if_begun(linker: Path) -> None:
    """Says that a linker has the first part of its ontology only, if `el index` is not at its end."""
    if (part := begun_part(linker)) is not None:
        say(f"{linker}: so far, this linker has {part[1]}; the command that began it completes it")


def add_linker_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the linker. All commands that need a linker have the same default."""
    parser.add_argument(
        "-l",
        "--linker",
        metavar="FOLDER|NAME",
        help="the linker (default: models/mesh or models/linker in the current folder; otherwise the linker "
        "that `el index` put into your data folder)",
    )


def add_corpus_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for annotated documents, `corpus`: one file or several."""
    parser.add_argument(
        "corpus",
        nargs="+",
        metavar="CORPUS",
        type=Path,
        help="annotated documents: PubTator, BioC, brat or JSON lines",
    )


def add_force_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--force`; see `check_new`."""
    parser.add_argument("--force", action="store_true", help="replace an existing output")


def check_new(output: Path, option: str = "--output", *, force: bool) -> None:
    """Refuses an output that exists, unless it may be replaced. What killed commands left of it is deleted.

    Args:
        output: the file or folder that a command is to write.
        option: the option that names it.
        force: whether the user gave --force.

    Raises:
        UsageError: the output exists and `force` is off.
    """
    clear_leftovers([output])
    if output.exists() and not force:
        raise UsageError(f"{output} exists; give another {option}, or --force to replace it")


def check_folder(output: Path, mark: str, kind: str, *, force: bool) -> None:
    """Refuses a folder that exists (see `check_new`), or that the command did not write itself.

    Without this check, `--force` with a mistyped folder deletes files that have nothing to do with the
    command.

    Args:
        output: the folder that a command is to write.
        mark: a file that every output of the command contains, relative to `output`.
        kind: what the command writes, such as "linker".
        force: whether the user gave --force.

    Raises:
        UsageError: the output exists and `force` is off, or the output does not contain the file.
    """
    check_new(output, force=force)
    if output.exists() and not (output / mark).is_file():
        raise UsageError(
            f"{output} is no {kind} (it has no {mark}) and is not replaced; give another --output"
        )
