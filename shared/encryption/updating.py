"""A version that is there gets another kind of encryption: new envelopes and a new word in its row, in one transaction."""

from __future__ import annotations

from typing import Any

from shared.blobs.engine import new_blob_id
from shared.encryption.copying import Transfer, rewrapped
from shared.encryption.envelope import Envelope
from shared.errors import AccessDenied, NoSuchKey
from shared.meta import content, retention
from shared.meta.database import repeated
from shared.meta.group import durably
from shared.meta.models import Object, Version
from shared.meta.objects import Found, open_key

LOCKED = "The encryption type for the specified object can't be updated because that object is protected by S3 Object Lock."


def update(bucket_id: int, key: bytes, found: Found, source: Envelope, target: Envelope) -> None:
    """Encrypt the version that was found as ``target`` says, wherever it stands by now.

    Raises NoSuchKey when it was deleted or overwritten meanwhile, AccessDenied while it is locked, BlobCorrupt for an envelope that does
    not open.
    """
    moved = Transfer(source, target)
    assert target.sse is not None
    columns: dict[str, Any] = {"sse": target.sse.dump()}
    segments = []
    if found.blob_id is not None and found.algorithm is not None:
        made = rewrapped(moved, found.blob_id, found.wrapped_key, found.key_version)
        columns |= {"wrapped_key": made.key, "key_version": made.version}
    elif found.body_id is not None:
        segments = [
            content.Rewrapped(one.part_number, one.position, *rewrapped(moved, one.blob_id, one.wrapped_key, one.key_version))
            for one in content.segment_keys(found.body_id) if one.algorithm is not None
        ]
        columns["body_id"] = new_blob_id()      # who has read the row of before finds no parts, rather than envelopes that do not open
    _write(bucket_id, key, found, columns, segments)


@repeated
def _write(bucket_id: int, key: bytes, found: Found, columns: dict[str, Any], segments: list[content.Rewrapped]) -> None:
    def work(conn: Any) -> None:
        opened = open_key(conn, bucket_id, key)
        for model in (Object, Version):
            here = (model.bucket_id == bucket_id) & (model.key == key) & (model.seq == found.seq) & (model.version_id == found.version_id)
            # An object that was deleted and written again may have all of that in common with the one that was found.
            here &= (model.blob_id == found.blob_id) & (model.body_id == found.body_id)
            row = model.select(model.lock, model.sse).where(here).tuples().first()
            if row is None:
                continue
            if row[0] is not None and retention.load(row[0]).protects(opened.now_ms):
                raise AccessDenied(LOCKED)
            if row[1] != found.sse_json:        # somebody else updated it meanwhile
                raise NoSuchKey(Key=key.decode())
            model.update(**columns).where(here).execute()
            if found.body_id is not None:
                content.rename_body(found.body_id, columns["body_id"])
                content.rewrap(conn, columns["body_id"], segments)
            return
        raise NoSuchKey(Key=key.decode())

    durably(work)
