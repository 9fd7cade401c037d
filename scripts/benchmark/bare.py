"""Servers that do nothing but answer: what our host, or waitress alone, reaches without a pipeline behind it.

    wsgi           our host, a WSGI application that returns 4 KiB (the ceiling of small requests)
    app            our host, an application that returns 4 KiB without WSGI
    file           our host, an application that opens a file and sends it
    waitress-file  waitress itself with large sends, a file through wsgi.file_wrapper (the ceiling of large replies)

Run as a module it is one process of such a server, on an inherited listening socket.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from scripts.benchmark.endpoints import ROOT
from shared.host.contract import Admission, Body, Lane, Refusal
from shared.host.server import create_server
from shared.host.wsgi import WsgiApplication
from shared.request import Reply, Request
from shared.settings import BY_NAME

HEADERS = [("Content-Type", "application/octet-stream"), ("ETag", '"d41d8cd98f00b204e9800998ecf8427e"')]
SMALL = bytes(range(256)) * 16
BLOCK_BYTES = 256 * 1024
LANES = {name: BY_NAME[f"threads_{name}"].default for name in ("fast", "write", "slow")}


class BareApplication:
    """Answers everything with the same 4 KiB, or the same file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._size = path.stat().st_size if path else 0

    def lane(self, request: Request) -> Lane:
        """Everything is short, and answered as GetObject answers what is short."""
        return "now"

    def admit(self, request: Request) -> Admission | Refusal:
        """Nothing is taken."""
        return Refusal(Reply(403, []))

    def refuse(self, request: Request | None, error: Exception) -> Reply:
        """Whatever was wrong."""
        return Reply(400, [])

    def respond(self, request: Request, admission: Admission | None, body: Body) -> Reply:
        """The bytes."""
        if request.method == "HEAD":
            return Reply(200, [*HEADERS, ("Content-Length", "4096")])
        if self._path is None:
            return Reply(200, HEADERS[:], SMALL)
        return Reply(200, HEADERS[:], self._path.open("rb", buffering=0), self._size)  # type: ignore[arg-type]


def wsgi_application(path: Path | None) -> Callable[..., Iterable[bytes]]:
    """The same as WSGI."""
    size = path.stat().st_size if path else len(SMALL)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [*HEADERS, ("Content-Length", str(size))])
        if path is None:
            return [SMALL]
        return environ["wsgi.file_wrapper"](path.open("rb"), BLOCK_BYTES)  # type: ignore[no-any-return]

    return application


class ShortWsgi(WsgiApplication):
    """WSGI in the lane of short reads: what an application can do that never waits."""

    def lane(self, request: Request) -> Lane:
        """As BareApplication."""
        return "now"


class BareServer:
    """One of the servers above for as long as the ``with`` block: ``processes`` of them on one socket."""

    def __init__(self, kind: str, processes: int, path: Path | None = None) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(1024)
        fd = self._socket.fileno()
        command = [sys.executable, "-P", "-m", "scripts.benchmark.bare", kind, str(fd), str(path or "")]
        self._children = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[fd]) for _ in range(processes)
        ]
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> BareServer:
        for child in self._children:
            assert child.stdout is not None
            child.stdout.read(1)        # it is ready, or has ended
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.kill()
            child.wait()
        self._socket.close()

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [child.pid for child in self._children]


def main(kind: str, fd: str, path: str) -> None:
    """Serve until standard input ends."""
    listening = socket.socket(fileno=int(fd))
    file = Path(path) if path else None
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if kind in ("app", "file", "wsgi"):
        app = ShortWsgi(wsgi_application(None)) if kind == "wsgi" else BareApplication(file)
        server: Any = create_server(app, [listening], **LANES)
    else:
        import waitress

        server = waitress.create_server(
            wsgi_application(file), sockets=[listening], threads=4, asyncore_use_poll=True, send_bytes=BLOCK_BYTES,
            outbuf_high_watermark=1 << 26, ident="MaxIOFS",
        )  # fmt: skip
    os.write(1, b"1")
    server.run()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:4])
