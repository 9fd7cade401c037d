"""Chunk signatures of aws-chunked bodies: a chain from the request's own signature to the last chunk and the trailers.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from shared.auth.canonical import signature
from shared.auth.model import Seed
from shared.errors import SignatureDoesNotMatch

TRAILER_SIGNATURE = "x-amz-trailer-signature"

_EMPTY_SHA256 = sha256().hexdigest()
_NO_SIGNATURE = bytes(32)


class ChunkVerifier:
    """Checks the decoded body against the chunks as they were logged; keeps only the running digest.

    ``chunks`` yields (length in bytes, 32-byte signature or None) in order, the empty last chunk included. ``trailers`` are all
    trailing (name, value) pairs with x-amz-trailer-signature, or None when the form has none.
    """

    def __init__(self, seed: Seed, chunks: Iterable[tuple[int, bytes | None]], trailers: Sequence[tuple[str, str]] | None = None) -> None:
        self._seed, self._trailers = seed, trailers
        self._chunks: Iterator[tuple[int, bytes | None]] = iter(chunks)
        self._previous = seed.signature
        self._digest = sha256()
        self._left = 0  # bytes still missing from the current chunk
        self._given: bytes | None = None
        self._last = False
        self._next()

    def update(self, block: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the body; borders need not fall on chunks. Raises SignatureDoesNotMatch."""
        view = memoryview(block)
        while view:
            if self._last:
                raise SignatureDoesNotMatch()
            taken = view[: self._left]
            self._digest.update(taken)
            self._left -= len(taken)
            view = view[len(taken) :]
            if not self._left:
                self._close()

    def finish(self) -> None:
        """Check the empty last chunk and the trailers. Raises SignatureDoesNotMatch; also when body or chunks are missing."""
        if not self._last or next(self._chunks, None) is not None:
            raise SignatureDoesNotMatch()
        self._check("PAYLOAD", f"{_EMPTY_SHA256}\n{self._digest.hexdigest()}", self._given)
        if self._trailers is not None:
            self._finish_trailers(self._trailers)

    def _finish_trailers(self, trailers: Sequence[tuple[str, str]]) -> None:
        given, lines = "", []
        for name, value in trailers:
            if name.strip().lower() == TRAILER_SIGNATURE:
                given = value.strip()
            else:
                lines.append(f"{name.strip().lower()}:{value.strip()}\n")
        try:
            wanted = bytes.fromhex(given)
        except ValueError:
            raise SignatureDoesNotMatch() from None
        digest = sha256("".join(lines).encode("latin-1")).hexdigest()
        self._check("TRAILER", digest, wanted)

    def _close(self) -> None:
        self._check("PAYLOAD", f"{_EMPTY_SHA256}\n{self._digest.hexdigest()}", self._given)
        self._digest = sha256()
        self._next()

    def _next(self) -> None:
        """Go to the next logged chunk. An empty one is the last, and its absence is found by finish()."""
        self._left, self._given = next(self._chunks, (-1, None))
        self._last = self._left == 0
        if self._left < 0:
            self._chunks = iter(((0, None),))  # nothing more may come, and finish() must fail
            self._last = True

    def _check(self, what: str, digests: str, given: bytes | None) -> None:
        seed = self._seed
        text = f"AWS4-HMAC-SHA256-{what}\n{seed.amz_date}\n{seed.scope}\n{self._previous}\n{digests}"
        made = signature(seed.key, text)
        if not hmac.compare_digest(bytes.fromhex(made), given or _NO_SIGNATURE):
            raise SignatureDoesNotMatch(StringToSign=text)
        self._previous = made
