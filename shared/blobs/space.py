"""The free-space reserve: refuse a write while deletes and metadata still fit."""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

from shared.blobs.engine import Space
from shared.errors import StorageFull

FRESH_S = 0.1  # how long one look at the filesystem is believed; on network filesystems it is a round trip


class Claim(Protocol):
    """Something being written: ``granted_bytes`` were promised, ``unwritten_bytes`` of them do not show in the filesystem yet."""

    granted_bytes: int

    @property
    def unwritten_bytes(self) -> int: ...


class FreeSpace:
    """The space of one filesystem above a reserve, minus what this process promised and has not written.

    What other processes promised shows as soon as it is preallocated or written. Thread-safe.
    """

    def __init__(self, descriptor: int, reserve_bytes: int) -> None:
        self._descriptor = descriptor
        self._reserve_bytes = reserve_bytes
        self._claims: set[Claim] = set()
        self._granted_bytes = 0  # of all claims: never less than what is unwritten
        self._released_bytes = 0  # granted to claims that ended since the last look, which may not have seen what they wrote
        self._lock = threading.Lock()
        self._seen = Space(0, 0)
        self._seen_s = float("-inf")

    def look(self, *, fresh: bool = False) -> Space:
        """What the filesystem says, at most FRESH_S old."""
        now_s = time.monotonic()
        if fresh or now_s - self._seen_s > FRESH_S:
            self._released_bytes = 0
            stat = os.fstatvfs(self._descriptor)
            self._seen = Space(stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize)
            self._seen_s = now_s
        return self._seen

    def admit(self, size_bytes: int, *, fresh: bool = False) -> None:
        """Raise StorageFull when ``size_bytes`` more would leave less than the reserve."""
        with self._lock:
            self._require(size_bytes, fresh=fresh)

    def claim(self, claim: Claim, size_bytes: int) -> None:
        """Promise ``size_bytes`` more to ``claim`` until it leaves. Raises StorageFull."""
        with self._lock:
            self._require(size_bytes)
            self._claims.add(claim)
            claim.granted_bytes += size_bytes
            self._granted_bytes += size_bytes

    def release(self, claim: Claim) -> None:
        """End the promise; harmless twice."""
        with self._lock:
            if claim in self._claims:
                self._claims.remove(claim)
                self._granted_bytes -= claim.granted_bytes
                self._released_bytes += claim.granted_bytes

    def claims(self) -> list[Claim]:
        """Everything being written now."""
        with self._lock:
            return list(self._claims)

    def close(self) -> None:
        """Let go of the descriptor, which is the engine's to close."""
        self._descriptor = -1

    def _require(self, size_bytes: int, *, fresh: bool = False) -> None:
        needed = size_bytes + self._reserve_bytes
        # A new look, and adding up a thousand uploads, is needed only when the upper bound does not fit.
        if self.look(fresh=fresh).free_bytes >= needed + self._granted_bytes + self._released_bytes:
            return
        if self.look(fresh=True).free_bytes < needed + sum(claim.unwritten_bytes for claim in self._claims):
            raise StorageFull()
