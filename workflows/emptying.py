"""Emptying a bucket, and deleting it: bounded pieces for the steps of workflows. Each effect may come twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from shared.bucket_errors import BucketNotEmpty, NoSuchBucket
from shared.errors import AccessDenied, Conflict, NoSuchUpload, S3Error
from shared.meta import buckets, objects, retention, uploads
from shared.meta.models import Object, Upload, Version
from shared.meta.objects import Deletion
from shared.meta.retention import Position

PAGE_VERSIONS = 100
PAGE_PARTS = 10_000     # of all versions of a step: one alone may have so many


class Piece(NamedTuple):
    """What is to be done next: ``number`` of ``what`` (uploads, versions, buckets) go when ``effect`` is called."""

    what: str
    number: int
    effect: Callable[[], None]


def next_piece(bucket_id: int, name: str) -> Piece:
    """Look what is left in a bucket: an upload, a page of versions, at last the bucket."""
    pending: Any = Upload.select(Upload.id).where(Upload.bucket_id == bucket_id).order_by(Upload.key).limit(1).tuples().first()
    if pending:
        return Piece("uploads", 1, partial(_abort, bytes(pending[0])))
    if page := versions(Version, bucket_id) or versions(Object, bucket_id):
        return Piece("versions", len(page), partial(_delete_versions, bucket_id, page))
    return Piece("buckets", 1, partial(_delete_bucket, bucket_id, name))


def versions(model: Any, bucket_id: int) -> list[Deletion]:
    """A page of a bucket's versions, the oldest of a key first: the others way round each would become current before it goes."""
    rows = (
        model.select(model.key, model.version_id, model.parts_count).where(model.bucket_id == bucket_id)
        .order_by(model.key.desc(), model.seq.desc()).limit(PAGE_VERSIONS).tuples()
    )
    page: list[Deletion] = []
    parts = 0
    for key, version_id, parts_count in rows:
        parts += parts_count or 0
        if page and parts > PAGE_PARTS:
            break
        page.append(Deletion(bytes(key), version_id))
    return page


def _abort(upload_id: bytes) -> None:
    with contextlib.suppress(NoSuchUpload):
        uploads.abort(upload_id)


def _delete_versions(bucket_id: int, page: list[Deletion]) -> None:
    for deletion, outcome in zip(page, objects.delete_many(bucket_id, page, owner_id=0), strict=True):
        if isinstance(outcome, AccessDenied):
            raise _locked(deletion.key, str(deletion.version_id))
        if isinstance(outcome, S3Error) and not isinstance(outcome, NoSuchBucket):
            raise outcome       # or this page would come again for ever


def refuse_locked(bucket_id: int, looked: Any = None) -> Any:
    """Raise Conflict when object lock protects a version in the bucket: before anything of it is gone. No bypass, whoever asks.

    Looks at so many locks as a step has time for; returns how far it has come, to be kept in the cursor and given as ``looked`` to the
    next step, or None when that was all.
    """
    found = retention.first_protected(bucket_id, Position(looked[0], bytes.fromhex(looked[1]), looked[2]) if looked else None)
    if isinstance(found, Position):
        return [found.table, found.key.hex(), found.seq]
    if found is not None:
        raise _locked(*found)
    return None


def _locked(key: bytes, version_id: str) -> Conflict:
    return Conflict(f"Object lock protects {key.decode()!r:.200}, version {version_id}: it cannot be deleted, nor can what it is in.")


def _delete_bucket(bucket_id: int, name: str) -> None:
    bucket = buckets.find(name)
    if bucket is not None and bucket.id == bucket_id:       # another one may have the name by now
        with contextlib.suppress(NoSuchBucket, BucketNotEmpty):     # not empty: somebody's write was under way, the next step finds it
            buckets.delete(bucket)
