"""The source of a copy: which version it is, whether the caller may have it, and whether its conditions hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from shared import new_object
from shared.bucket_errors import NoSuchBucket
from shared.context import Context
from shared.encryption import request as encryption
from shared.errors import InvalidRequest, NoSuchKey, NoSuchVersion
from shared.meta import objects
from shared.meta.buckets import BucketInfo
from shared.meta.objects import Found
from shared.permissions import check_judged, require_owner
from shared.protocol.conditions import check_copy_source
from shared.protocol.copy_source import CopySource, parse_copy_source
from shared.protocol.sse import OF_SOURCE, CustomerKey, customer_key
from shared.requester_pays import require_a_payer

MAX_COPY_BYTES = 5 << 30    # of one CopyObject, as AWS; larger objects are copied in parts


def permissions(ctx: Context) -> Iterable[tuple[str, str]]:
    """What copying a part needs: to read its source, and to write its destination."""
    yield reading(ctx)
    yield "s3:PutObject", f"{ctx.bucket.name}/{ctx.key.decode()}"


def permissions_of_object(ctx: Context) -> Iterable[tuple[str, str]]:
    """What copying an object needs: to read its source, and whatever writing such an object takes."""
    yield reading(ctx)
    yield from new_object.permissions(ctx)


def reading(ctx: Context) -> tuple[str, str]:
    """What reading the source of a copy takes: of the named version, when it names one.

    Raises NoSuchBucket when the source's is missing: to anyone, as for every bucket.
    """
    source = parse_copy_source(ctx.headers.get("x-amz-copy-source", ""))
    if ctx.known is not None and ctx.known.bucket(source.bucket) is None:
        raise NoSuchBucket(BucketName=source.bucket)
    return "s3:GetObject" if source.version_id is None else "s3:GetObjectVersion", f"{source.bucket}/{source.key.decode()}"


class Source(NamedTuple):
    """A copy source that may be read. ``find`` reads its row anew each time and checks the conditions of the request."""

    wanted: CopySource
    bucket: BucketInfo
    find: Callable[[], Found]
    customer: CustomerKey | None = None     # the key of the source, when it came with one


def source_of(ctx: Context) -> Source:
    """Find the source the request names.

    Raises InvalidArgument, NoSuchBucket, AccessDenied (another expected owner; nobody who pays); its ``find`` raises NoSuchKey,
    NoSuchVersion, InvalidRequest (a delete marker by its id; not the customer's key it needs), PreconditionFailed.
    """
    wanted = parse_copy_source(ctx.headers["x-amz-copy-source"])
    assert ctx.known is not None
    bucket = ctx.known.bucket(wanted.bucket)
    if bucket is None:
        raise NoSuchBucket(BucketName=wanted.bucket)
    if (expected := ctx.headers.get("x-amz-source-expected-bucket-owner")) is not None:
        require_owner(ctx, bucket, expected)
    require_a_payer(ctx, bucket)

    def find() -> Found:
        found = objects.find(bucket.id, wanted.key, wanted.version_id, versioned=bucket.versioned, with_data=True)
        if found is None and wanted.version_id is not None:
            raise NoSuchVersion(Key=wanted.key.decode(), VersionId=wanted.version_id)
        if found is None or (found.is_marker and wanted.version_id is None):
            raise NoSuchKey(Key=wanted.key.decode())
        if found.is_marker:
            raise InvalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
        check_judged(ctx, bucket.id, wanted.key, found)
        encryption.of_source(ctx, found)
        check_copy_source(ctx.headers, found.etag, found.mtime_ms)
        return found

    return Source(wanted, bucket, find, customer_key(ctx.headers, OF_SOURCE))
