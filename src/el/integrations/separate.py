"""A linker in a process of its own, for a process that was forked.

A linker has threads: those of OpenVINO, FAISS and the tokenizers. A fork copies no threads, so in the new
process a linker waits for them for ever, and even one that is opened there does. A process that starts from
nothing has no such problem.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Protocol

from el.base.errors import ElError
from el.corpus.types import Document, LinkedDocument
from el.linking.linker import Linker
from el.linking.mentions import FindMentions

_IMPORTED_BY = os.getpid()
_SERVE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import serve; serve()"


class DocumentLinker(Protocol):
    """Links documents."""

    def link(self, documents: Sequence[Document], find_mentions: FindMentions) -> Sequence[LinkedDocument]:
        """Returns one linked document for each document, in order; see `Linker.link`."""


class OwnLinker:
    """A linker in this process; see `Linker.load` for the arguments and the errors."""

    def __init__(self, folder: Path, min_precision: float | None) -> None:
        self._linker = Linker.load(folder, min_precision)

    def link(self, documents: Sequence[Document], find_mentions: FindMentions) -> Sequence[LinkedDocument]:
        return list(self._linker.link(documents, find_mentions))


class SeparateLinker:
    """A linker in a new process, which ends with this process or when this object is deleted.

    See `Linker.load` for the arguments. Its errors are raised by the first call of `link`.
    """

    def __init__(self, folder: Path, min_precision: float | None) -> None:
        self._lock = Lock()
        self._connection, other = Pipe()
        # Not `multiprocessing.Process`, which imports the user's script again.
        command = [sys.executable, "-c", _SERVE.format(module=__name__), json.dumps(sys.path)]
        # All other handles are closed, so that the new process notices the end of this one.
        self._process = subprocess.Popen([*command, str(other.fileno())], pass_fds=[other.fileno()])
        other.close()
        self._connection.send((folder, min_precision))

    def link(self, documents: Sequence[Document], find_mentions: FindMentions) -> Sequence[LinkedDocument]:
        with self._lock:
            try:
                self._connection.send((documents, find_mentions))
                answer = self._connection.recv()
            except (EOFError, OSError) as error:
                code = self._process.wait()
                raise ElError(f"the process of the linker has ended with code {code}") from error
        if isinstance(answer, Exception):
            raise answer
        linked: Sequence[LinkedDocument] = answer
        return linked


def open_linker(folder: Path, min_precision: float | None) -> DocumentLinker:
    """Opens a linker for this process, whether it was forked or not; see `Linker.load`."""
    is_forked = os.getpid() != _IMPORTED_BY
    return SeparateLinker(folder, min_precision) if is_forked else OwnLinker(folder, min_precision)


def serve() -> None:
    """Answers the calls of a `SeparateLinker` until its process ends."""
    # Ctrl-C goes to all processes of a terminal. This one ends with the process that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[2]))
    linker: OwnLinker | None = None
    arguments = connection.recv()
    while True:
        try:
            documents, find_mentions = connection.recv()
        except EOFError:
            return
        answer: Sequence[LinkedDocument] | Exception
        try:
            linker = linker or OwnLinker(*arguments)
            answer = linker.link(documents, find_mentions)
        except Exception as error:
            answer = error
        try:
            connection.send(answer)
        except OSError:
            return
