"""What each bucket holds: exact counters, changed in the transaction that changes the bucket."""

from __future__ import annotations

import operator
import threading
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

from peewee import fn

from shared.meta.database import is_sqlite
from shared.meta.models import COUNTER_SHARDS, Counter
from shared.meta.statement import P, Statement


class Totals(NamedTuple):
    """What a bucket holds. ``bytes`` counts every version, current or not; ``upload_bytes`` the parts of unfinished uploads."""

    objects: int
    versions: int
    bytes: int
    upload_bytes: int


@dataclass
class Delta:
    """What a change added to a bucket's counters (see Totals); negative for what it took away.

    ``markers`` are the delete markers among ``versions``: no counter of a bucket, but they take nothing of a tenant's quota.
    """

    objects: int = 0
    versions: int = 0
    bytes: int = 0
    upload_bytes: int = 0
    markers: int = 0

    def __add__(self, other: Delta) -> Delta:
        """Both changes as one."""
        return Delta(*map(operator.add, astuple(self), astuple(other)))


_add = Statement(
    lambda: Counter.update(
        {
            Counter.objects: Counter.objects + P("objects"), Counter.versions: Counter.versions + P("versions"),
            Counter.bytes: Counter.bytes + P("bytes"), Counter.upload_bytes: Counter.upload_bytes + P("upload_bytes"),
        }
    ).where((Counter.bucket_id == P("bucket_id")) & (Counter.shard == P("shard")))
)


def shards() -> int:
    """How many rows share a bucket's counters: one where a single writer is the rule."""
    return 1 if is_sqlite() else COUNTER_SHARDS


def open_counters(bucket_id: int) -> None:
    """Create the rows of a new bucket."""
    Counter.insert_many([{"bucket_id": bucket_id, "shard": shard} for shard in range(shards())]).execute()


def add(connection: Any, bucket_id: int, delta: Delta) -> None:
    """Add a change to the bucket's counters."""
    if delta != Delta():
        _add(
            connection, bucket_id=bucket_id, shard=threading.get_native_id() % shards(), objects=delta.objects, versions=delta.versions,
            bytes=delta.bytes, upload_bytes=delta.upload_bytes,
        )


def totals(bucket_id: int) -> Totals:
    """What the bucket holds now."""
    sums = [fn.COALESCE(fn.SUM(column), 0) for column in (Counter.objects, Counter.versions, Counter.bytes, Counter.upload_bytes)]
    row = Counter.select(*sums).where(Counter.bucket_id == bucket_id).tuples().first()
    return Totals(*map(int, row))
