"""Delete a bucket with all it holds."""

from __future__ import annotations

from typing import Any

from peewee import fn

from shared.errors import Conflict
from shared.meta import counters
from shared.meta.models import Bucket, Upload
from workflows.emptying import next_piece, refuse_locked
from workflows.registry import Next, Run, workflow

COUNTED = ("uploads", "versions", "buckets")
MOST_TRIES = 10         # to delete the emptied bucket before a writer who does not stop wins


@workflow("delete_bucket", lease_s=120, retries=10)
def delete_bucket(run: Run) -> Next | None:
    """Delete a bucket for good: its unfinished uploads, its versions and delete markers, then itself.

    Takes {"bucket": id}, and "tenant" for who asks how far it is. First it looks for locked versions. Then each step looks what is left
    and removes a page of it, in the transaction that stores the cursor; so from then on the cursor only counts. The bucket is in use until
    it is gone: what is written meanwhile goes too. Raises Conflict when object lock protects one of its versions, and when it was found
    written to again MOST_TRIES times after it had been emptied.
    """
    bucket_id = run.input.get("bucket")
    if isinstance(bucket_id, bool) or not isinstance(bucket_id, int):
        raise ValueError(f"bucket must be the id of a bucket, not {bucket_id!r}")
    row: Any = Bucket.select(Bucket.name).where(Bucket.id == bucket_id).tuples().first()
    if row is None:
        return None
    name: str = bytes(row[0]).decode()
    cursor: dict[str, Any] = run.cursor or dict.fromkeys(COUNTED, 0) | {"total": _size(bucket_id)}
    if (run.cursor is None or cursor.get("looked")) and (looked := refuse_locked(bucket_id, cursor.get("looked"))):
        return Next(cursor | {"looked": looked}, 0, cursor["total"], f"{name}: looking for versions that object lock protects")
    cursor = cursor | {"looked": None}
    if cursor["buckets"] >= MOST_TRIES:
        raise Conflict(f"The bucket {name} was written to again each time it had been emptied.")
    piece = next_piece(bucket_id, name)
    cursor = cursor | {piece.what: cursor[piece.what] + piece.number}
    done = sum(cursor[one] for one in COUNTED)
    message = f"{name}: {cursor['uploads']} uploads, {cursor['versions']} versions deleted"
    return Next(cursor, done, max(done, cursor["total"]), message, piece.effect)


def _size(bucket_id: int) -> int:
    """How many things there are to remove, versions by the counters."""
    totals = counters.totals(bucket_id)
    pending = Upload.select(fn.COUNT(Upload.id)).where(Upload.bucket_id == bucket_id).scalar()
    return totals.objects + totals.versions + int(pending) + 1
