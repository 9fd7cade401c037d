"""Tags and ACL of a stored version: replaced in place. Its time, its ETag and its place in history stay as they are."""

from __future__ import annotations

from typing import Any

from shared.errors import NoSuchKey
from shared.meta.database import repeated
from shared.meta.group import durably
from shared.meta.models import Object, Version
from shared.meta.objects import Found, open_key


@repeated
def replace(bucket_id: int, key: bytes, found: Found, **columns: str | None) -> None:
    """Write ``tags`` or ``acl`` (JSON as the columns hold it) of the version that was found, wherever it stands by now, in one transaction.

    Raises NoSuchKey when it was deleted or overwritten meanwhile, NoSuchBucket.
    """

    def work(conn: Any) -> None:
        open_key(conn, bucket_id, key)
        for model in (Object, Version):
            here = (model.bucket_id == bucket_id) & (model.key == key) & (model.seq == found.seq) & (model.version_id == found.version_id)
            if model.update(**columns).where(here).execute():
                return
        raise NoSuchKey(Key=key.decode())

    durably(work)
