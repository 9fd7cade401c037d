"""The life of a key: what is current, what is history, and how a write, a delete and a version delete move rows between the two.

All functions run in the caller's transaction. They return what the bucket's counters gained and lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from peewee import EXCLUDED

from shared.meta import retention
from shared.meta.content import release_blob, release_body
from shared.meta.counters import Delta
from shared.meta.models import INSTALLATION, NULL_VERSION, VERSIONING_ENABLED, VERSIONING_OFF, Object, Version
from shared.meta.statement import P, Statement

SHARED_COLUMNS = (
    "bucket_id", "key", "seq", "version_id", "mtime_ms", "size", "etag", "owner_id", "storage_class", "headers", "metadata",
    "checksum_algorithm", "checksum", "parts_count", "blob_id", "wrapped_key", "key_version", "body_id", "tags", "acl", "lock",
    "sse",
)


class Stored(NamedTuple):
    """A version as it stands in its table."""

    seq: int
    version_id: str
    size: int
    etag: str
    blob_id: bytes | None
    body_id: bytes | None
    mtime_ms: int
    lock: str | None
    is_marker: bool = False


_STORED = ("seq", "version_id", "size", "etag", "blob_id", "body_id", "mtime_ms", "lock")
_columns = [getattr(Object, name) for name in SHARED_COLUMNS]


def _here(model: Any) -> Any:
    return (model.bucket_id == P("bucket_id")) & (model.key == P("key"))


def _stored_versions() -> Any:
    return Version.select(*[getattr(Version, name) for name in _STORED], Version.is_marker).where(_here(Version))


_current = Statement(lambda: Object.select(*[getattr(Object, name) for name in _STORED]).where(_here(Object)))
_newest = Statement(lambda: _stored_versions().order_by(Version.seq).limit(1))
_by_version_id = Statement(lambda: _stored_versions().where(Version.version_id == P("version_id")))
_push = Statement(
    lambda: Version.insert_from(
        Object.select(*_columns, False).where(_here(Object)), [getattr(Version, name) for name in SHARED_COLUMNS] + [Version.is_marker]
    )
)
_pull = Statement(
    lambda: Object.insert_from(
        Version.select(*[getattr(Version, name) for name in SHARED_COLUMNS]).where(_here(Version) & (Version.seq == P("seq"))), _columns
    )
)
_drop_current = Statement(lambda: Object.delete().where(_here(Object)))
_drop_version = Statement(lambda: Version.delete().where(_here(Version) & (Version.seq == P("seq"))))
_write = Statement(
    lambda: Object.insert({getattr(Object, name): P(name) for name in SHARED_COLUMNS}).on_conflict(
        conflict_target=[Object.bucket_id, Object.key],
        update={getattr(Object, name): getattr(EXCLUDED, name) for name in SHARED_COLUMNS[2:]},
    )
)
_mark = Statement(
    lambda: Version.insert(
        {
            **{getattr(Version, name): P(name) for name in ("bucket_id", "key", "seq", "version_id", "mtime_ms", "owner_id")},
            Version.size: 0, Version.etag: "", Version.is_marker: True,
        }
    )
)


@dataclass(frozen=True)
class Key:
    """One key of one bucket, on one connection, inside one transaction.

    What object lock protects stays: whatever would remove it raises AccessDenied before it has touched anything. ``bypass`` says that the
    caller may pass over GOVERNANCE, and wants to.
    """

    connection: Any
    bucket_id: int
    key: bytes
    versioning: int
    now_ms: int
    tenant_id: int = INSTALLATION
    bypass: bool = False

    @property
    def _where(self) -> dict[str, Any]:
        return {"bucket_id": self.bucket_id, "key": self.key}

    def current(self) -> Stored | None:
        """The current version, or None when there is none or the newest is a delete marker."""
        row = _current(self.connection, **self._where).fetchone()
        return Stored(*row) if row else None

    def newest(self) -> Stored | None:
        """The newest row of the history table. It is newer than all others only when there is no current version."""
        if self.versioning == VERSIONING_OFF:
            return None
        row = _newest(self.connection, **self._where).fetchone()
        return Stored(*row) if row else None

    def noncurrent(self, version_id: str) -> Stored | None:
        """The noncurrent version or delete marker with this id."""
        if "\0" in version_id:      # PostgreSQL's text cannot hold it
            return None
        row = _by_version_id(self.connection, **self._where, version_id=version_id).fetchone()
        return Stored(*row) if row else None

    def make_room(self, current: Stored | None) -> tuple[int, Delta]:
        """Prepare for a new newest version: keep or replace what it supersedes. Returns the new version's ``seq``.

        While versioning is off or suspended the new version is the ``null`` version, and replaces an older one wherever it stands.
        """
        delta = Delta()
        newest = current or self.newest()
        if self.versioning == VERSIONING_ENABLED:
            self._push_current(current, delta)
        elif current and current.version_id == NULL_VERSION:
            self._guard(current)
            self._release(current, delta)
            delta.objects -= 1
        else:
            self._replace_noncurrent_null(delta)
            self._push_current(current, delta)
        return (newest.seq if newest else 0) - 1, delta

    def _replace_noncurrent_null(self, delta: Delta) -> None:
        if self.versioning != VERSIONING_OFF and (null := self.noncurrent(NULL_VERSION)):
            self._drop_noncurrent(null, delta)

    def _push_current(self, current: Stored | None, delta: Delta) -> None:
        if current:
            _push(self.connection, **self._where)
            delta.objects -= 1
            delta.versions += 1

    def write(self, columns: dict[str, Any], delta: Delta) -> None:
        """Make a new row current. ``columns`` has every shared column but bucket and key."""
        _write(self.connection, **self._where, **columns)
        delta.objects += 1
        delta.bytes += columns["size"]

    def mark_deleted(self, current: Stored | None, version_id: str, owner_id: int) -> Delta:
        """Put a delete marker on top."""
        seq, delta = self.make_room(current)
        if current:
            _drop_current(self.connection, **self._where)
        _mark(self.connection, **self._where, seq=seq, version_id=version_id, mtime_ms=self.now_ms, owner_id=owner_id)
        delta.versions += 1
        delta.markers += 1
        return delta

    def remove_current(self, current: Stored) -> Delta:
        """Remove the current version for good; the newest of the history takes its place unless it is a delete marker."""
        self._guard(current)
        delta = Delta(objects=-1)
        _drop_current(self.connection, **self._where)
        self._release(current, delta)
        self._promote(delta)
        return delta

    def remove_noncurrent(self, stored: Stored, current: Stored | None) -> Delta:
        """Remove a noncurrent version or a delete marker for good."""
        delta = Delta()
        self._drop_noncurrent(stored, delta)
        if current is None:
            self._promote(delta)
        return delta

    def _promote(self, delta: Delta) -> None:
        newest = self.newest()
        if newest and not newest.is_marker:
            _pull(self.connection, **self._where, seq=newest.seq)
            _drop_version(self.connection, **self._where, seq=newest.seq)
            delta.objects += 1
            delta.versions -= 1

    def _guard(self, stored: Stored) -> None:
        retention.guard(stored.lock, self.bypass)

    def _drop_noncurrent(self, stored: Stored, delta: Delta) -> None:
        self._guard(stored)
        _drop_version(self.connection, **self._where, seq=stored.seq)
        self._release(stored, delta)
        delta.versions -= 1
        delta.markers -= bool(stored.is_marker)

    def _release(self, stored: Stored, delta: Delta) -> None:
        delta.bytes -= stored.size
        if stored.blob_id is not None:
            release_blob(self.connection, bytes(stored.blob_id), self.now_ms)
        elif stored.body_id is not None:
            release_body(bytes(stored.body_id), self.now_ms)
