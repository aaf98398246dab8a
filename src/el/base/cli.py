"""What all commands share: their parser, and errors turned into one message and an exit code."""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from el.base.errors import ElError, printable

# The variable that DVC sets for the commands of its stages.
_DVC_STAGE = "DVC_STAGE"
# How often a stage looks whether DVC is still there, and how long it may take to end, in seconds. With larger
# values, it may write longer beside the next run.
_INTERVAL, _GRACE = 0.5, 5.0


class Terminated(KeyboardInterrupt):
    """The process got SIGTERM. It ends as after Ctrl-C, with another exit code."""


def code_of_interruption(error: KeyboardInterrupt) -> int:
    """Returns the exit code that shells give to a program stopped by a signal: 128 plus its number."""
    return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


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
    written, 130 for Ctrl-C, 143 for SIGTERM. A subclass of `ElError` may have another code.
    """
    if description is not None:
        command_parser(description).parse_args()
    if _DVC_STAGE in os.environ:
        threading.Thread(target=_end_with_dvc, daemon=True).start()
    try:
        with _ended_by_sigterm():
            main()
    except ElError as error:
        _stop(f"error: {error}", error.exit_code)
    except KeyboardInterrupt as error:
        _stop("interrupted; run the same command again to continue", code_of_interruption(error))
    except OSError as error:
        # An OSError without a file and without a number does not come from the system: it is a bug.
        if error.filename is None and error.errno is None:
            raise
        _stop(f"error: {error.filename or 'file'}: {error.strerror}", os.EX_IOERR)


def _end_with_dvc() -> None:
    """Ends this stage when the DVC process that runs it has ended, also if that was killed.

    Otherwise the next `dvc repro` runs the stage a second time beside it, and both write the same files.
    """
    dvc = next((one for one in psutil.Process().parents() if _is_dvc(one)), None)
    if dvc is None:
        return
    while _runs(dvc):
        time.sleep(_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
    # The main thread may be in a long computation, which no signal interrupts.
    time.sleep(_GRACE)
    os._exit(code_of_interruption(Terminated()))


def _is_dvc(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(Path(part).name == "dvc" for part in process.cmdline()[:3])
    return False


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """While the block runs, SIGTERM raises `Terminated`, so that unfinished files are removed.

    A handler that is set already stays. Only the main thread can set one.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(*_: object) -> typing.NoReturn:
    # A second signal does not disturb the removal of files.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def say(message: str) -> None:
    """Prints a message to stderr. Characters of an input that a terminal would obey are shown as escapes."""
    print(printable(message), file=sys.stderr)


def _stop(message: str, code: int) -> typing.NoReturn:
    say(message)
    raise SystemExit(code)
