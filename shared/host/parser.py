"""Read a request as it was sent: names and values untouched, anything ambiguous refused."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

from waitress.parser import HTTPRequestParser

from shared.errors import BadRequest, EntityTooLarge, InternalError, InvalidRequest, NotImplementedS3, RequestHeaderSectionTooLarge, S3Error
from shared.host.contract import Admission, Body, Lane, Limits, Refusal
from shared.host.receivers import Intake
from shared.request import Headers, Request

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(r"([A-Z][A-Z0-9_\-]{0,31}) ([^\x00-\x20\x7f]+) HTTP/1\.([01])")
_HEADERS = re.compile(rf"(?:{_NAME}:[\t\x20-\x7e\x80-\xff]*\r\n)*+")
_DIGITS = re.compile(r"[0-9]{1,19}")
_CHUNK_OVERHEAD = 50  # aws-chunked adds at most 2 % to chunks of 8 KiB

log = logging.getLogger("maxiofs.host")


class S3Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request on its way in; everything but ``close`` happens in the I/O thread.

    The head ends in one of four ways: ``completed`` without a body; ``intake`` for a small body; ``gated`` until the application
    has admitted or refused the body; ``error``. Underscores in names stay, sizes are checked before 100-continue.
    """

    header_plus: bytes = b""
    command: str = "GET"  # as long as the request line is unknown

    def __init__(self, adj: Any, limits: Limits | None = None, peer: str = "") -> None:
        super().__init__(adj)
        self.limits = limits or Limits()
        self.peer = peer
        self.started_s = time.monotonic()
        self.request: Request | None = None
        self.error: S3Error | Refusal | None = None
        self.path = ""  # what waitress calls the request in its log
        self.gated = False
        self.asked = False  # the gate's task is on its way
        self.wants_continue = False
        self.close_after = False  # what follows on this connection cannot be told apart from the body
        self.lane: Lane = "fast"
        self.length: int | None = 0  # of the body on the wire; None: chunked
        self.admission: Admission | None = None
        self.intake: Intake | None = None

    def received(self, data: bytes | memoryview) -> int:
        """Use what belongs to this request and return how many bytes that was. Never raises."""
        if self.completed:
            return 0
        try:
            return self._take_head(bytes(data)) if self.intake is None else self._take_body(self.intake, data)
        except S3Error as error:
            if error.__cause__ is not None:
                log.error("cannot store the body of %s", self.path, exc_info=error)
            self.fail(error)
        except Exception:
            log.exception("cannot receive %s", self.path)
            self.fail(InternalError())
        return len(data)

    def fail(self, error: S3Error) -> None:
        """End this request with an error: nothing of its body stays, and the connection closes behind the reply."""
        self.error, self.completed, self.gated, self.close_after = error, True, False, True
        self.close()

    def admit(self, admission: Admission) -> None:
        """Begin to receive the body that the application wants."""
        self.admission, self.gated, self.lane = admission, False, admission.lane
        self.intake = Intake(self.length, admission, self.limits.max_body_bytes)
        self.received(memoryview(b""))  # a body of no bytes is whole already

    def go_on(self, admission: Admission) -> None:
        """Receive the rest of a body whose beginning the application has seen."""
        self.admission, self.gated, self.wants_continue, self.lane = admission, False, False, admission.lane

    def refuse(self, refusal: Refusal, whole: bool) -> None:
        """Answer instead of receiving; the connection stays only when the ``whole`` body is here and can be stepped over."""
        self.close()
        self.error, self.completed, self.gated, self.close_after = refusal, True, False, not whole

    def take_body(self) -> Body:
        """Hand the body over to the application, which owns its sink from now on."""
        intake, self.intake = self.intake, None
        return intake.body() if intake else Body()

    def close(self) -> None:
        """Discard whatever was received and not handed over. Harmless twice."""
        if self.intake is not None:
            self.intake.discard()
            self.intake = None

    def _take_body(self, intake: Intake, data: bytes | memoryview) -> int:
        used: int = intake.feed(memoryview(data))
        self.completed = intake.complete
        if not self.completed and self.admission is not None and self.admission.asks_again():
            self.gated, self.asked = True, False
        return used

    def _take_head(self, data: bytes) -> int:
        head: bytes = self.header_plus + data
        if not self.header_plus:
            head = head.lstrip(b"\r\n")  # some clients send an extra line end behind a body
            if not head:
                self.empty = self.completed = True
                return len(data)
        end = head.find(b"\r\n\r\n", max(0, len(self.header_plus) - 3))
        if (len(head) if end < 0 else end) > self.limits.max_header_bytes:
            raise RequestHeaderSectionTooLarge(MaxSizeAllowed=self.limits.max_header_bytes)
        if end < 0:
            self.header_plus = head
            return len(data)
        self.headers_finished, self.header_plus = True, b""
        self._read_head(head[: end + 2].decode("latin-1"))
        return len(data) - (len(head) - end - 4)

    def _read_head(self, head: str) -> None:
        line, _, rest = head.partition("\r\n")
        start = _REQUEST_LINE.fullmatch(line)
        if start is None:
            raise BadRequest("The request line is malformed.")
        method, target, minor = start.groups()
        self.command, self.request_uri, self.version = method, target, f"1.{minor}"
        self.path = target.partition("?")[0]  # signatures in the query are no business of a log
        self.request = Request(method, target, [], self.peer, received_s=self.started_s)
        if _HEADERS.fullmatch(rest) is None:
            raise BadRequest("A request header is malformed.")
        self.request.headers = [(name, value.strip(" \t")) for name, _, value in (pair.partition(":") for pair in rest.split("\r\n")[:-1])]
        self._frame(self.request, self.request.lower)

    def _frame(self, request: Request, headers: dict[str, str]) -> None:
        self._check_host(request.headers, headers)
        connection = headers.get("connection", "").lower()
        self.headers = {"CONNECTION": connection}
        options = {option.strip(" \t") for option in connection.split(",")}
        self.connection_close = "close" in options or (self.version == "1.0" and "keep-alive" not in options)
        self._measure(request, headers)
        streaming = headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        self._check_size(headers.get("x-amz-decoded-content-length"), streaming)
        expects = self.version == "1.1" and headers.get("expect", "").lower() == "100-continue" and self.length != 0
        if expects or streaming or self.length is None or self.length > self.limits.inline_bytes:
            self.gated, self.wants_continue = True, expects
        elif self.length:
            self.intake = Intake(self.length, None, self.limits.inline_bytes)
        else:
            self.completed = True

    def _check_host(self, pairs: Headers, headers: dict[str, str]) -> None:
        host = headers.get("host")
        if host is None and self.version == "1.1":
            raise BadRequest("The Host header is missing.")
        if host and "," in host and sum(name.lower() == "host" for name, _ in pairs) > 1:
            raise BadRequest("The Host header was sent more than once.")

    def _measure(self, request: Request, headers: dict[str, str]) -> None:
        coding, announced = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if announced is not None or self.version == "1.0":  # the classic of request smuggling
                raise InvalidRequest("Transfer-Encoding cannot be combined with Content-Length or HTTP/1.0.")
            if coding.lower() != "chunked":
                raise NotImplementedS3("The transfer coding is not implemented.", Header="Transfer-Encoding")
            self.length, request.chunked = None, True
        elif announced is not None:
            length, *others = {length.strip(" \t") for length in announced.split(",")}
            if others or not (length.isascii() and length.isdigit()):
                raise InvalidRequest("The Content-Length header is malformed.")
            if len(length) > 19:
                raise EntityTooLarge(MaxSizeAllowed=self.limits.max_body_bytes)
            self.length = request.content_length = int(length)

    def _check_size(self, decoded: str | None, streaming: bool) -> None:
        size, most = self.length or 0, self.limits.max_body_bytes
        if streaming:
            size -= size // _CHUNK_OVERHEAD
            size = max(size, int(decoded) if decoded and _DIGITS.fullmatch(decoded) else 0)
        if size > most:
            raise EntityTooLarge(ProposedSize=size, MaxSizeAllowed=most)
