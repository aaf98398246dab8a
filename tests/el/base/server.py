"""A web server on this machine for the tests of the fetch stages."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODY = bytes(range(256)) * 2000


@dataclass
class Behaviour:
    """What the test server does.

    Attributes:
        files: the body by path; other paths are 404.
        etag: sent with every body; "" for none.
        drop_after: bytes of the body after which the connection is cut, one entry for each request; a
            request beyond the list is served whole.
        statuses: codes to answer with instead of a body, one for each request, before all else.
        ranges: whether Range is understood.
        extra_length: bytes by which Content-Length lies.
        chunked: the body comes without Content-Length.
        served: bytes of bodies sent, one entry for each request that had a body.
        requests: the Range header of each request; "" for none.
    """

    files: dict[str, bytes] = field(default_factory=lambda: {"/file.bin": BODY})
    etag: str = '"one"'
    drop_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    extra_length: int = 0
    chunked: bool = False
    served: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@dataclass
class Server:
    """A running server."""

    port: int
    behaviour: Behaviour

    def url(self, path: str = "/file.bin") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """Runs a server in a thread for as long as the block lasts."""
    behaviour = Behaviour()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(behaviour)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Server(running.server_port, behaviour)
        finally:
            running.shutdown()
            thread.join(60)


def closed_url(path: str) -> str:
    """An address on this machine at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}{path}"


def _handler(behaviour: Behaviour) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.requests.append(self.headers.get("Range", ""))
            body = behaviour.files.get(self.path)
            if behaviour.statuses:
                self._answer_without_body(behaviour.statuses.pop(0))
            elif body is None:
                self._answer_without_body(404)
            else:
                self._answer(body)

        def _answer_without_body(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, body: bytes) -> None:
            start = self._start(len(body))
            if start >= len(body):
                self._answer_without_body(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if behaviour.etag:
                self.send_header("ETag", behaviour.etag)
            if not behaviour.chunked:
                self.send_header("Content-Length", str(len(body) - start + behaviour.extra_length))
            self.end_headers()
            end = start + behaviour.drop_after.pop(0) if behaviour.drop_after else len(body)
            behaviour.served.append(len(body[start:end]))
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[start:end])
            self.close_connection = True

        def _start(self, size: int) -> int:
            asked = self.headers.get("Range", "")
            unchanged = self.headers.get("If-Range") == behaviour.etag
            if not asked or not behaviour.ranges or not unchanged:
                return 0
            return min(int(asked.removeprefix("bytes=").removesuffix("-")), size)

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps the tests' output clean."""

    return Handler
