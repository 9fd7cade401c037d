"""The envelopes of data keys where they stand: read page by page, and replaced when nobody else did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.meta import content
from shared.meta.content import Rewrapped, SegmentKey
from shared.meta.database import connection
from shared.meta.models import Object, Upload, Version

TABLES: dict[str, Any] = {"object": Object, "version": Version}


class Place(NamedTuple):
    """Where a version stands: bucket id, key, seq."""

    bucket_id: int
    key: bytes
    seq: int


class VersionKeys(NamedTuple):
    """A version: the envelope in its own row, or the body whose segments have them."""

    place: Place
    blob_id: bytes | None
    wrapped_key: bytes | None
    key_version: int | None
    body_id: bytes | None
    sse: str | None


def versions(table: str, after: Place | None, limit: int) -> list[VersionKeys]:
    """Versions of a table in order of their place, from behind ``after``, whether they are encrypted or not."""
    model = TABLES[table]
    query = model.select(
        model.bucket_id, model.key, model.seq, model.blob_id, model.wrapped_key, model.key_version, model.body_id, model.sse,
    )
    if after is not None:
        bucket_id, key, seq = after
        within = (model.key > key) | ((model.key == key) & (model.seq > seq))
        query = query.where((model.bucket_id >= bucket_id) & ((model.bucket_id > bucket_id) | within))
    rows = query.order_by(model.bucket_id, model.key, model.seq).limit(limit).tuples()
    return [
        VersionKeys(Place(bucket_id, bytes(key), seq), _bytes(blob_id), _bytes(wrapped), version, _bytes(body_id), sse)
        for bucket_id, key, seq, blob_id, wrapped, version, body_id, sse in rows
    ]


def uploads(after: bytes, limit: int) -> list[tuple[bytes, str | None]]:
    """Ids of unfinished uploads, from behind ``after``, and how their parts are encrypted."""
    query = Upload.select(Upload.id, Upload.sse).where(Upload.id > after).order_by(Upload.id).limit(limit)
    return [(bytes(upload_id), sse) for upload_id, sse in query.tuples()]


def segments(body_id: bytes) -> list[SegmentKey]:
    """The envelopes of a body's segments."""
    return [key for key in content.segment_keys(body_id) if key.wrapped_key is not None]


def replace(table: str, row: VersionKeys, wrapped_key: bytes, key_version: int | None) -> bool:
    """Replace the envelope of a version, in the caller's transaction; False when it changed or went meanwhile."""
    model = TABLES[table]
    here = (model.bucket_id == row.place.bucket_id) & (model.key == row.place.key) & (model.seq == row.place.seq)
    same = (model.wrapped_key == row.wrapped_key) & (model.blob_id == row.blob_id)
    return bool(model.update(wrapped_key=wrapped_key, key_version=key_version).where(here & same).execute())


def replace_segments(body_id: bytes, keys: Sequence[Rewrapped]) -> None:
    """Replace envelopes of a body's segments, in the caller's transaction."""
    content.rewrap(connection(), body_id, keys)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
