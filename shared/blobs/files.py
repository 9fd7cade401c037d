"""Read-only files over stored bytes: limited to a span, and free to re-read what a partial send left."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from shared.blobs.engine import BlobCorrupt

WINDOW_BYTES = 256 * 1024  # the last read up to this size is kept; also what the host sends at once

if TYPE_CHECKING:

    class _Readable(io.RawIOBase, BinaryIO):
        """What type checkers take for a BinaryIO; at run time it is io.RawIOBase alone."""
else:
    _Readable = io.RawIOBase


class BlobFile(_Readable):
    """A seekable file over ``length`` bytes; ``read(n)`` gives n bytes unless the end comes first.

    WSGI servers read a block, send part of it, and read the rest again, and once more to skip it: up to five times. So
    the last read is kept, and reading it again touches neither disk nor cipher. Made in one thread and read in another is fine;
    two at the same time is not.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._at = 0
        self._window = b""
        self._window_at = 0

    def pread(self, at: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``at`` on; the caller stays within ``length``. Raises BlobCorrupt, BlobMissing, OSError."""
        raise NotImplementedError

    def read(self, size: int | None = -1) -> bytes:
        """Read and advance. Raises as ``pread``, and ValueError once closed."""
        if self.closed:
            raise ValueError("read of a closed blob file")
        left = max(self.length - self._at, 0)
        size = left if size is None or size < 0 else min(size, left)
        if not size:
            return b""
        data = self._read_through_window(size)
        self._at += size
        return data

    def _read_through_window(self, size: int) -> bytes:
        skip = self._at - self._window_at
        kept = self._window[skip : skip + size] if 0 <= skip < len(self._window) else b""
        if len(kept) == size:
            return kept
        fresh = self.pread(self._at + len(kept), size - len(kept))
        data = kept + fresh if kept else fresh
        if size <= WINDOW_BYTES:
            self._window, self._window_at = data, self._at
        else:
            self._window = b""
        return data

    def readall(self) -> bytes:
        """Read to the end."""
        return self.read()

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``; return how many bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move within the span; beyond its end is allowed and reads nothing. Raises ValueError before its start."""
        if self.closed:
            raise ValueError("seek in a closed blob file")
        target = offset + (0, self._at, self.length)[whence]
        if target < 0:
            raise ValueError("seek before the start")
        self._at = target
        return target

    def tell(self) -> int:
        """The position, relative to the span."""
        return self._at

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Release what is held; harmless twice."""
        self._window = b""
        super().close()


class SpanFile(BlobFile):
    """``length`` bytes of an open file from ``first`` on; owns the descriptor."""

    def __init__(self, descriptor: int, first: int, length: int) -> None:
        self._descriptor = descriptor
        self._first = first
        super().__init__(length)

    def pread(self, at: int, size: int) -> bytes:
        """One system call, unless the kernel gives less than asked for."""
        data = os.pread(self._descriptor, size, self._first + at)
        if len(data) == size:
            return data
        parts = [data]
        have = len(data)
        while have < size:
            more = os.pread(self._descriptor, size - have, self._first + at + have)
            if not more:
                raise BlobCorrupt("the stored bytes end too early")
            parts.append(more)
            have += len(more)
        return b"".join(parts)

    def close(self) -> None:
        """Close the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        super().close()


class BytesFile(BlobFile):
    """A file over bytes in memory."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        super().__init__(len(data))

    def pread(self, at: int, size: int) -> bytes:
        """A copy of that part."""
        return bytes(self._data[at : at + size])
