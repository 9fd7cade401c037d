"""Object versions: finding, writing and deleting them. Each write is one transaction; conditions are decided inside it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from peewee import JOIN

from shared.bucket_errors import NoSuchBucket
from shared.clock import now_ms
from shared.errors import AccessDenied, NoSuchKey, PreconditionFailed, S3Error
from shared.meta import content, quotas, shares
from shared.meta.content import Located, NewBlob, Rewrapped
from shared.meta.counters import Delta
from shared.meta.database import connection, repeated, transaction
from shared.meta.group import durably
from shared.meta.history import SHARED_COLUMNS, Key, Stored
from shared.meta.locks import lock_key
from shared.meta.models import INSTALLATION, NULL_VERSION, VERSIONING_ENABLED, VERSIONING_OFF, Blob, Bucket, Object, Version
from shared.meta.statement import P, Statement

# Raises unless the ETag of what is there (None: nothing) will do. A delete also says ``modified_ms`` and ``size``.
Condition = Callable[..., None]


class SourceGone(Exception):
    """The content to be copied was deleted between reading its row and sharing its bytes: read the row again."""


class Found(NamedTuple):
    """One version as a reader needs it. ``data``, ``codec``, ``algorithm`` and ``chunk`` are those of its whole blob, when it has one.

    ``headers_json`` to ``sse_json`` are JSON as the columns hold it.
    """

    seq: int
    version_id: str
    mtime_ms: int
    size: int
    etag: str
    owner_id: int
    storage_class: str | None
    headers_json: str | None
    metadata_json: str | None
    checksum_algorithm: str | None
    checksum: str | None
    parts_count: int | None
    blob_id: bytes | None
    wrapped_key: bytes | None
    key_version: int | None
    body_id: bytes | None
    tags_json: str | None
    acl_json: str | None
    lock_json: str | None
    sse_json: str | None
    is_marker: bool
    is_current: bool
    data: bytes | None = None
    codec: str | None = None
    algorithm: str | None = None
    chunk: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """System headers by name."""
        return json.loads(self.headers_json) if self.headers_json else {}

    @property
    def metadata(self) -> dict[str, str]:
        """User metadata by lower-case name."""
        return json.loads(self.metadata_json) if self.metadata_json else {}

    @property
    def stamp(self) -> tuple[int, int]:
        """What tells it from every other version of its key. ``seq`` alone comes again when a key is deleted and written anew."""
        return self.seq, self.mtime_ms

    @property
    def modified_s(self) -> int:
        """Last-Modified as HTTP shows it: whole seconds."""
        return self.mtime_ms // 1000

    def located(self, first: int, last: int) -> list[Located]:
        """Where bytes ``first``..``last`` (inclusive) are. Asks the database only when the bytes are not one whole blob.

        Raises SourceGone when the version was deleted since it was found.
        """
        if self.blob_id is not None:
            return [
                Located(
                    self.blob_id, first, last + 1 - first, self.size, self.codec, self.algorithm, self.chunk, self.data,
                    self.wrapped_key, self.key_version,
                )
            ]
        stretches = content.located(self.body_id, first, last) if self.body_id is not None else []
        if sum(stretch.length for stretch in stretches) != last + 1 - first:
            raise SourceGone
        return stretches


@dataclass
class NewVersion:
    """What is to be written under a key.

    Its content is one of: a new blob, a shared blob, a body (its parts in place, or to be shared), or nothing. ``tags`` to ``sse`` are
    JSON as the columns hold it.
    """

    key: bytes
    size: int
    etag: str
    owner_id: int
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    checksum_algorithm: str | None = None
    checksum: str | None = None
    parts_count: int | None = None
    new_blob: NewBlob | None = None
    shared_blob: bytes | None = None
    body_id: bytes | None = None
    shared_body: bytes | None = None
    wrapped_key: bytes | None = None
    key_version: int | None = None
    rewrapped: list[Rewrapped] = field(default_factory=list)        # of the segments of ``shared_body``, for the copy
    tags: str | None = None
    acl: str | None = None
    lock: str | None = None
    sse: str | None = None


class Written(NamedTuple):
    """What a write made. ``version_id`` is None unless versioning is enabled: nobody is told about the null version."""

    version_id: str | None
    mtime_ms: int


class Deleted(NamedTuple):
    """What a delete did: which version it removed or which delete marker it made. None for neither or where versioning was never on."""

    version_id: str | None
    is_marker: bool


_COLUMNS = SHARED_COLUMNS[SHARED_COLUMNS.index("seq"):]     # what follows bucket and key: the first fields of Found, in its order


def _reading(model: Any, is_marker: Any, is_current: bool, with_data: bool) -> Any:
    columns = [getattr(model, name) for name in _COLUMNS] + [is_marker, is_current]
    if with_data:
        columns += [Blob.data, Blob.codec, Blob.algorithm, Blob.chunk]
    query = model.select(*columns)
    if with_data:
        query = query.join(Blob, JOIN.LEFT_OUTER, on=Blob.id == model.blob_id)
    return query.where((model.bucket_id == P("bucket_id")) & (model.key == P("key")))


def _reading_newest(with_data: bool) -> Any:
    return _reading(Version, Version.is_marker, False, with_data).order_by(Version.seq).limit(1)


def _reading_named(with_data: bool) -> Any:
    """In both tables by one statement: between two, the version may move from one table to the other and be seen in neither."""
    wanted = P("version_id")
    return (
        _reading(Object, False, True, with_data).where(Object.version_id == wanted)
        .union_all(_reading(Version, Version.is_marker, False, with_data).where(Version.version_id == wanted))
    )


_current = {data: Statement(partial(_reading, Object, False, True, data)) for data in (True, False)}
_newest = {data: Statement(partial(_reading_newest, data)) for data in (True, False)}
_named = {data: Statement(partial(_reading_named, data)) for data in (True, False)}


def find(bucket_id: int, key: bytes, version_id: str | None = None, *, versioned: bool = True, with_data: bool = False) -> Found | None:
    """Find the newest version of a key, which may be a delete marker, or the one with this id; None when there is none.

    ``versioned`` False says that the bucket never had versioning, which saves a query for missing keys. ``with_data`` brings a small
    body along in the same query.
    """
    conn = connection()
    row = _current[with_data](conn, bucket_id=bucket_id, key=key).fetchone()
    if row and (version_id is None or row[1] == version_id):
        return Found(*row)
    if not versioned or (version_id is not None and "\0" in version_id):      # PostgreSQL's text cannot hold it
        return None
    if version_id is not None:
        row = _named[with_data](conn, bucket_id=bucket_id, key=key, version_id=version_id).fetchone()
    elif not row:
        row = _newest[with_data](conn, bucket_id=bucket_id, key=key).fetchone()
    return Found(*row) if row else None


_versioning = Statement(lambda: Bucket.select(Bucket.versioning, Bucket.tenant_id).where(Bucket.id == P("bucket_id")))


def open_key(conn: Any, bucket_id: int, key: bytes, bucket_name: str = "", *, bypass: bool = False) -> Key:
    """Take a key for writing, inside a transaction; ``bypass``: see Key. Raises NoSuchBucket when the bucket was deleted meanwhile."""
    lock_key(conn, bucket_id, key)
    row = _versioning(conn, bucket_id=bucket_id).fetchone()
    if row is None:
        raise NoSuchBucket(BucketName=bucket_name)
    return Key(conn, bucket_id, key, row[0], now_ms(), row[1], bypass)


@repeated
def put(bucket_id: int, new: NewVersion, condition: Condition | None = None) -> Written:
    """Make ``new`` the current version of its key, in one transaction.

    ``condition`` is called with the current ETag inside it, so conditional writes are atomic. Raises NoSuchBucket, what ``condition``
    raises, QuotaExceeded, and SourceGone when content to be shared has gone.
    """
    return durably(lambda conn: put_open(open_key(conn, bucket_id, new.key), new, condition))


def put_open(key: Key, new: NewVersion, condition: Condition | None, upload_bytes: int = 0) -> Written:
    """The part of ``put`` that follows once the key is taken. ``upload_bytes`` of parts become this version: they are not spent again."""
    current = key.current()
    if condition:
        condition(current.etag if current else None)
    _take_content(key, new)
    seq, delta = key.make_room(current)
    version_id = new_version_id() if key.versioning == VERSIONING_ENABLED else NULL_VERSION
    blob = new.new_blob
    keyed = blob if blob and blob.wrapped_key is not None else new
    key.write(
        {
            "seq": seq, "version_id": version_id, "mtime_ms": key.now_ms, "size": new.size, "etag": new.etag, "owner_id": new.owner_id,
            "storage_class": new.storage_class, "headers": _json(new.headers), "metadata": _json(new.metadata),
            "checksum_algorithm": new.checksum_algorithm, "checksum": new.checksum, "parts_count": new.parts_count,
            "blob_id": blob.id if blob else new.shared_blob, "wrapped_key": keyed.wrapped_key,
            "key_version": keyed.key_version, "body_id": new.body_id, "tags": new.tags, "acl": new.acl,
            "lock": new.lock, "sse": new.sse,
        },
        delta,
    )
    if key.versioning != VERSIONING_ENABLED and (current or key.versioning != VERSIONING_OFF):
        shares.forget_version(key.connection, key.bucket_id, key.key, NULL_VERSION)     # there is another one under that name now
    delta.upload_bytes -= upload_bytes
    quotas.record(key.connection, key.bucket_id, key.tenant_id, delta)
    return Written(version_id if key.versioning == VERSIONING_ENABLED else None, key.now_ms)


def _take_content(key: Key, new: NewVersion) -> None:
    """Record the content's references. First of all, so that a key copied onto itself never drops to none."""
    if new.new_blob:
        content.add_blob(key.connection, new.new_blob, key.now_ms)
    elif new.shared_blob:
        if not content.share_blob(key.connection, new.shared_blob):
            raise SourceGone
    elif new.shared_body and new.body_id:
        if not content.share_body(new.shared_body, new.body_id):
            raise SourceGone
        if new.rewrapped:
            content.rewrap(key.connection, new.body_id, new.rewrapped)


@repeated
def delete(
    bucket_id: int, key: bytes, version_id: str | None, owner_id: int, condition: Condition | None = None, *, bypass: bool = False
) -> Deleted:
    """Delete a key (or put a delete marker on it), or one version for good, in one transaction.

    Raises AccessDenied for what object lock protects (``bypass`` passes over GOVERNANCE), NoSuchBucket, what ``condition`` raises.
    """

    def work(conn: Any) -> Deleted:
        opened = open_key(conn, bucket_id, key, bypass=bypass)
        result, delta = delete_open(opened, version_id, owner_id, condition)
        quotas.record(conn, bucket_id, opened.tenant_id, delta)
        return result

    return durably(work)


def delete_open(key: Key, version_id: str | None, owner_id: int, condition: Condition | None) -> tuple[Deleted, Delta]:
    """The part of ``delete`` that follows once the key is taken. What it gives back is for the caller to record."""
    current = key.current()
    if condition:
        _check_deletion(key, current, version_id, condition)
    done = _delete_version(key, current, version_id) if version_id is not None else _delete_current(key, current, owner_id)
    replaced = NULL_VERSION if key.versioning != VERSIONING_ENABLED else None       # by its delete marker
    shares.forget_version(key.connection, key.bucket_id, key.key, version_id or replaced)
    return done


def _check_deletion(key: Key, current: Stored | None, version_id: str | None, condition: Condition) -> None:
    """The condition is about the version that is named, else about the current one."""
    meant = current
    if version_id is not None and not (current and current.version_id == version_id):
        meant = key.noncurrent(version_id)
    if meant is None or meant.is_marker:
        condition(None)
    else:
        condition(meant.etag, modified_ms=meant.mtime_ms, size=meant.size)


class Deletion(NamedTuple):
    """One wish of a batch: a key, or one version of it, what must hold for it, and whether it may pass over GOVERNANCE."""

    key: bytes
    version_id: str | None = None
    condition: Condition | None = None
    bypass: bool = False


DELETES_PER_TRANSACTION = 100   # so that other writers wait some 10 ms, not the whole batch


def delete_many(bucket_id: int, wanted: list[Deletion], owner_id: int) -> list[Deleted | S3Error]:
    """Delete a batch; returns what became of each, in its order. One that may not be deleted does not stop the others.

    Keys are taken in byte order, so that two batches on an engine with many writers cannot wait for each other.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index].key)
    outcomes: dict[int, Deleted | S3Error] = {}
    for start in range(0, len(order), DELETES_PER_TRANSACTION):
        chunk = order[start:start + DELETES_PER_TRANSACTION]
        outcomes.update(zip(chunk, _delete_some(bucket_id, [wanted[index] for index in chunk], owner_id), strict=True))
    return [outcomes[index] for index in range(len(wanted))]


@repeated
def _delete_some(bucket_id: int, wishes: list[Deletion], owner_id: int) -> list[Deleted | S3Error]:
    with transaction() as conn:
        for wish in wishes:     # all keys first: a writer of one of them may wait for what deleting another one locks
            lock_key(conn, bucket_id, wish.key)
        outcomes: list[Deleted | S3Error] = []
        tenant_id, gained = INSTALLATION, Delta()
        for wish in wishes:
            try:
                key = open_key(conn, bucket_id, wish.key, bypass=wish.bypass)
                deleted, delta = delete_open(key, wish.version_id, owner_id, wish.condition)
            except (AccessDenied, NoSuchBucket, NoSuchKey, PreconditionFailed) as refused:     # all raised before the key was touched
                outcomes.append(refused)
                continue
            outcomes.append(deleted)
            tenant_id, gained = key.tenant_id, gained + delta
        quotas.record(conn, bucket_id, tenant_id, gained)       # once, and last: who holds its rows must not wait for another key's
        return outcomes


def _delete_version(key: Key, current: Stored | None, version_id: str) -> tuple[Deleted, Delta]:
    if current and current.version_id == version_id:
        return Deleted(version_id, False), key.remove_current(current)
    if stored := key.noncurrent(version_id):
        return Deleted(version_id, stored.is_marker), key.remove_noncurrent(stored, current)
    return Deleted(version_id, False), Delta()


def _delete_current(key: Key, current: Stored | None, owner_id: int) -> tuple[Deleted, Delta]:
    if key.versioning == VERSIONING_OFF:
        return Deleted(None, False), key.remove_current(current) if current else Delta()
    version_id = new_version_id() if key.versioning == VERSIONING_ENABLED else NULL_VERSION
    return Deleted(version_id, True), key.mark_deleted(current, version_id, owner_id)


def new_version_id() -> str:
    """An opaque version id of 32 hexadecimal digits: the time and 80 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def _json(value: dict[str, str]) -> str | None:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else None
