"""Object lock of a version: retention and legal hold, as the column ``lock`` has them, and what they forbid."""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple

from shared.clock import now_ms, surely_ms
from shared.errors import AccessDenied
from shared.meta.models import Bucket, Object, Version

log = logging.getLogger("maxiofs.lock")

PAGE = 5000    # versions that are read together
PAGES_AT_ONCE = 20      # about a second
TABLES: tuple[Any, ...] = (Object, Version)
_BEFORE_ALL = -1 << 62      # as a ``seq``
GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
PROTECTED = "Access Denied because object protected by object lock."


class Lock(NamedTuple):
    """The lock of one version. ``mode`` and ``until_ms`` (UTC) come together; ``hold`` is "ON", "OFF", or None when nobody ever said."""

    mode: str | None = None
    until_ms: int | None = None
    hold: str | None = None

    def retains(self, at_ms: int) -> bool:
        """Whether its retention still runs."""
        return self.until_ms is not None and at_ms < self.until_ms

    def protects(self, at_ms: int, *, bypass: bool = False) -> bool:
        """Whether the version may not be removed. ``bypass`` passes over GOVERNANCE; nothing passes over COMPLIANCE or a legal hold."""
        return self.hold == "ON" or (self.retains(at_ms) and not (bypass and self.mode == GOVERNANCE))

    def may_become(self, mode: str | None, until_ms: int | None, at_ms: int, *, bypass: bool = False) -> bool:
        """Whether its retention may be replaced by this one (None, None: by none). Longer in the same mode always may."""
        if not self.retains(at_ms) or (mode == self.mode and (until_ms or 0) >= (self.until_ms or 0)):
            return True
        return bypass and self.mode == GOVERNANCE

    def dump(self) -> str | None:
        """As the column has it."""
        told = {name: value for name, value in self._asdict().items() if value is not None}
        return json.dumps(told, separators=(",", ":")) if told else None


NO_LOCK = Lock()


class Position(NamedTuple):
    """How far the locks of a bucket were looked at: the number of the table, key and seq."""

    table: int
    key: bytes
    seq: int


def load(stored: str | None) -> Lock:
    """The lock out of its column."""
    return Lock(**json.loads(stored)) if stored else NO_LOCK


def guard(stored: str | None, bypass: bool) -> None:
    """Raise AccessDenied when a version with this lock must stay. To be called in the transaction that would remove it."""
    if stored is None or not (lock := load(stored)).protects(surely_ms(), bypass=bypass):
        return
    if not lock.protects(now_ms(), bypass=bypass):
        log.warning(
            "the clock was set forward %d s since this process started. Retention goes by the time before; if the clock is right now, "
            "start the server again", (now_ms() - surely_ms()) // 1000)
    raise AccessDenied(PROTECTED)


def first_protected(bucket_id: int, after: Position | None = None) -> tuple[bytes, str] | Position | None:
    """Look for a version that must stay, for whoever wants the whole bucket gone: its key and version id; None when there is none.

    A bucket may have more locks than can be looked at in one go: then a Position is returned, to be given as ``after``. Asks nothing
    more of a bucket without object lock.
    """
    row = Bucket.select(Bucket.object_lock).where(Bucket.id == bucket_id).tuples().first()
    if row is None or row[0] is None:
        return None
    table, key, seq = after or Position(0, b"", _BEFORE_ALL)
    for _ in range(PAGES_AT_ONCE):
        page = _locks(TABLES[table], bucket_id, key, seq)       # whole: a statement that stays open would keep SQLite's log growing
        at_ms = surely_ms()
        for found_key, _, version_id, stored in page:
            if stored is not None and load(stored).protects(at_ms):
                return bytes(found_key), version_id
        if len(page) == PAGE:
            key, seq = bytes(page[-1][0]), page[-1][1]
        elif table + 1 == len(TABLES):
            return None
        else:
            table, key, seq = table + 1, b"", _BEFORE_ALL
    return Position(table, key, seq)


def _locks(model: Any, bucket_id: int, key: bytes, seq: int) -> list[Any]:
    """A page of (key, seq, version id, lock), from behind key and seq."""
    rows = model.select(model.key, model.seq, model.version_id, model.lock).where((model.bucket_id == bucket_id) & (model.key >= key))
    rows = rows.where((model.key > key) | (model.seq > seq))
    return list(rows.order_by(model.key, model.seq).limit(PAGE).tuples())
