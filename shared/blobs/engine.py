"""The blob engine interface: stage bytes, commit them durably, read, delete and walk them."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from shared.errors import InternalError, S3Error, ServiceUnavailable, SlowDown, StorageFull

if TYPE_CHECKING:
    from shared.blobs.files import BlobFile

BLOB_ID_BYTES = 16
BLOCK_BYTES = 1 << 20  # what `Staged.blocks` reads at a time

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_WRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV, errno.ESTALE})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class BlobMissing(Exception):
    """The engine has no blob with this id; ``args[0]`` is the id in hexadecimal."""


class BlobCorrupt(Exception):
    """Stored bytes are not what was written: truncated, altered, misplaced, or opened with the wrong key."""


class SpanLike(Protocol):
    """A byte range, ends included, 0-based: whatever has ``first`` and ``last``."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...


class Span(NamedTuple):
    """Bytes ``first`` to ``last``, ends included, 0-based. ``last`` = ``first`` - 1 is empty."""

    first: int
    last: int


class BlobEntry(NamedTuple):
    """What a walk sees of a blob. ``modified_ms`` is UTC milliseconds; ``stored_bytes`` are after transforms."""

    id: bytes
    modified_ms: int
    stored_bytes: int


class Space(NamedTuple):
    """What the place holds and what of it may still be written, in bytes."""

    total_bytes: int
    free_bytes: int


class Staged:
    """Bytes on their way to becoming a blob: written once, in order, then committed or discarded.

    One thread at a time writes, reads or commits; ``discard`` may come from any thread at any moment. ``id`` is the id the blob
    will have, known from the start because encryption binds every chunk to it.
    """

    id: bytes

    @property
    def size(self) -> int:
        """Bytes written so far."""
        raise NotImplementedError

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of ``data``. After an error the staged bytes are gone, and every later write raises the same error.

        Raises StorageFull; ServiceUnavailable when the place is not writable; InternalError when the device fails.
        """
        raise NotImplementedError

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[memoryview]:
        """Re-read what was written, ``size`` bytes at a time. A block is valid only until the next one is asked for."""
        raise NotImplementedError

    def commit(self) -> bytes:
        """Make the blob durable and return its id; on an error nothing is left behind.

        Raises as ``write``; ValueError when already committed or discarded.
        """
        raise NotImplementedError

    def discard(self) -> None:
        """Forget the bytes: no file and no descriptor stays. Never raises; does nothing twice, during or after ``commit``."""
        raise NotImplementedError


class BlobEngine:
    """Where bytes live. Every method is refused until a subclass says otherwise. Blob ids are 16 bytes from ``new_blob_id``."""

    def stage(self, size_hint: int | None = None) -> Staged:
        """Begin a blob of ``size_hint`` bytes (None: unknown). The space is claimed here, before the body is received.

        Raises StorageFull, ServiceUnavailable.
        """
        raise NotImplementedError

    def open(self, blob_id: bytes, span: SpanLike | None = None) -> BlobFile:
        """Return a seekable file over the blob, or over ``span`` of it with positions relative to the span.

        Raises BlobMissing; BlobCorrupt when the blob is shorter than the span says.
        """
        raise NotImplementedError

    def size(self, blob_id: bytes) -> int:
        """Stored bytes of the blob. Raises BlobMissing."""
        raise NotImplementedError

    def delete(self, blob_id: bytes) -> None:
        """Remove the blob; succeeds when it is already gone. Open files of it stay readable. A crash may bring it back."""
        raise NotImplementedError

    def walk(self, after: bytes | None = None, limit: int | None = None) -> Iterator[BlobEntry]:
        """Yield at most ``limit`` blobs behind ``after``, in the engine's own stable order; fewer than ``limit`` means the end.

        Memory does not grow with the store. Blobs that come or go meanwhile may or may not be seen.
        """
        raise NotImplementedError

    def admit(self, size_bytes: int) -> None:
        """Raise StorageFull when this many bytes more would eat into the reserve."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise when not fit to take writes: StorageFull below the reserve, ServiceUnavailable when read-only or unreachable."""
        raise NotImplementedError

    def space(self) -> Space:
        """How much fits, and how much still does."""
        raise NotImplementedError

    def sweep_staging(self) -> int:
        """Remove what processes that died left half written; return how many such processes there were."""
        raise NotImplementedError

    def close(self) -> None:
        """Discard what is staged and release what is open; the engine is unusable afterwards."""
        raise NotImplementedError


def new_blob_id(now_ms: int | None = None) -> bytes:
    """Return 16 bytes: 48 bits of UTC milliseconds, then 80 random bits, so ids sort by time and never collide."""
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return moment.to_bytes(6, "big") + os.urandom(10)


def made_ms(blob_id: bytes) -> int:
    """When the id was made, in UTC milliseconds of the clock as it was then."""
    return int.from_bytes(blob_id[:6], "big")


def blob_name(blob_id: bytes) -> str:
    """The id as 32 hexadecimal digits. Raises ValueError when it is not 16 bytes."""
    if len(blob_id) != BLOB_ID_BYTES:
        raise ValueError(f"a blob id has {BLOB_ID_BYTES} bytes, not {len(blob_id)}")
    return blob_id.hex()


def walk_order(name: str) -> tuple[str, str]:
    """The order of a walk: by shard (the last three digits of the name), then by name."""
    return name[-3:], name


def storage_error(error: OSError) -> S3Error:
    """The S3 error a client is told when the operating system refuses; it names no path."""
    if error.errno in _FULL:
        return StorageFull()
    if error.errno in _NOT_WRITABLE:
        return ServiceUnavailable("The storage is not writable.")
    if error.errno in _EXHAUSTED:
        return SlowDown()
    return InternalError()
