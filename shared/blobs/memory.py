"""Blobs in memory, for tests: the same promises as the disk, except surviving the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from shared.blobs.engine import (
    BLOCK_BYTES,
    BlobCorrupt,
    BlobEngine,
    BlobEntry,
    BlobMissing,
    Space,
    SpanLike,
    Staged,
    blob_name,
    new_blob_id,
    walk_order,
)
from shared.blobs.files import BytesFile
from shared.errors import StorageFull


class MemoryStaged(Staged):
    """A growing byte array."""

    def __init__(self, admit: Callable[[int], None], keep: Callable[[bytes, bytes], None]) -> None:
        self.id = new_blob_id()
        self._admit = admit
        self._keep = keep
        self._data = bytearray()
        self._open = True
        self._full = False

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return len(self._data)

    def _require_open(self) -> None:
        if self._full:
            raise StorageFull()
        if not self._open:
            raise ValueError("this staged blob was committed or discarded")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; see ``Staged.write``."""
        self._require_open()
        try:
            self._admit(len(self._data) + len(data))
        except StorageFull:
            self._full = True
            self.discard()
            raise
        self._data += data

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[memoryview]:
        """Copies of the parts written."""
        self._require_open()
        for at in range(0, len(self._data), size):
            yield memoryview(bytes(self._data[at : at + size]))

    def commit(self) -> bytes:
        """Move the bytes into the engine."""
        self._require_open()
        self._open = False
        self._keep(self.id, bytes(self._data))
        self._data.clear()
        return self.id

    def discard(self) -> None:
        """Forget the bytes."""
        self._open = False
        self._data = bytearray()


class MemoryEngine(BlobEngine):
    """A dictionary with a capacity. Thread-safe."""

    def __init__(self, capacity_bytes: int = 1 << 40) -> None:
        self._capacity_bytes = capacity_bytes
        self._blobs: dict[bytes, tuple[bytes, int]] = {}  # id → data, UTC milliseconds
        self._lock = threading.Lock()

    def _keep(self, blob_id: bytes, data: bytes) -> None:
        with self._lock:
            self._blobs[blob_id] = data, time.time_ns() // 1_000_000

    def _find(self, blob_id: bytes) -> bytes:
        blob_name(blob_id)
        try:
            return self._blobs[bytes(blob_id)][0]
        except KeyError:
            raise BlobMissing(blob_name(blob_id)) from None

    def stage(self, size_hint: int | None = None) -> MemoryStaged:
        """Begin a byte array."""
        self.admit(size_hint or 0)
        return MemoryStaged(self.admit, self._keep)

    def open(self, blob_id: bytes, span: SpanLike | None = None) -> BytesFile:
        """A file over the bytes kept."""
        data = self._find(blob_id)
        first, end = (0, len(data)) if span is None else (span.first, span.last + 1)
        if not 0 <= first <= end:
            raise ValueError("a span ends before it starts")
        if end > len(data):
            raise BlobCorrupt(f"blob {blob_name(blob_id)} has {len(data)} bytes, not {end}")
        return BytesFile(memoryview(data)[first:end])

    def size(self, blob_id: bytes) -> int:
        """Bytes kept."""
        return len(self._find(blob_id))

    def delete(self, blob_id: bytes) -> None:
        """Forget the blob."""
        blob_name(blob_id)
        with self._lock:
            self._blobs.pop(bytes(blob_id), None)

    def walk(self, after: bytes | None = None, limit: int | None = None) -> Iterator[BlobEntry]:
        """The order of the disk engine."""
        with self._lock:
            entries = [BlobEntry(blob_id, modified_ms, len(data)) for blob_id, (data, modified_ms) in self._blobs.items()]
        entries.sort(key=lambda entry: walk_order(entry.id.hex()))
        if after is not None:
            entries = [entry for entry in entries if walk_order(entry.id.hex()) > walk_order(blob_name(after))]
        yield from entries[:limit]

    def admit(self, size_bytes: int) -> None:
        """Compare with the capacity."""
        if size_bytes > self.space().free_bytes:
            raise StorageFull()

    def check(self) -> None:
        """Raise StorageFull when not a byte is left."""
        self.admit(1)

    def space(self) -> Space:
        """The capacity and what is left of it."""
        with self._lock:
            used = sum(len(data) for data, _ in self._blobs.values())
        return Space(self._capacity_bytes, max(self._capacity_bytes - used, 0))

    def sweep_staging(self) -> int:
        """Nothing outlives its process."""
        return 0

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._blobs.clear()
