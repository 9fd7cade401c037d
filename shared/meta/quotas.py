"""What tenants use, and their limits: spent in the transaction that writes, given back in the one that deletes.

One conditional UPDATE spends only while the limits hold, so writers that race for the last bytes cannot pass them together. It locks the
tenant's row until the end of the transaction, so on PostgreSQL it must be the last lock that a transaction takes
(docs/decisions/0010-quotas.md).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from peewee import fn

from shared.bucket_errors import TooManyBuckets
from shared.errors import AccessDenied, QuotaExceeded
from shared.meta import counters
from shared.meta.counters import Delta
from shared.meta.database import connection
from shared.meta.identity_models import TENANT_ACTIVE, TENANT_DELETING, Tenant
from shared.meta.models import INSTALLATION, Bucket, Version
from shared.meta.statement import P, Statement

_id: Any = Tenant._meta.primary_key     # Tenant.id: peewee adds it unseen by type checkers


class Taken(NamedTuple):
    """What takes of a quota: bytes, and versions that are no delete markers."""

    bytes: int
    objects: int


def _spending() -> Any:
    """A part that takes nothing always holds: deleting must work beyond a limit too."""
    bytes_, objects = P("bytes"), P("objects")
    has_bytes = (bytes_ <= 0) | (Tenant.max_bytes == 0) | (Tenant.bytes + bytes_ <= Tenant.max_bytes)
    has_objects = (objects <= 0) | (Tenant.max_objects == 0) | (Tenant.objects + objects <= Tenant.max_objects)
    return _adding().where((Tenant.status != TENANT_DELETING) & has_bytes & has_objects)


def _adding() -> Any:
    return Tenant.update({Tenant.bytes: Tenant.bytes + P("bytes"), Tenant.objects: Tenant.objects + P("objects")}).where(_id == P("id"))


_spend, _give_back = Statement(_spending), Statement(_adding)
_look = Statement(
    lambda: Tenant.select(Tenant.status, Tenant.max_bytes, Tenant.bytes, Tenant.max_objects, Tenant.objects).where(_id == P("id"))
)


def record(conn: Any, bucket_id: int, tenant_id: int, delta: Delta) -> None:
    """Add a change to the bucket's counters and to its tenant's usage: the last thing a transaction does that another may wait for.

    Raises QuotaExceeded when it would go beyond a limit of the tenant; the caller must roll back.
    """
    counters.add(conn, bucket_id, delta)
    if tenant_id != INSTALLATION:
        spend(conn, tenant_id, delta.bytes + delta.upload_bytes, delta.objects + delta.versions - delta.markers)


def spend(conn: Any, tenant_id: int, bytes_: int, objects: int) -> None:
    """Add to what a tenant uses. What is negative is given back, and always succeeds.

    Raises QuotaExceeded beyond a limit, AccessDenied when the tenant is gone or being deleted; the caller must roll back.
    """
    if not bytes_ and not objects:
        return
    statement = _spend if bytes_ > 0 or objects > 0 else _give_back
    if statement(conn, id=tenant_id, bytes=bytes_, objects=objects).rowcount or statement is _give_back:
        return
    row = _look(conn, id=tenant_id).fetchone()
    if row is None or row[0] == TENANT_DELETING:
        raise AccessDenied("The tenant of this bucket is being deleted.")
    raise exceeded("bytes" if bytes_ > 0 and 0 < row[1] < row[2] + bytes_ else "objects")


def exceeded(what: Literal["bytes", "objects"]) -> QuotaExceeded:
    """The refusal. It names no number: who writes may be a stranger to the tenant."""
    return QuotaExceeded(f"This would store more {what} than the quota of the tenant allows.", Limit=what)


def bytes_left(tenant_id: int) -> int | None:
    """How many bytes a tenant may still store, now; None for no limit.

    So it is for a tenant that is gone: the transaction decides.
    """
    row = _look(connection(), id=tenant_id).fetchone() if tenant_id != INSTALLATION else None
    return max(0, row[1] - row[2]) if row and row[1] else None


def admit_bucket(tenant_id: int) -> None:
    """Refuse a bucket more than the tenant may have, in the transaction that inserts it.

    To be called behind ``buckets.bump``: that lets one transaction at a time create buckets, so what is counted here stays true.
    Raises TooManyBuckets, AccessDenied when the tenant is not active.
    """
    if tenant_id == INSTALLATION:
        return
    row = Tenant.select(Tenant.status, Tenant.max_buckets).where(_id == tenant_id).tuples().first()
    if row is None or row[0] != TENANT_ACTIVE:
        raise AccessDenied("The tenant is not active.")
    if row[1] and Bucket.select(fn.COUNT(Bucket.id)).where(Bucket.tenant_id == tenant_id).scalar() >= row[1]:
        raise TooManyBuckets("The tenant has as many buckets as its quota allows.")


def taken_by(bucket_id: int) -> Taken:
    """What a bucket takes of its tenant's quota, by its counters."""
    totals = counters.totals(bucket_id)
    is_marker = Version.is_marker == True  # noqa: E712 - a query
    markers = Version.select(fn.COUNT(Version.seq)).where((Version.bucket_id == bucket_id) & is_marker).scalar()
    return Taken(totals.bytes + totals.upload_bytes, totals.objects + totals.versions - markers)
