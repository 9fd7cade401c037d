"""Requests written by hand, byte for byte, and signed by an implementation of Signature Version 4 that shares nothing with the server.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from tests.running import RunningServer

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"

HeaderList = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """A reply as it came."""

    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes
    raw_headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def xml(self) -> ElementTree.Element:
        """The document without its namespace. It must be well-formed."""
        return ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", self.body))

    @property
    def code(self) -> str:
        """The S3 error code, "" when there is no error document."""
        found = re.search(rb"<Error[^>]*><Code>(\w+)</Code>", self.body)
        return found[1].decode() if found else ""

    def __str__(self) -> str:
        return f"{self.status} {self.body[:600]!r}"


@dataclass
class Seed:
    """What chunk signatures chain from."""

    key: bytes
    scope: str
    date: str
    signature: str


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Raw:
    """Sends requests with exactly the target, headers and body that a test wants."""

    def __init__(self, server: RunningServer, *, secret_key: str = "", access_key: str = "") -> None:
        self.server = server
        self.access_key, self.secret_key = access_key or server.access_key, secret_key or server.secret_key
        self.seed: Seed | None = None  # of the request signed last

    def signed(
        self,
        method: str,
        target: str,
        headers: HeaderList = (),
        *,
        sha256: str = EMPTY_SHA256,
        at_s: float | None = None,
        region: str = "us-east-1",
        service: str = "s3",
        unsigned: Iterable[str] = (),
        host: str = "",
    ) -> list[tuple[str, str]]:
        """The headers with Host, x-amz-date, x-amz-content-sha256 and Authorization added; those named in ``unsigned`` are not signed."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s if at_s is not None else time.time()))
        out = [("Host", host or self.server.host), ("x-amz-date", date), ("x-amz-content-sha256", sha256), *headers]
        leave = {name.lower() for name in unsigned} | {"content-length", "expect", "user-agent", "transfer-encoding", "connection"}
        lines: dict[str, list[str]] = {}
        for name, value in out:
            if name.lower() not in leave:
                lines.setdefault(name.lower(), []).append(" ".join(value.split()))
        names = ";".join(sorted(lines))
        path, _, query = target.partition("?")
        pairs = ["=".join(pair) for pair in sorted((pair.partition("=")[0], pair.partition("=")[2]) for pair in query.split("&") if pair)]
        canonical = "\n".join(
            [
                method,
                path,
                "&".join(pairs),
                *(f"{name}:{','.join(lines[name])}" for name in sorted(lines)),
                "",
                names,
                sha256,
            ]
        )
        scope = f"{date[:8]}/{region}/{service}/aws4_request"
        key = b"AWS4" + self.secret_key.encode()
        for word in scope.split("/"):
            key = _hmac(key, word)
        text = "\n".join(["AWS4-HMAC-SHA256", date, scope, _sha(canonical.encode("latin-1"))])
        signature = _hmac(key, text).hex()
        self.seed = Seed(key, scope, date, signature)
        credential = f"{self.access_key}/{scope}"
        out.append(("Authorization", f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"))
        return out

    def __call__(
        self,
        method: str,
        target: str,
        headers: HeaderList = (),
        body: bytes = b"",
        *,
        sha256: str | None = None,
        sign: bool = True,
        length: int | None = -1,
        **signing: Any,
    ) -> Answer:
        """Sign and send. ``length`` is what Content-Length says (default: the truth; None: no such header)."""
        if sign:
            headers = self.signed(method, target, headers, sha256=sha256 if sha256 is not None else _sha(body), **signing)
        elif not any(name.lower() == "host" for name, _ in headers):
            headers = [("Host", self.server.host), *headers]
        if length == -1:
            length = len(body) if body or method in ("PUT", "POST") else None
        if length is not None:
            headers = [*headers, ("Content-Length", str(length))]
        return self.send(method, target, headers, body)

    def send(self, method: str, target: str, headers: HeaderList, body: bytes = b"", timeout_s: float = 30) -> Answer:
        """Send as is, on a connection of its own."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close", "", ""]
        with socket.create_connection(self.server.address, timeout_s) as connection:
            try:
                connection.sendall("\r\n".join(lines).encode("latin-1") + body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: the reply says why
            return read_answer(connection, method)

    # ---- aws-chunked ------------------------------------------------------------------------------------------------------------

    def put_chunks(
        self,
        target: str,
        chunks: Sequence[bytes],
        *,
        form: str = SIGNED_CHUNKS,
        trailers: HeaderList = (),
        headers: HeaderList = (),
        declared: str | None = None,
        decoded_length: int | str | None = -1,
        change: Callable[[list[bytes]], Any] | None = None,
        method: str = "PUT",
        length: int | None = -1,
    ) -> Answer:
        """Upload an aws-chunked body. ``change`` may tamper with its pieces (one for each chunk, the closing one, each trailer line, the
        end) before they are sent; ``declared`` replaces the value of x-amz-trailer.
        """
        if decoded_length == -1:
            decoded_length = sum(map(len, chunks))
        names = ",".join(name for name, _ in trailers) if declared is None else declared
        headers = [("Content-Encoding", "aws-chunked"), *headers]
        if decoded_length is not None:
            headers.append(("x-amz-decoded-content-length", str(decoded_length)))
        if names:
            headers.append(("x-amz-trailer", names))
        headers = self.signed(method, target, headers, sha256=form)
        pieces = self.chunk_pieces([*chunks, b""], signed=form != UNSIGNED_CHUNKS_TRAILER)
        if form.endswith("TRAILER"):
            pieces[-1] = pieces[-1][:-2]  # the trailers follow the closing chunk at once
            pieces += self.trailer_pieces(trailers, signed=form == SIGNED_CHUNKS_TRAILER)
            pieces.append(b"\r\n")
        if change:
            pieces = change(pieces) or pieces
        body = b"".join(pieces)
        if length == -1:
            length = len(body)
        if length is not None:
            headers = [*headers, ("Content-Length", str(length))]
        return self.send(method, target, headers, body)

    def chunk_pieces(self, chunks: Iterable[bytes], *, signed: bool) -> list[bytes]:
        """Frame chunks; signatures chain from the request signed last."""
        pieces = []
        for chunk in chunks:
            extension = f";chunk-signature={self._chain('AWS4-HMAC-SHA256-PAYLOAD', EMPTY_SHA256, _sha(chunk))}" if signed else ""
            pieces.append(f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n")
        return pieces

    def trailer_pieces(self, trailers: HeaderList, *, signed: bool) -> list[bytes]:
        """Trailer lines, with their signature when signed."""
        lines = [f"{name}:{value}\r\n".encode("latin-1") for name, value in trailers]
        if signed:
            text = "".join(f"{name}:{value}\n" for name, value in trailers)
            lines.append(f"x-amz-trailer-signature:{self._chain('AWS4-HMAC-SHA256-TRAILER', _sha(text.encode()))}\r\n".encode())
        return lines

    def _chain(self, algorithm: str, *hashes: str) -> str:
        seed = self.seed
        assert seed is not None
        seed.signature = _hmac(seed.key, "\n".join([algorithm, seed.date, seed.scope, seed.signature, *hashes])).hex()
        return seed.signature


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one reply off a socket."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    body = response.read()
    headers = response.getheaders()
    return Answer(response.status, {name.lower(): value for name, value in headers}, body, headers)
