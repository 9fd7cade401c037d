"""Multipart uploads: parts arrive, are listed, replaced, and at the end become the body of a version without moving a byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from shared.bucket_errors import NoSuchBucket
from shared.clock import now_ms
from shared.errors import InvalidPartNumber, NoSuchUpload
from shared.meta import content, locks, objects, quotas
from shared.meta.content import Located, NewBlob
from shared.meta.counters import Delta
from shared.meta.database import is_sqlite, repeated, transaction
from shared.meta.models import INSTALLATION, Bucket, FinishedUpload, Part, Upload
from shared.meta.objects import Condition, NewVersion, Written, open_key
from shared.meta.statement import P, Statement


class UploadInfo(NamedTuple):
    """A multipart upload under way. ``tags`` to ``sse`` are those the object will have, as JSON."""

    id: bytes
    bucket_id: int
    key: bytes
    owner_id: int
    initiated_ms: int
    storage_class: str | None
    headers: dict[str, str]
    metadata: dict[str, str]
    checksum_algorithm: str | None
    checksum_type: str | None
    tags: str | None = None
    acl: str | None = None
    lock: str | None = None
    sse: str | None = None


class PartInfo(NamedTuple):
    """A part: ``checksum`` is base64, ``start`` its first byte in the completed object (None before)."""

    number: int
    size: int
    etag: str
    mtime_ms: int
    checksum_algorithm: str | None
    checksum: str | None
    start: int | None


class Assembly(NamedTuple):
    """What a completed upload is made of: part numbers in order, and the whole's size, ETag and checksum."""

    numbers: list[int]
    size: int
    etag: str
    checksum_algorithm: str | None
    checksum: str | None


class Finished(NamedTuple):
    """What an upload completed as: now (``reply`` as built by the caller) or by an earlier identical request."""

    reply: dict[str, Any]
    repeated: bool


_UPLOAD = (
    Upload.id, Upload.bucket_id, Upload.key, Upload.owner_id, Upload.initiated_ms, Upload.storage_class, Upload.headers, Upload.metadata,
    Upload.checksum_algorithm, Upload.checksum_type, Upload.tags, Upload.acl, Upload.lock, Upload.sse,
)
_tenant = Statement(
    lambda: Bucket.select(Bucket.tenant_id).join(Upload, on=Upload.bucket_id == Bucket.id).where(Upload.id == P("upload_id"))
)
_PART = (Part.number, Part.size, Part.etag, Part.mtime_ms, Part.checksum_algorithm, Part.checksum, Part.start)


def create(upload: UploadInfo) -> None:
    """Begin an upload. Raises NoSuchBucket when the bucket is gone."""
    with transaction() as conn:
        locks.lock_bucket(conn, upload.bucket_id, shared=True)
        if not Bucket.select(Bucket.id).where(Bucket.id == upload.bucket_id).tuples().first():
            raise NoSuchBucket
        row = upload._asdict() | {"headers": json.dumps(upload.headers), "metadata": json.dumps(upload.metadata)}
        Upload.insert(row).execute()


def find(upload_id: bytes, bucket_id: int, key: bytes) -> UploadInfo:
    """Find an upload by its id; bucket and key must be its own. Raises NoSuchUpload."""
    return _find(Upload.select(*_UPLOAD).where((Upload.id == upload_id) & (Upload.bucket_id == bucket_id) & (Upload.key == key)))


def _find(query: Any) -> UploadInfo:
    row = query.tuples().first()
    if row is None:
        raise NoSuchUpload
    return _info(row)


def _info(row: Any) -> UploadInfo:
    upload_id, bucket_id, key, owner_id, initiated_ms, storage_class, headers, metadata, algorithm, kind, *described = row
    return UploadInfo(
        bytes(upload_id), bucket_id, bytes(key), owner_id, initiated_ms, storage_class, json.loads(headers or "{}"),
        json.loads(metadata or "{}"), algorithm, kind, *described,
    )


def _take(conn: Any, upload_id: bytes, exclusive: bool) -> UploadInfo:
    """Take an upload for a change, inside a transaction. Completing and aborting exclude everything else; parts exclude only those."""
    locks.lock_upload(conn, upload_id, shared=not exclusive)
    return _find(Upload.select(*_UPLOAD).where(Upload.id == upload_id))


def _tenant_of(conn: Any, upload_id: bytes) -> int | None:
    """The tenant whose bucket an upload is in; the bucket stays as it is, and stays its, until the end of the transaction.

    None when the bucket is gone: then nobody's usage has these bytes. To be called first: a bucket is locked before what is in it.
    """
    locks.lock_bucket_of_upload(conn, upload_id)
    row = _tenant(conn, upload_id=upload_id).fetchone()
    return row[0] if row else None


def put_part(upload_id: bytes, part: PartInfo, new_blob: NewBlob | None, shared: Iterable[Located] = ()) -> None:
    """Add a part, or replace the one with its number. Its bytes are a new blob, or stretches of blobs shared with other objects.

    Raises NoSuchUpload when the upload was completed or aborted meanwhile, or its bucket deleted, QuotaExceeded, and objects.SourceGone
    when shared bytes have gone.
    """
    _put_part(upload_id, part, new_blob, list(shared))


@repeated
def _put_part(upload_id: bytes, part: PartInfo, new_blob: NewBlob | None, stretches: list[Located]) -> None:
    with transaction() as conn:
        tenant_id = _tenant_of(conn, upload_id)
        if tenant_id is None:
            raise NoSuchUpload
        upload = _take(conn, upload_id, exclusive=False)
        locks.lock_upload(conn, upload_id, part.number)
        if new_blob:
            content.add_blob(conn, new_blob, part.mtime_ms)
            stretches = [Located(new_blob.id, 0, part.size, part.size, None, None, None, None, new_blob.wrapped_key, new_blob.key_version)]
        elif not all(content.share_blob(conn, stretch.blob_id) for stretch in stretches):
            raise objects.SourceGone
        older = Part.select(Part.size).where((Part.body_id == upload_id) & (Part.number == part.number)).tuples().first()
        if older:
            content.release_body(upload_id, part.mtime_ms, [part.number])
        Part.insert(body_id=upload_id, **part._asdict()).execute()
        content.add_segments(upload_id, part.number, stretches)
        delta = Delta(upload_bytes=part.size - (older[0] if older else 0))
        quotas.record(conn, upload.bucket_id, tenant_id, delta)


def parts(upload_id: bytes, after: int = 0, limit: int = 10_001) -> list[PartInfo]:
    """The parts of an upload or of a completed body in number order, from behind number ``after``."""
    query = Part.select(*_PART).where((Part.body_id == upload_id) & (Part.number > after)).order_by(Part.number).limit(limit)
    return [PartInfo(*row) for row in query.tuples()]


def nth_part(body_id: bytes, n: int) -> PartInfo:
    """The ``n``-th part (from 1) of a completed body; part numbers may have gaps. Raises InvalidPartNumber."""
    row = Part.select(*_PART).where(Part.body_id == body_id).order_by(Part.number).limit(1).offset(n - 1).tuples().first()
    if row is None:
        raise InvalidPartNumber
    return PartInfo(*row)


def _as_it_is(lock: str | None) -> str | None:
    return lock


@repeated
def complete(
    upload_id: bytes,
    bucket_id: int,
    key: bytes,
    parts_digest: bytes,
    *,
    assemble: Callable[[UploadInfo, list[PartInfo]], Assembly],
    reply: Callable[[Assembly, Written], dict[str, Any]],
    condition: Condition | None = None,
    lock: Callable[[str | None], str | None] = _as_it_is,
) -> Finished:
    """Turn an upload into the current version of its key, in one transaction; or repeat the reply of the same Complete before.

    ``parts_digest`` identifies the request: an upload that is gone is answered again only to the same part list.
    ``assemble`` chooses and checks the parts, ``reply`` builds what is answered and kept, ``lock`` makes the object's lock of what the
    upload was begun with; all are called inside the transaction.
    Raises NoSuchUpload, QuotaExceeded, and what ``assemble`` and ``condition`` raise.
    """
    with transaction() as conn:
        target = open_key(conn, bucket_id, key)
        try:
            upload = _take(conn, upload_id, exclusive=True)
            if (upload.bucket_id, upload.key) != (bucket_id, key):
                raise NoSuchUpload
        except NoSuchUpload:
            return _finished_before(upload_id, bucket_id, key, parts_digest)
        stored = parts(upload_id)
        assembly = assemble(upload, stored)
        _keep_parts(conn, upload_id, stored, assembly, target.now_ms)
        Upload.delete().where(Upload.id == upload_id).execute()
        new = _version_of(upload._replace(lock=lock(upload.lock)), assembly)
        written = objects.put_open(target, new, condition, sum(part.size for part in stored))
        answer = reply(assembly, written)
        FinishedUpload.insert(
            id=upload_id, bucket_id=bucket_id, key=key, parts_digest=parts_digest, reply=json.dumps(answer), finished_ms=target.now_ms
        ).execute()
        return Finished(answer, repeated=False)


def _version_of(upload: UploadInfo, assembly: Assembly) -> NewVersion:
    return NewVersion(
        key=upload.key, size=assembly.size, etag=assembly.etag, owner_id=upload.owner_id, headers=upload.headers, metadata=upload.metadata,
        storage_class=upload.storage_class, checksum_algorithm=assembly.checksum_algorithm, checksum=assembly.checksum,
        parts_count=len(assembly.numbers), body_id=upload.id, tags=upload.tags, acl=upload.acl,
        lock=upload.lock, sse=upload.sse,
    )


def _keep_parts(conn: Any, upload_id: bytes, stored: list[PartInfo], assembly: Assembly, at_ms: int) -> None:
    """Give the chosen parts their place in the whole and drop the others."""
    chosen = set(assembly.numbers)
    content.release_body(upload_id, at_ms, [part.number for part in stored if part.number not in chosen])
    start, places = 0, []
    for part in stored:
        if part.number in chosen:
            places.append((start, upload_id, part.number))
            start += part.size
    mark = "?" if is_sqlite() else "%s"
    conn.cursor().executemany(f"UPDATE part SET start = {mark} WHERE body_id = {mark} AND number = {mark}", places)  # noqa: S608 - marks only


def _finished_before(upload_id: bytes, bucket_id: int, key: bytes, parts_digest: bytes) -> Finished:
    row = (
        FinishedUpload.select(FinishedUpload.reply)
        .where(
            (FinishedUpload.id == upload_id) & (FinishedUpload.bucket_id == bucket_id) & (FinishedUpload.key == key)
            & (FinishedUpload.parts_digest == parts_digest)
        )
        .tuples()
        .first()
    )
    if row is None:
        raise NoSuchUpload
    return Finished(json.loads(row[0]), repeated=True)


@repeated
def abort(upload_id: bytes) -> None:
    """Drop an upload with all its parts, in one transaction. Raises NoSuchUpload when it was completed or aborted before."""
    with transaction() as conn:
        tenant_id = _tenant_of(conn, upload_id)
        upload = _take(conn, upload_id, exclusive=True)
        freed = sum(part.size for part in parts(upload_id))
        content.release_body(upload_id, now_ms())
        Upload.delete().where(Upload.id == upload_id).execute()
        quotas.record(conn, upload.bucket_id, INSTALLATION if tenant_id is None else tenant_id, Delta(upload_bytes=-freed))


def page(bucket_id: int, lower: bytes, upper: bytes | None, after: tuple[bytes, bytes] | None, limit: int) -> list[UploadInfo]:
    """Uploads of a bucket in (key, id) order: keys in [lower, upper), from behind ``after`` = (key, upload id)."""
    if after is not None:
        lower = max(lower, after[0])        # one lower bound: SQLite would scan from the wrong one of two
    query = Upload.select(*_UPLOAD).where((Upload.bucket_id == bucket_id) & (Upload.key >= lower))
    if upper is not None:
        query = query.where(Upload.key < upper)
    if after is not None:
        query = query.where((Upload.key > after[0]) | ((Upload.key == after[0]) & (Upload.id > after[1])))
    return [_info(row) for row in query.order_by(Upload.key, Upload.id).limit(limit).tuples()]
