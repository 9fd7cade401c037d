"""Buckets as the console lists them: of one tenant or of all, with what they hold and who owns them."""

from __future__ import annotations

from typing import NamedTuple

from peewee import fn

from shared.meta.buckets import BucketInfo
from shared.meta.listing import after_prefix
from shared.meta.models import Bucket, Counter

_COLUMNS = tuple(getattr(Bucket, name) for name in BucketInfo._fields)


class Holds(NamedTuple):
    """What a bucket holds: current objects, other versions with delete markers, and the bytes of all."""

    objects: int = 0
    versions: int = 0
    bytes: int = 0


def page(tenant_id: int | None, prefix: str, after: str, limit: int) -> list[BucketInfo]:
    """Buckets in name order from behind ``after``; those of one tenant, or all for None."""
    query = Bucket.select(*_COLUMNS).where(Bucket.name > after.encode())
    if tenant_id is not None:
        query = query.where(Bucket.tenant_id == tenant_id)
    if prefix:
        query = query.where((Bucket.name >= prefix.encode()) & (Bucket.name < after_prefix(prefix.encode())))
    rows = query.order_by(Bucket.name).limit(limit).tuples()
    return [BucketInfo(row[0], bytes(row[1]).decode(), *row[2:]) for row in rows]


def held(bucket_ids: list[int]) -> dict[int, Holds]:
    """Bucket id → what it holds, in one query."""
    sums = [fn.SUM(getattr(Counter, name)) for name in Holds._fields]
    query = Counter.select(Counter.bucket_id, *sums).where(Counter.bucket_id << bucket_ids).group_by(Counter.bucket_id).tuples()
    return {row[0]: Holds(*(int(one) for one in row[1:])) for row in query} if bucket_ids else {}
