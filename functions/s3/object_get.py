"""GetObject and HeadObject: read an object version, or a byte range or part of it."""

from typing import BinaryIO, cast

from shared import sosapi
from shared.blobs.engine import BlobCorrupt, BlobMissing
from shared.context import Context
from shared.encryption import request as encryption
from shared.errors import InvalidPartNumber, InvalidRequest, NoSuchKey, SlowDown
from shared.host.contract import TakesLonger
from shared.meta import uploads
from shared.meta.objects import Found
from shared.meta.uploads import PartInfo
from shared.permissions import by_version
from shared.protocol import conditions
from shared.protocol.ranges import Span, parse_range
from shared.protocol.sse import CustomerKey
from shared.registry import s3
from shared.request import Reply
from shared.views import checksum_headers, find_version, object_headers, wants_checksum

READ_ATTEMPTS = 3


@s3("GetObject", allow=by_version("s3:GetObject", "s3:GetObjectVersion"), lane="now")
def get_object(ctx: Context) -> Reply:
    """Stream an object version to the client.

    Reads no byte of it before every check has passed. Range is in bytes, ends included.
    Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), PreconditionFailed, NotModified, InvalidRange, InvalidPartNumber,
    InvalidRequest (not the customer's key it needs).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    for _ in range(READ_ATTEMPTS):
        try:
            found = find_version(ctx, ctx.query.get("versionId"), with_data=True)
        except NoSuchKey:
            if (virtual := sosapi.answer(ctx)) is not None:
                return virtual
            raise
        customer = encryption.of_read(ctx, found)
        conditions.check_read(ctx.headers, found.etag, found.mtime_ms)
        try:
            return _with_body(ctx, found, customer)
        except BlobMissing:     # deleted and swept between its row and its bytes, unless it is still there
            again = find_version(ctx, ctx.query.get("versionId"))
            if (again.blob_id, again.body_id) == (found.blob_id, found.body_id):
                raise
    raise SlowDown("The object changes too fast. Please try again.")


def _with_body(ctx: Context, found: Found, customer: CustomerKey | None) -> Reply:
    span, reply = _described(ctx, found)
    if found.data is not None and found.algorithm is None:
        if len(found.data) != found.size:
            raise BlobCorrupt(f"version {found.version_id} has {len(found.data)} bytes in its row, not {found.size}")
        reply.body = bytes(found.data) if span is None else bytes(found.data[span.first:span.last + 1])
    elif found.size:
        if found.body_id is not None and not ctx.request.may_wait:      # up to 10,000 rows say where its bytes are
            raise TakesLonger
        first, last = (span.first, span.last) if span else (0, found.size - 1)
        reply.body = cast(BinaryIO, ctx.services.store.open(found, first, last, customer))
        reply.length = last + 1 - first
    return reply


@s3("HeadObject", allow=by_version("s3:GetObject", "s3:GetObjectVersion"), lane="now")
def head_object(ctx: Context) -> Reply:
    """Describe an object version as GetObject would, without its bytes. Raises as get_object does.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    try:
        found = find_version(ctx, ctx.query.get("versionId"))
    except NoSuchKey:
        if (virtual := sosapi.answer(ctx)) is not None:
            return virtual
        raise
    encryption.of_read(ctx, found)
    conditions.check_read(ctx.headers, found.etag, found.mtime_ms)
    span, reply = _described(ctx, found)
    reply.headers.append(("Content-Length", str(span.length if span else found.size)))
    return reply


def _described(ctx: Context, found: Found) -> tuple[Span | None, Reply]:
    """The chosen span (None: all of it) and a reply with every header but the length."""
    number, part, count = ctx.params.get("PartNumber"), None, None
    if number is None:
        holds = conditions.range_holds(ctx.headers, found.etag, found.mtime_ms)
        span = parse_range(ctx.headers.get("range") if holds else None, found.size)
    else:
        if "range" in ctx.headers:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        span, part, count = _part(found, number)
    whole = span is None or (span.length == found.size and count is None)
    headers = object_headers(ctx, found, whole=whole)
    if count:
        headers.append(("x-amz-mp-parts-count", str(count)))
    if part and wants_checksum(ctx):
        headers += checksum_headers(part.checksum_algorithm, part.checksum, like=found.checksum)
    if span is None:
        return None, Reply(206 if number is not None else 200, headers)
    headers.append(("Content-Range", span.content_range(found.size)))
    return span, Reply(206, headers)


def _part(found: Found, number: int) -> tuple[Span | None, PartInfo | None, int | None]:
    """The bytes of part ``number`` (from 1), its row, and how many parts there are. An object not uploaded in parts is one part."""
    if found.body_id is None or found.parts_count is None:
        if number != 1:
            raise InvalidPartNumber()
        return Span(0, found.size - 1) if found.size else None, None, None
    if not 1 <= number <= found.parts_count:
        raise InvalidPartNumber()
    part = uploads.nth_part(found.body_id, number)
    start = part.start or 0
    return Span(start, start + part.size - 1) if found.size else None, part, found.parts_count
