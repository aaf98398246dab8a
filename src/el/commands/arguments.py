"""Arguments that several commands take."""

import argparse

EXIT_CODES = """\
exit codes:
  0    done
  1    an input, a linker or another part that cannot be used
  2    wrong arguments; an output that exists, without --force
  74   a file cannot be read or written
  130  interrupted
"""


def add_linker_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the linker, with the same default for all commands that need one."""
    parser.add_argument(
        "-l",
        "--linker",
        metavar="FOLDER|NAME",
        help="the linker (default: models/mesh or models/linker in the current folder, or else the one that "
        "`el index` put into your data folder)",
    )
