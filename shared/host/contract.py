"""What the host and the application promise each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.errors import MaxMessageLengthExceeded, S3Error
from shared.protocol.chunked import ChunkLog
from shared.request import Reply, Request

MAX_BODY_BYTES = 5 << 30  # one PUT or one part, decoded, as AWS

Lane = Literal["now", "fast", "write", "slow"]
"""Who answers. ``now``: the I/O thread itself, for what takes less time than handing it over (docs/decisions/0009); ``fast``: other
reads; ``write``: short writes, which wait for the disk; ``slow``: whatever takes long."""


class TakesLonger(Exception):
    """Raised by ``respond`` in the lane ``now``, before anything was done: what is asked takes longer than it seemed."""


class Sink(Protocol):
    """Where an admitted body goes. Both methods are called in the I/O thread: they must not wait for anything but a local disk."""

    def write(self, data: memoryview, /) -> object:
        """Take a piece of the body; the view is valid only during the call. Raises OSError or S3Error: the upload then ends."""

    def discard(self) -> object:
        """Forget everything; never raises, may be called twice and after the application has taken the bytes."""


class MemorySink:
    """A sink for small documents that came through the gate; the bytes arrive as ``Body.data``."""

    def __init__(self, limit_bytes: int, too_large: type[S3Error] = MaxMessageLengthExceeded) -> None:
        self.data = bytearray()
        self._limit_bytes, self._too_large = limit_bytes, too_large

    def write(self, data: memoryview) -> None:
        if len(self.data) + len(data) > self._limit_bytes:
            raise self._too_large()
        self.data += data

    def discard(self) -> None:
        self.data = bytearray()


@dataclass
class Admission:
    """The application wants this body: where to, how it is wrapped, and which lane answers. Subclass it to carry more."""

    sink: Sink
    aws_chunked: bool = False
    signed_chunks: bool = False
    trailers: bool = False
    decoded_length: int | None = None
    lane: Lane = "slow"

    def asks_again(self) -> bool:
        """Whether to ask again before more is received: the body's beginning says who sends it. I/O thread, after each piece."""
        return False

    def ask_again(self) -> Admission | Refusal:
        """Decide by what has come. The body goes on into the same sink. Worker thread."""
        raise NotImplementedError


@dataclass
class Refusal:
    """The application does not want this body; ``reply`` says why."""

    reply: Reply


@dataclass
class Body:
    """A whole body. ``data`` for small ones, else ``sink`` holds the bytes. ``size`` is in bytes, decoded.

    With ``error`` set the body never became whole: the sink is discarded already, and the reply closes the connection.
    ``chunks`` (signed chunks only) and ``trailers`` are those of aws-chunked. The host frees ``chunks`` after ``respond``.
    """

    sink: Sink | None = None
    data: bytes = b""
    chunks: ChunkLog | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0
    error: S3Error | None = None


class Application(Protocol):
    """What the host serves. No method raises; the host answers InternalError and logs should one do it anyway."""

    def admit(self, request: Request, /) -> Admission | Refusal:
        """Decide from the headers whether the body may come. Worker thread; may use the database."""

    def refuse(self, request: Request | None, error: S3Error, /) -> Reply:
        """Render an error found before the application was asked; ``request`` is None when not even its line could be read."""

    def respond(self, request: Request, admission: Admission | None, body: Body, /) -> Reply:
        """Answer a request whose body is here. Owns ``body.sink`` from now on: commits or discards it.

        Worker thread; or the I/O thread for the lane ``now``, with ``request.may_wait`` False. There it may raise TakesLonger, and is
        called again in a worker thread.
        """

    def lane(self, request: Request, /) -> Lane:
        """Which lane answers a request that did not pass the gate. I/O thread: pure and quick."""


@dataclass(frozen=True)
class Limits:
    """What a client may take: bytes and seconds. Every one is a bound on what a stranger can hold of the server."""

    inline_bytes: int = 16384  # larger bodies go through the gate
    max_header_bytes: int = 32768  # request line and headers together
    max_body_bytes: int = MAX_BODY_BYTES
    header_deadline_s: float = 30.0  # from the first byte of a request (or the connect) to the end of its headers
    body_idle_s: float = 60.0  # without a byte of the body; small ungated bodies have this long in all
    idle_s: float = 120.0  # a connection without a request, or a client that stopped reading its reply
    linger_bytes: int = 1 << 20  # of a refused body, read and thrown away so that the client sees the reply
    linger_s: float = 2.0
