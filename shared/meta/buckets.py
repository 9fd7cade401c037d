"""Buckets: creating, finding, listing and removing them. Every change moves the change counter, so that caches drop it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from shared.bucket_errors import BucketNotEmpty, InvalidBucketState, NoSuchBucket
from shared.clock import now_ms
from shared.errors import AccessDenied
from shared.meta import counters, quotas
from shared.meta.database import connection, repeated, transaction
from shared.meta.identity_models import Share
from shared.meta.locks import lock_bucket
from shared.meta.models import (
    INSTALLATION,
    VERSIONING_ENABLED,
    VERSIONING_OFF,
    Bucket,
    BucketConfiguration,
    Change,
    Counter,
    Object,
    Principal,
    Version,
)
from shared.meta.statement import P, Statement


class BucketInfo(NamedTuple):
    """A bucket as the pipeline carries it. ``versioning`` is one of models.VERSIONING_*; the rest is as models.Bucket has it."""

    id: int
    name: str
    owner_id: int
    created_ms: int
    versioning: int
    tenant_id: int = INSTALLATION
    policy: str | None = None
    acl: str | None = None
    ownership: str | None = None
    public_access: int | None = None
    tags: str | None = None
    revision: int = 1
    object_lock: str | None = None
    encryption: str | None = None

    @property
    def versioned(self) -> bool:
        """True once versioning was enabled, also while it is suspended."""
        return self.versioning != VERSIONING_OFF


_COLUMNS = tuple(getattr(Bucket, name) for name in BucketInfo._fields)
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


def create(name: str, owner_id: int, *, tenant_id: int | None = None, **configuration: Any) -> tuple[BucketInfo, bool]:
    """Create a bucket, in the tenant of its owner. Returns it and True, or the bucket that has the name already and False.

    ``tenant_id`` is the owner's as far as the caller knows; ``configuration`` are columns of models.Bucket, and what is not said is as
    the model has it: no ACLs, all public access blocked. Raises TooManyBuckets beyond the tenant's limit, AccessDenied when the tenant is
    not active, or when its owner has gone meanwhile: the bucket would be the installation's.
    """
    with transaction() as conn:
        if (there := find(name)) is not None:
            return there, False     # the usual answer for tools that always ask: no cache need hear of it
        new_id = bump(conn)
        owners = Principal.select(Principal.tenant_id).where(Principal.id == owner_id).scalar()
        if tenant_id not in (None, owners):
            raise AccessDenied
        tenant_id = owners or INSTALLATION
        quotas.admit_bucket(tenant_id)
        columns = {"id": new_id, "name": name.encode(), "owner_id": owner_id, "created_ms": now_ms(), "tenant_id": tenant_id}
        row = Bucket.insert(configuration | columns)
        created = bool(row.on_conflict_ignore().as_rowcount().execute())
        if created:
            counters.open_counters(new_id)
        found = find(name)
    if found is None:
        raise NoSuchBucket(BucketName=name)     # deleted between our conflict and our look: the caller may try again
    return found, created


def delete(bucket: BucketInfo) -> None:
    """Remove an empty bucket. Raises BucketNotEmpty while any version or delete marker is in it, NoSuchBucket when it is gone.

    Unfinished uploads do not hold a bucket; a workflow clears them away. Their bytes are the tenant's again at once.
    """
    with transaction() as conn:
        bump(conn)      # first, as in create: both lock the row of ``change`` and then the bucket's
        lock_bucket(conn, bucket.id, shared=False)
        row = Bucket.select(Bucket.tenant_id).where(Bucket.id == bucket.id).tuples().first()
        if row is None:
            raise NoSuchBucket(BucketName=bucket.name)
        for model in (Object, Version):
            # The order makes PostgreSQL use the key: it would scan the table for a bucket that its statistics call large.
            if model.select(model.seq).where(model.bucket_id == bucket.id).order_by(model.key).limit(1).tuples().first():
                raise BucketNotEmpty(BucketName=bucket.name)
        upload_bytes = counters.totals(bucket.id).upload_bytes
        Bucket.delete().where(Bucket.id == bucket.id).execute()
        Counter.delete().where(Counter.bucket_id == bucket.id).execute()
        BucketConfiguration.delete().where(BucketConfiguration.bucket_id == bucket.id).execute()
        Share.delete().where(Share.bucket_id == bucket.id).execute()
        if row[0] != INSTALLATION:
            quotas.spend(conn, row[0], -upload_bytes, 0)


@repeated
def move(bucket_id: int, tenant_id: int) -> None:
    """Give a bucket, with all it holds, to another tenant (or to the installation), in one transaction.

    Counts the bucket's delete markers, so it takes as long as the bucket has history. Raises NoSuchBucket, QuotaExceeded, TooManyBuckets,
    and AccessDenied when the tenant is not active.
    """
    with transaction() as conn:
        bump(conn)
        lock_bucket(conn, bucket_id, shared=False)
        row = Bucket.select(Bucket.tenant_id).where(Bucket.id == bucket_id).tuples().first()
        if row is None:
            raise NoSuchBucket
        if row[0] == tenant_id:
            return
        quotas.admit_bucket(tenant_id)
        Bucket.update(tenant_id=tenant_id, revision=Bucket.revision + 1).where(Bucket.id == bucket_id).execute()
        taken = quotas.taken_by(bucket_id)
        for tenant, sign in sorted(((row[0], -1), (tenant_id, 1))):     # in one order, or two that cross would wait for each other
            if tenant != INSTALLATION:
                quotas.spend(conn, tenant, sign * taken.bytes, sign * taken.objects)


def page(prefix: str, after: bytes, limit: int, *, tenant_id: int | None = None) -> list[BucketInfo]:
    """Buckets in name order, from behind ``after``: those of a tenant, or all."""
    query = Bucket.select(*_COLUMNS).where(Bucket.name > after)
    if tenant_id is not None:
        query = query.where(Bucket.tenant_id == tenant_id)
    if prefix:
        query = query.where((Bucket.name >= prefix.encode()) & (Bucket.name < prefix.encode() + b"\xff"))     # names are ASCII
    return [_info(row) for row in query.order_by(Bucket.name).limit(limit).tuples()]


def set_versioning(bucket: BucketInfo, versioning: int) -> None:
    """Enable or suspend versioning. Raises NoSuchBucket when the bucket is gone, InvalidBucketState for suspending it under object lock."""
    change(bucket, versioning=versioning)


def change(bucket: BucketInfo, check: Callable[[BucketInfo], None] | None = None, **columns: Any) -> None:
    """Write columns of a bucket's configuration, in one transaction that every process notices.

    ``check`` is called inside it with the bucket as it stands there, and may raise: two settings that exclude each other are never both
    made. Raises NoSuchBucket when the bucket is gone, InvalidBucketState for object lock without versioning.
    """
    with transaction() as conn:
        bump(conn)
        lock_bucket(conn, bucket.id, shared=False)
        row = Bucket.select(*_COLUMNS).where(Bucket.id == bucket.id).tuples().first()
        if row is None:
            raise NoSuchBucket(BucketName=bucket.name)
        found = _info(row)
        if check:
            check(found)
        _check_object_lock(columns.get("object_lock", found.object_lock), columns.get("versioning", found.versioning))
        Bucket.update(revision=Bucket.revision + 1, **columns).where(Bucket.id == bucket.id).execute()


def _check_object_lock(object_lock: str | None, versioning: int) -> None:
    """Object lock protects versions, so versioning stays enabled where it is on. Raises InvalidBucketState."""
    if object_lock is not None and versioning != VERSIONING_ENABLED:
        raise InvalidBucketState(
            "Versioning must be 'Enabled' on a bucket with an Object Lock configuration, and its state cannot be changed then."
        )
