"""Host an ordinary WSGI application, such as the console, beside S3: same sockets, deadlines and lanes, small bodies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.task import WSGITask

from shared.errors import EntityTooLarge, S3Error
from shared.host.contract import Admission, Body, Lane, MemorySink, Refusal
from shared.request import Reply, Request

WSGI_BODY_BYTES = 1 << 20


class WsgiTask(WSGITask):  # type: ignore[misc]
    """WSGI as waitress speaks it, with header names as written and 204 and 304 kept alive."""

    environ: dict[str, Any] | None = None
    close_on_finish: bool = False

    def get_environment(self) -> dict[str, Any]:
        if self.environ is None:
            self.environ = self._environment()
        return self.environ

    def _environment(self) -> dict[str, Any]:
        request, server, body = self.request.request, self.channel.server, self.request.take_body()
        path, _, query = request.target.partition("?")
        environ = {
            "REMOTE_ADDR": request.peer,
            "REQUEST_METHOD": request.method,
            "REQUEST_URI": request.target,
            "SCRIPT_NAME": "",
            "PATH_INFO": _unquoted(path),
            "QUERY_STRING": query,
            "SERVER_NAME": server.effective_host,
            "SERVER_PORT": str(server.effective_port),
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "SERVER_SOFTWARE": server.adj.ident,
            "maxiofs.request": request,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": request.scheme,
            "wsgi.errors": sys.stderr,
            "wsgi.input": BytesIO(body.data),
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": ReadOnlyFileBasedBuffer,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for name, value in request.lower.items():
            if "_" not in name:  # X_Forwarded_For must not pass for X-Forwarded-For
                environ["HTTP_" + name.upper().replace("-", "_")] = value
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
        environ.pop("HTTP_CONTENT_LENGTH", None)
        environ["CONTENT_LENGTH"] = str(len(body.data))
        return environ

    def write(self, data: bytes) -> None:
        """Headers and body; of a reply to HEAD the headers, whatever the application gives."""
        super().write(b"" if self.request.request.method == "HEAD" else data)

    def build_response_header(self) -> bytes:
        names = {name.lower(): name for name, _ in self.response_headers}
        if self.channel.server.stopping or self.request.connection_close:
            self.set_close_on_finish()
        keep = not self.close_on_finish and self.version == "1.1" and not self.has_body
        status, *lines = super().build_response_header().decode("latin-1").split("\r\n")
        if keep:
            self.close_on_finish = False  # waitress closes for want of a length
            lines = [line for line in lines if line.lower() != "connection: close"]
        named = (line.partition(":") for line in lines)
        lines = [names.get(name.lower(), name) + separator + value for name, separator, value in named]
        return "\r\n".join([status, *lines]).encode("latin-1")


class WsgiApplication:
    """An Application around a WSGI callable: bodies to 1 MiB are buffered, errors of the host are small JSON documents."""

    task_class = WsgiTask

    def __init__(
        self,
        wsgi: Callable[[dict[str, Any], Any], Iterable[bytes]],
        max_body_bytes: int = WSGI_BODY_BYTES,
        refusal: Callable[[Request | None, S3Error], Reply] | None = None,
        lane: Callable[[Request], Lane] = lambda _: "fast",
    ) -> None:
        self.wsgi = wsgi
        self._max_body_bytes = max_body_bytes
        self._refusal = refusal or _refused
        self._lane = lane

    def admit(self, request: Request) -> Admission | Refusal:
        """Everybody may send a little; the WSGI application decides the rest."""
        if (request.content_length or 0) > self._max_body_bytes:
            return Refusal(self.refuse(request, EntityTooLarge(MaxSizeAllowed=self._max_body_bytes)))
        return Admission(MemorySink(self._max_body_bytes, EntityTooLarge), lane=self.lane(request))

    def refuse(self, request: Request | None, error: S3Error) -> Reply:
        """The error as JSON, in the words of the application when it has any."""
        return self._refusal(request, error)

    def respond(self, request: Request, admission: Admission | None, body: Body) -> Reply:
        """Only bodies that did not arrive whole come here; WsgiTask answers the others."""
        return self.refuse(request, body.error or S3Error())

    def lane(self, request: Request) -> Lane:
        return self._lane(request)


def _refused(_: Request | None, error: S3Error) -> Reply:
    status = 413 if isinstance(error, EntityTooLarge) else error.status
    document = json.dumps({"error": error.code, "message": error.message}).encode()
    return Reply(status, [("Content-Type", "application/json")], document)


def _unquoted(path: str) -> str:
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
