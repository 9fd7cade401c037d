"""Buckets: creating, finding, listing and removing them. Every change moves the change counter, so that caches drop it at once."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.clock import now_ms
from shared.errors import BucketNotEmpty, NoSuchBucket
from shared.meta import counters
from shared.meta.database import connection, transaction
from shared.meta.locks import lock_bucket
from shared.meta.models import VERSIONING_OFF, Bucket, Change, Counter, Object, Version
from shared.meta.statement import P, Statement


class BucketInfo(NamedTuple):
    """A bucket as the pipeline carries it. ``versioning`` is one of models.VERSIONING_*."""

    id: int
    name: str
    owner_id: int
    created_ms: int
    versioning: int

    @property
    def versioned(self) -> bool:
        """True once versioning was enabled, also while it is suspended."""
        return self.versioning != VERSIONING_OFF


_COLUMNS = (Bucket.id, Bucket.name, Bucket.owner_id, Bucket.created_ms, Bucket.versioning)      # in the order of BucketInfo
_by_name = Statement(lambda: Bucket.select(*_COLUMNS).where(Bucket.name == P("name")))
_change = Statement(lambda: Change.select(Change.value).where(Change.id == 1))


def change_value() -> int:
    """The change counter: grows with every change of identity or bucket configuration."""
    row = _change(connection()).fetchone()
    return int(row[0])


def bump(conn: Any) -> int:
    """Move the change counter, inside the transaction of the change; returns its new value."""
    Change.update(value=Change.value + 1).where(Change.id == 1).execute()
    return int(_change(conn).fetchone()[0])


def find(name: str) -> BucketInfo | None:
    """Find a bucket by name."""
    row = _by_name(connection(), name=name.encode()).fetchone()
    return _info(row) if row else None


def _info(row: Any) -> BucketInfo:
    return BucketInfo(row[0], bytes(row[1]).decode(), *row[2:])


def create(name: str, owner_id: int) -> tuple[BucketInfo, bool]:
    """Create a bucket. Returns it and True, or the bucket that has the name already and False."""
    with transaction() as conn:
        if (there := find(name)) is not None:
            return there, False     # the usual answer for tools that always ask: no cache need hear of it
        new_id = bump(conn)
        row = Bucket.insert(id=new_id, name=name.encode(), owner_id=owner_id, created_ms=now_ms())
        created = bool(row.on_conflict_ignore().as_rowcount().execute())
        if created:
            counters.open_counters(new_id)
        found = find(name)
    if found is None:
        raise NoSuchBucket(BucketName=name)     # deleted between our conflict and our look: the caller may try again
    return found, created


def delete(bucket: BucketInfo) -> None:
    """Remove an empty bucket. Raises BucketNotEmpty while any version or delete marker is in it, NoSuchBucket when it is gone.

    Unfinished uploads do not hold a bucket; a workflow clears them away.
    """
    with transaction() as conn:
        bump(conn)      # first, as in create: both lock the row of ``change`` and then the bucket's
        lock_bucket(conn, bucket.id, shared=False)
        if not Bucket.select(Bucket.id).where(Bucket.id == bucket.id).tuples().first():
            raise NoSuchBucket(BucketName=bucket.name)
        for model in (Object, Version):
            # The order makes PostgreSQL use the key: it would scan the table for a bucket that its statistics call large.
            if model.select(model.seq).where(model.bucket_id == bucket.id).order_by(model.key).limit(1).tuples().first():
                raise BucketNotEmpty(BucketName=bucket.name)
        Bucket.delete().where(Bucket.id == bucket.id).execute()
        Counter.delete().where(Counter.bucket_id == bucket.id).execute()


def page(owner_id: int, prefix: str, after: bytes, limit: int) -> list[BucketInfo]:
    """The caller's buckets in name order, from behind ``after``."""
    query = Bucket.select(*_COLUMNS).where((Bucket.owner_id == owner_id) & (Bucket.name > after))
    if prefix:
        query = query.where((Bucket.name >= prefix.encode()) & (Bucket.name < prefix.encode() + b"\xff"))     # names are ASCII
    return [_info(row) for row in query.order_by(Bucket.name).limit(limit).tuples()]


def set_versioning(bucket: BucketInfo, versioning: int) -> None:
    """Enable or suspend versioning. Raises NoSuchBucket when the bucket is gone."""
    with transaction() as conn:
        bump(conn)
        lock_bucket(conn, bucket.id, shared=False)
        if not Bucket.update(versioning=versioning).where(Bucket.id == bucket.id).execute():
            raise NoSuchBucket(BucketName=bucket.name)
