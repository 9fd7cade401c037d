"""How much the buckets hold, for metrics and reports."""

from __future__ import annotations

from peewee import fn

from shared.meta.database import session
from shared.meta.models import Bucket, Counter

MAX_BUCKETS = 1000      # each is a label value of a metric, and Prometheus keeps every one it ever saw
OTHER = "_other"        # no bucket can be called so


def by_bucket(limit: int = MAX_BUCKETS) -> list[tuple[str, int, int]]:
    """(bucket, objects, bytes) of the ``limit`` largest buckets by bytes, and the sum of all others as OTHER."""
    objects, size = fn.SUM(Counter.objects), fn.SUM(Counter.bytes)
    query = (
        Bucket.select(Bucket.name, objects, size)
        .join(Counter, on=Counter.bucket_id == Bucket.id)
        .group_by(Bucket.id, Bucket.name)
        .order_by(size.desc(), Bucket.name)
        .limit(limit + 1)
        .tuples()
    )
    with session():
        rows = [(bytes(name).decode(), int(count), int(held)) for name, count, held in query]
        if len(rows) > limit:
            rows.pop()
            total = Counter.select(fn.SUM(Counter.objects), fn.SUM(Counter.bytes)).tuples().first()
            rows.append((OTHER, int(total[0]) - sum(row[1] for row in rows), int(total[1]) - sum(row[2] for row in rows)))
    return rows
