"""What came in and what goes out: one request as the wire had it, one reply as the wire will have it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import BinaryIO

Headers = list[tuple[str, str]]


@dataclass(eq=False)
class Request:
    """One HTTP request, before anybody interprets it.

    ``target`` and header values are latin-1 text, byte for byte as sent; header names keep their case. ``content_length`` is in
    bytes on the wire and None with ``Transfer-Encoding: chunked`` or without a body. ``received_s`` is on the monotonic clock.
    ``may_wait`` False says that every other connection waits for this answer.
    """

    method: str
    target: str
    headers: Headers
    peer: str = "127.0.0.1"
    scheme: str = "http"
    received_s: float = field(default_factory=time.monotonic)
    content_length: int | None = None
    chunked: bool = False
    may_wait: bool = True
    _id: str | None = None
    _lower: dict[str, str] | None = None

    @property
    def id(self) -> str:
        """The request id: 16 upper-case hexadecimal digits."""
        if self._id is None:
            self._id = secrets.token_hex(8).upper()
        return self._id

    @property
    def lower(self) -> dict[str, str]:
        """Lower-case header name → value; values of a repeated header are joined with a comma."""
        if self._lower is None:     # by hand: functools.cached_property takes a lock, and this is asked for on every request
            out: dict[str, str] = {}
            for name, value in self.headers:
                low = name.lower()
                out[low] = f"{out[low]},{value}" if low in out else value
            self._lower = out
        return self._lower

    def header(self, name: str) -> str | None:
        """The value of the header with this lower-case name, or None."""
        return self.lower.get(name)


@dataclass
class Reply:
    """One HTTP reply. A file body is sent from its current position, ``length`` bytes of it, then closed."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | BinaryIO = b""
    length: int | None = None
