"""Locks that writers on PostgreSQL hold until their transaction ends. SQLite has one writer anyway, so there they do nothing.

They live in PostgreSQL's lock table, on hashes of names: there may be no row to lock (a conditional create), two names that share a hash
merely wait for each other, and who wants a bucket alone is not overtaken for ever by those who share it, as with FOR SHARE.
"""

from __future__ import annotations

from typing import Any

from shared.meta.database import is_sqlite

_LOCK = "pg_advisory_xact_lock{}(hashtextextended(%s, %s))"
_TAKE = {shared: f"SELECT {_LOCK.format('_shared' if shared else '')}" for shared in (True, False)}
_TAKE_BUCKET_OF_UPLOAD = "SELECT pg_advisory_xact_lock_shared(hashtextextended('bucket', bucket_id)) FROM upload WHERE id = %s"
_TAKE_KEY = f"SELECT {_LOCK.format('_shared')}, {_LOCK.format('')}"


def lock_key(connection: Any, bucket_id: int, key: bytes) -> None:
    """Serialise the writers of one key until the end of the transaction, and hold off those who change or delete its bucket.

    Read what must be fresh in statements after this one.
    """
    if not is_sqlite():
        connection.execute(_TAKE_KEY, ("bucket", bucket_id, key.hex(), bucket_id))


def lock_bucket(connection: Any, bucket_id: int, *, shared: bool) -> None:
    """Keep a bucket as it is (``shared``), or have it alone, until the end of the transaction."""
    if not is_sqlite():
        connection.execute(_TAKE[shared], ("bucket", bucket_id))


def lock_bucket_of_upload(connection: Any, upload_id: bytes) -> None:
    """Keep the bucket that an upload is in as it is, until the end of the transaction. Takes nothing when there is no such upload."""
    if not is_sqlite():
        connection.execute(_TAKE_BUCKET_OF_UPLOAD, (upload_id,))


def lock_usage(connection: Any, tenant_id: int) -> None:
    """Let one transaction at a time repair what a tenant uses. Those who spend do not take it."""
    if not is_sqlite():
        connection.execute(_TAKE[False], ("usage", tenant_id))


def lock_upload(connection: Any, upload_id: bytes, part_number: int = 0, *, shared: bool = False) -> None:
    """Keep an upload as it is (``shared``), or have it, or one of its parts, alone until the end of the transaction."""
    if not is_sqlite():
        connection.execute(_TAKE[shared], (f"upload {upload_id.hex()}", part_number))


def lock_search(connection: Any) -> None:
    """Let one transaction at a time bring the index of objects forward: an older reader must not write last."""
    if not is_sqlite():
        connection.execute(_TAKE[False], ("search", 0))
