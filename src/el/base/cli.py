"""What every command shares: one clear message and an exit code out."""

import argparse
import os
import sys
import typing
from collections.abc import Callable

from el.base.errors import ElError

INTERRUPTED = 130


def command_parser(
    description: str | None, program: str | None = None, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Returns a parser whose --help shows texts as they were written, a module's documentation for one."""
    return argparse.ArgumentParser(
        program, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run_command(main: Callable[[], None], description: str | None = None) -> None:
    """Runs a command; an error that a user can act on becomes one message and an exit code.

    Args:
        main: the command.
        description: for --help, of a command that takes no arguments; None where `main` reads its own.

    Exit codes: 0 done, 1 an `ElError`, 74 the disk is full or a file cannot be read or written,
    130 interrupted by Ctrl-C.
    """
    if description is not None:
        command_parser(description).parse_args()
    try:
        main()
    except ElError as error:
        _stop(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _stop("interrupted; run the same command again to go on", INTERRUPTED)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        _stop(f"error: {error.filename or 'file'}: {error.strerror}", os.EX_IOERR)


def _stop(message: str, code: int) -> typing.NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)
