"""What waits to be sent to a client: bytes, or a file that is read only as fast as the client takes it."""

from __future__ import annotations

from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer

BLOCK_BYTES = 256 * 1024  # read and sent at once; what a partial send leaves is kept, never read again


class BodyFailed(Exception):
    """A reply's file ended early: the connection must break, for a client would believe padding."""


class BytesBuffer:
    """Bytes to send, without copying them."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def __len__(self) -> int:
        return len(self._rest)

    def get(self, numbytes: int = -1) -> memoryview:
        return self._rest if numbytes < 0 else self._rest[:numbytes]

    def skip(self, numbytes: int, allow_prune: bool = False) -> None:
        self._rest = self._rest[numbytes:]

    def close(self) -> None:
        self._rest = memoryview(b"")


class FileBuffer(ReadOnlyFileBasedBuffer):  # type: ignore[misc]
    """``length`` bytes of a file from its current position, read once and in order; closes the file."""

    def __init__(self, file: Any, length: int) -> None:
        super().__init__(file)
        self.remain = length
        self._block = memoryview(b"")

    def get(self, numbytes: int = -1, skip: bool = False) -> memoryview:
        """The next bytes to send. Raises BodyFailed when the file has no more; whatever the file raises passes through."""
        if not self._block:
            self._block = memoryview(self.file.read(min(BLOCK_BYTES, self.remain)))[: self.remain]
            if not self._block:
                raise BodyFailed(f"the body ended {self.remain} bytes early")
        return self._block

    def skip(self, numbytes: int, allow_prune: bool = False) -> None:
        self._block = self._block[numbytes:]
        self.remain -= numbytes

    def close(self) -> None:
        self._block = memoryview(b"")
        super().close()
