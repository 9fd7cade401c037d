"""Tags, ACL and lock of a stored version: replaced in place. Its time, its ETag and its place in history stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.clock import surely_ms
from shared.errors import NoSuchKey
from shared.meta.database import repeated
from shared.meta.group import durably
from shared.meta.models import Object, Version
from shared.meta.objects import Found, open_key
from shared.meta.retention import Lock, load


@repeated
def replace(bucket_id: int, key: bytes, found: Found, **columns: str | None) -> None:
    """Write ``tags`` or ``acl`` (JSON as the columns hold it) of the version that was found, wherever it stands by now, in one transaction.

    Raises NoSuchKey when it was deleted or overwritten meanwhile, NoSuchBucket.
    """

    def work(conn: Any) -> None:
        open_key(conn, bucket_id, key)
        for model in (Object, Version):
            here = _place(model, bucket_id, key, found)
            if model.update(**columns).where(here).execute():
                return
        raise NoSuchKey(Key=key.decode())

    durably(work)


@repeated
def relock(bucket_id: int, key: bytes, found: Found, change: Callable[[Lock, int], Lock]) -> None:
    """Replace the lock of the version that was found by what ``change`` makes of it and surely_ms(), in one transaction.

    ``change`` decides about the lock as it stands there, and may raise. Raises NoSuchKey when the version was deleted or overwritten
    meanwhile, NoSuchBucket.
    """

    def work(conn: Any) -> None:
        open_key(conn, bucket_id, key)
        for model in (Object, Version):
            here = _place(model, bucket_id, key, found)
            if (row := model.select(model.lock).where(here).tuples().first()) is not None:
                model.update(lock=change(load(row[0]), surely_ms()).dump()).where(here).execute()
                return
        raise NoSuchKey(Key=key.decode())

    durably(work)


def _place(model: Any, bucket_id: int, key: bytes, found: Found) -> Any:
    """Where the version that was found is, and no other one that has its place by now."""
    same = (model.seq == found.seq) & (model.mtime_ms == found.mtime_ms) & (model.version_id == found.version_id)
    return (model.bucket_id == bucket_id) & (model.key == key) & same
