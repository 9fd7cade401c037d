"""Configurations of buckets that are documents of their own: written in one transaction that every process notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from shared.bucket_errors import NoSuchBucket
from shared.errors import S3Error
from shared.meta.buckets import BucketInfo, bump
from shared.meta.database import transaction
from shared.meta.locks import lock_bucket
from shared.meta.models import Bucket, BucketConfiguration


def find(bucket_id: int, kind: str, name: str = "") -> dict[str, Any] | None:
    """One configuration as it was put; None for none."""
    row = BucketConfiguration.select(BucketConfiguration.document).where(_one(bucket_id, kind, name)).tuples().first()
    return json.loads(row[0]) if row else None


def single(bucket_id: int) -> tuple[dict[str, dict[str, Any]], int]:
    """The configurations of a bucket that there is one of, by kind; and how many characters they have together."""
    mine = (BucketConfiguration.bucket_id == bucket_id) & (BucketConfiguration.name == "")
    rows = BucketConfiguration.select(BucketConfiguration.kind, BucketConfiguration.document).where(mine).tuples()
    texts: dict[str, str] = dict(rows)
    return {kind: json.loads(text) for kind, text in texts.items()}, sum(map(len, texts.values()))


def page(bucket_id: int, kind: str, after: str, limit: int) -> list[dict[str, Any]]:
    """The configurations of a kind in order of name, from behind ``after``."""
    mine = (BucketConfiguration.bucket_id == bucket_id) & (BucketConfiguration.kind == kind) & (BucketConfiguration.name > after)
    rows = BucketConfiguration.select(BucketConfiguration.document).where(mine).order_by(BucketConfiguration.name).limit(limit)
    return [json.loads(document) for (document,) in rows.tuples()]


def put(
    bucket: BucketInfo, kind: str, document: dict[str, Any], name: str = "", *, most: int = 0, full: type[S3Error] | None = None,
    check: Callable[[BucketInfo], None] | None = None,
) -> None:
    """Replace a configuration. With ``most`` a bucket has that many of the kind and ``full`` is raised for one more.

    ``check`` gets the bucket as it is inside the transaction, and may raise. Raises NoSuchBucket.
    """
    with transaction() as conn:
        _take(conn, bucket, check)
        if most and full and find(bucket.id, kind, name) is None and _count(bucket.id, kind) >= most:
            raise full
        values = {"bucket_id": bucket.id, "kind": kind, "name": name, "document": json.dumps(document)}
        target = [BucketConfiguration.bucket_id, BucketConfiguration.kind, BucketConfiguration.name]
        BucketConfiguration.insert(values).on_conflict(conflict_target=target, update={"document": values["document"]}).execute()


def delete(bucket: BucketInfo, kind: str, name: str = "") -> bool:
    """Remove a configuration; whether there was one. Raises NoSuchBucket."""
    with transaction() as conn:
        _take(conn, bucket, None)
        return bool(BucketConfiguration.delete().where(_one(bucket.id, kind, name)).execute())


def _one(bucket_id: int, kind: str, name: str) -> Any:
    mine = (BucketConfiguration.bucket_id == bucket_id) & (BucketConfiguration.kind == kind)
    return mine & (BucketConfiguration.name == name)


def _count(bucket_id: int, kind: str) -> int:
    mine = (BucketConfiguration.bucket_id == bucket_id) & (BucketConfiguration.kind == kind)
    return int(BucketConfiguration.select().where(mine).count())


def _take(conn: Any, bucket: BucketInfo, check: Callable[[BucketInfo], None] | None) -> None:
    """Lock the bucket for a change. All processes drop what they know of it."""
    bump(conn)
    lock_bucket(conn, bucket.id, shared=False)
    row = Bucket.select(*[getattr(Bucket, name) for name in BucketInfo._fields]).where(Bucket.id == bucket.id).tuples().first()
    if row is None:
        raise NoSuchBucket(BucketName=bucket.name)
    if check:
        check(BucketInfo(row[0], bytes(row[1]).decode(), *row[2:]))
    Bucket.update(revision=Bucket.revision + 1).where(Bucket.id == bucket.id).execute()
