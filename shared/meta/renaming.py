"""Renaming: the current object of a key gets another key of its bucket, in one transaction, and no byte moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from shared.errors import IdempotencyParameterMismatch, NoSuchKey
from shared.meta import content, objects, quotas
from shared.meta.database import repeated, transaction
from shared.meta.history import Key
from shared.meta.locks import lock_key
from shared.meta.models import FinishedUpload
from shared.meta.objects import Found, NewVersion, SourceGone, Written, delete_open, open_key, put_open


class Token(NamedTuple):
    """What a caller sends along to say that it is the same request again: 16 bytes of its own, and the SHA-256 of what is asked for."""

    id: bytes
    digest: bytes


Draft = Callable[[Found], NewVersion]
Check = Callable[[str | None, int], None]      # ETag and time (UTC milliseconds) of what has the new key already; None, 0 for nothing


@repeated
def rename(
    bucket_id: int, source: bytes, target: bytes, owner_id: int, *, draft: Draft, check: Check, token: Token | None = None
) -> Written | None:
    """Move the current object of ``source`` to ``target``, where it replaces what is there as any write does.

    ``draft`` makes the columns of the new version from the row as it stands in the transaction, without its content; ``check`` decides
    whether the destination will do. Both may raise. With versioning the old key gets a delete marker of ``owner_id`` and keeps its history.
    Does nothing and returns None when a rename with this ``token`` was made before. Raises NoSuchKey when there is no source, NoSuchBucket,
    QuotaExceeded, AccessDenied for what object lock protects, IdempotencyParameterMismatch.
    """
    with transaction() as conn:
        for key in sorted((source, target)):
            lock_key(conn, bucket_id, key)
        if token is not None and _was_made(token):
            return None
        old, new = open_key(conn, bucket_id, source), open_key(conn, bucket_id, target)
        found = objects.find(bucket_id, source)
        if found is None or found.is_marker:
            raise NoSuchKey(Key=source.decode())
        there = new.current()
        check(there.etag if there else None, there.mtime_ms if there else 0)
        version = draft(found)
        _hold(conn, found, version)
        _, delta = delete_open(old, None, owner_id, None)       # first: who has used up their quota may still rename
        quotas.record(conn, bucket_id, old.tenant_id, delta)
        written = put_open(new, version, None)
        _let_go(conn, found, new)
        if token is not None:
            _note(token, new)
        return written


def _was_made(token: Token) -> bool:
    row = FinishedUpload.select(FinishedUpload.parts_digest).where(FinishedUpload.id == token.id).tuples().first()
    if row is not None and bytes(row[0]) != token.digest:
        raise IdempotencyParameterMismatch
    return row is not None


def _note(token: Token, key: Key) -> None:
    """Two requests of one token for different keys do not wait for each other: the first is remembered."""
    row = {"id": token.id, "bucket_id": key.bucket_id, "key": key.key, "parts_digest": token.digest, "reply": "{}"}
    FinishedUpload.insert(finished_ms=key.now_ms, **row).on_conflict_ignore().execute()


def _hold(conn: Any, found: Found, version: NewVersion) -> None:
    """Give the new version the content, while the old one still holds it."""
    if found.blob_id is not None:
        version.shared_blob, version.wrapped_key, version.key_version = found.blob_id, found.wrapped_key, found.key_version
        if not content.share_blob(conn, found.blob_id):
            raise SourceGone
    elif found.body_id is not None and version.body_id is not None and not content.share_body(found.body_id, version.body_id):
        raise SourceGone


def _let_go(conn: Any, found: Found, key: Key) -> None:
    """Drop the reference that kept a blob from going with the old version."""
    if found.blob_id is not None:
        content.release_blob(conn, found.blob_id, key.now_ms)
