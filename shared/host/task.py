"""Answer one request in a worker thread: ask the application, write the reply as it was given."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Any

from waitress.channel import ClientDisconnected
from waitress.utilities import build_http_date

from shared.errors import InternalError, S3Error
from shared.host.contract import Application, Body, Refusal, TakesLonger
from shared.host.outbox import FileBuffer
from shared.host.parser import S3Parser
from shared.request import Reply

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_OURS = frozenset({"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"})
_BODILESS = frozenset({204, 304})

log = logging.getLogger("maxiofs.host")


class S3Task:
    """One request and its reply. Header names leave as the application wrote them; 204, 304, HEAD keep the connection."""

    wrote_header = True  # for waitress: never answer a second time
    close_on_finish = False

    def __init__(self, channel: Any, parser: S3Parser) -> None:
        self.channel = channel
        self.request = parser  # the name that waitress expects

    def service(self) -> None:
        """Answer. Raises waitress's ClientDisconnected when nobody is there any more."""
        parser, app = self.request, self.channel.server.app
        reply = self._reply(app)
        unread = parser.close_after or parser.request is None
        self.close_on_finish = unread or parser.connection_close or self.channel.server.stopping
        try:
            self._send(reply)
        except ClientDisconnected:
            raise
        except Exception:  # a header that cannot be sent, a file whose first block cannot be read
            log.exception("cannot send the reply to %s", parser.path)
            close(reply)
            self._send(app.refuse(parser.request, InternalError()))

    def _reply(self, app: Application) -> Reply:
        parser = self.request
        if isinstance(parser.error, Refusal):
            return parser.error.reply
        request, error = parser.request, parser.error
        if request is None or (error is not None and parser.admission is None):
            return app.refuse(request, error if isinstance(error, S3Error) else InternalError())
        body = parser.take_body() if error is None else Body(error=error)
        try:
            return app.respond(request, parser.admission, body)
        except TakesLonger:
            raise
        except Exception:
            log.exception("the application failed on %s", parser.path)
            if body.sink is not None:
                body.sink.discard()
            return app.refuse(request, InternalError())
        finally:
            if body.chunks is not None:
                body.chunks.close()

    def _send(self, reply: Reply) -> None:
        body = reply.body
        length = len(body) if isinstance(body, bytes) else _file_length(reply)
        head = self._head(reply, length)
        if isinstance(body, bytes):
            self.channel.send_reply(head if self._silent(reply) else head + body)
        elif self._silent(reply) or not length:
            close(reply)
            self.channel.send_reply(head)
        else:
            buffer = FileBuffer(body, length)
            buffer.get()  # while an error can still be told
            self.channel.send_reply(head, buffer)

    def _silent(self, reply: Reply) -> bool:
        return self.request.command == "HEAD" or reply.status in _BODILESS

    def _head(self, reply: Reply, length: int) -> bytes:
        lines = [f"HTTP/{self.request.version} {_STATUS.get(reply.status) or reply.status}"]
        head, announced = self.request.command == "HEAD", str(length)
        for name, value in reply.headers:
            low = name.lower()
            if low == "content-length":
                announced = value if head else announced  # a HEAD reply announces what GET would send
            elif low not in _OURS:  # the connection is the host's affair
                lines.append(f"{name}: {value}")
        if reply.status not in _BODILESS:
            lines.append(f"Content-Length: {announced}")
        if self.close_on_finish:
            lines.append("Connection: close")
        elif self.request.version == "1.0":
            lines.append("Connection: Keep-Alive")
        lines.append(self.channel.server.fixed_headers())
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) or text.count("\r") != len(lines):  # fixed_headers has one line end of its own
            raise ValueError("a reply header contains a line break")
        return (text + "\r\n\r\n").encode("latin-1")


class FixedHeaders:
    """The Server and Date lines that every reply ends with; the date is made once a second."""

    def __init__(self, ident: str) -> None:
        self._ident, self._second, self._lines = ident, 0, ""

    def __call__(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._lines = f"Server: {self._ident}\r\nDate: {build_http_date(now)}"
            self._second = now
        return self._lines


def _file_length(reply: Reply) -> int:
    if reply.length is not None or isinstance(reply.body, bytes):
        return reply.length or 0
    start = reply.body.tell()
    end = reply.body.seek(0, 2)
    reply.body.seek(start)
    return end - start


def close(reply: Reply) -> None:
    """Close the reply's file, if it is one."""
    if not isinstance(reply.body, bytes):
        try:
            reply.body.close()
        except Exception:
            log.exception("cannot close the body of a reply")
