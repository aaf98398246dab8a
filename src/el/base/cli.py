"""What all commands share: their parser, and errors turned into one message and an exit code."""

import argparse
import os
import sys
import typing
from collections.abc import Callable

from el.base.errors import ElError, printable

# The exit code that shells give to a program stopped by Ctrl-C: 128 plus the number of the signal.
INTERRUPTED = 130


def command_parser(
    description: str | None, program: str | None = None, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Returns a parser whose --help keeps the line breaks of its texts, such as a module's docstring."""
    return argparse.ArgumentParser(
        program, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run_command(main: Callable[[], None], description: str | None = None) -> None:
    """Runs a command. An error that a user can act on becomes one message and an exit code.

    Args:
        main: the command.
        description: the text of --help, for a command without arguments. None for a command that reads its
            arguments in `main`.

    Exit codes: 0 for success, 1 for an `ElError`, 74 for a full disk or a file that cannot be read or
    written, 130 for Ctrl-C. A subclass of `ElError` may have another code.
    """
    if description is not None:
        command_parser(description).parse_args()
    try:
        main()
    except ElError as error:
        _stop(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _stop("interrupted; run the same command again to continue", INTERRUPTED)
    except OSError as error:
        # An OSError without a file and without a number does not come from the system: it is a bug.
        if error.filename is None and error.errno is None:
            raise
        _stop(f"error: {error.filename or 'file'}: {error.strerror}", os.EX_IOERR)


def _stop(message: str, code: int) -> typing.NoReturn:
    print(printable(message), file=sys.stderr)
    raise SystemExit(code)
