"""Multipart uploads: begin, send and copy parts, list and abort. Completing has a file of its own."""

from typing import Any

from shared import copying, expiration, intake, locking, new_object
from shared.clock import now_ms
from shared.context import Context
from shared.copying import source_of
from shared.encryption import request as encryption
from shared.errors import InvalidRequest
from shared.meta import uploads
from shared.meta.objects import Found
from shared.meta.uploads import PartInfo, UploadInfo
from shared.multipart import copied_etag, new_upload_id, upload_of
from shared.protocol import checksums
from shared.protocol.metadata import system_headers, user_metadata
from shared.protocol.ranges import Span, parse_copy_range
from shared.protocol.sse import CustomerKey
from shared.registry import s3
from shared.views import checksum_members, owner

MAX_PART_BYTES = 5 << 30
MAX_PAGE = 1000


@s3("CreateMultipartUpload", allow=new_object.permissions)
def create_multipart_upload(ctx: Context) -> dict[str, Any]:
    """Begin an upload. What the object's headers, metadata, tags, ACL, lock, owner and kind of checksum will be is settled here.

    Raises InvalidRequest for a checksum type that the algorithm cannot have, MetadataTooLarge, and what new_object.described raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
    """
    algorithm, kind = ctx.params.get("ChecksumAlgorithm"), ctx.params.get("ChecksumType")
    settled: tuple[str | None, str | None] = checksums.checked_type(algorithm, kind)
    if not algorithm:
        settled = None, None
    described = new_object.described(ctx)
    upload = UploadInfo(
        new_upload_id(), ctx.bucket.id, ctx.key, described.owner_id, now_ms(), None, system_headers(ctx.params), user_metadata(ctx.headers),
        *settled, described.tags, described.acl, lock=locking.wished(ctx), sse=described.sse,
    )
    uploads.create(upload)
    return {
        **encryption.members_of(ctx, ctx.envelope),
        "Bucket": ctx.bucket.name, "Key": ctx.key.decode(), "UploadId": upload.id.hex(), "ChecksumAlgorithm": settled[0],
        "ChecksumType": settled[1], **expiration.of_upload(ctx, upload.initiated_ms),
    }


@s3("UploadPart", allow="s3:PutObject")
def upload_part(ctx: Context) -> dict[str, Any]:
    """Store one part, durably; a part with the same number is replaced.

    Without an algorithm of the upload's own every part gets a CRC64NVME, so that the whole object has one without being read again.
    Raises NoSuchUpload, InvalidRequest (another checksum algorithm), what intake.receive raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
    """
    number, upload = ctx.params["PartNumber"], upload_of(ctx)
    announced, envelope = checksums.requested(ctx.headers), encryption.of_part(ctx, upload)
    if upload.checksum_algorithm:
        checksums.check_part(upload.checksum_algorithm, announced)
        received = intake.receive(ctx, upload.checksum_algorithm)
        kept = upload.checksum_algorithm, received.checksum
    else:
        received = intake.receive(ctx, second=checksums.DEFAULT_ALGORITHM)
        kept = checksums.DEFAULT_ALGORITHM, received.second
    part = PartInfo(number, received.size, received.etag, now_ms(), *kept, None)
    ctx.services.store.put_part(upload.id, part, received, envelope)
    shown = checksum_members(received.checksum_algorithm, received.checksum) if announced or upload.checksum_algorithm else {}
    return {"ETag": f'"{received.etag}"', **shown, **encryption.members_of(ctx, envelope)}


@s3("UploadPartCopy", allow=copying.permissions, lane="slow")
def upload_part_copy(ctx: Context) -> dict[str, Any]:
    """Make a part out of an object or a byte range of it, sharing its bytes.

    Its ETag is an opaque one unless the source is taken whole: nobody reads the bytes to hash them. An upload with a checksum algorithm of
    its own has them read. Raises NoSuchUpload, InvalidArgument (no copy range), InvalidRange, InvalidRequest (too large), and what
    copying.source_of raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
    """
    number, upload, source = ctx.params["PartNumber"], upload_of(ctx), source_of(ctx)
    wanted, envelope = ctx.params.get("CopySourceRange"), encryption.of_part(ctx, upload)

    def span(found: Found) -> Span:
        chosen = parse_copy_range(wanted, found.size) if wanted else Span(0, found.size - 1)
        if chosen.length > MAX_PART_BYTES:
            raise InvalidRequest(f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_PART_BYTES}")
        return chosen

    def draft(found: Found, size: int) -> PartInfo:
        chosen = span(found)
        made = _copied_checksum(ctx, upload, found, chosen, source.customer)
        return PartInfo(number, size, copied_etag(found, chosen), now_ms(), *made, None)

    found, part = ctx.services.store.copy_part(source.find, span, upload.id, draft, envelope=envelope, customer=source.customer)
    shown = checksum_members(part.checksum_algorithm, part.checksum) if upload.checksum_algorithm else {}
    shown.pop("ChecksumType", None)
    return {
        **encryption.members_of(ctx, envelope),
        "CopyPartResult": {"ETag": f'"{part.etag}"', "LastModified": part.mtime_ms, **shown},
        "CopySourceVersionId": found.version_id if source.bucket.versioned else None,
    }


def _copied_checksum(
    ctx: Context, upload: UploadInfo, found: Found, span: Span, customer: CustomerKey | None
) -> tuple[str | None, str | None]:
    """A copied part's checksum: the source's when it is taken whole and has the right one, read when the upload insists, else none."""
    wanted = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    whole = span.length == found.size and found.checksum is not None and "-" not in found.checksum
    if whole and found.checksum_algorithm == wanted:
        return wanted, found.checksum
    if upload.checksum_algorithm:
        return wanted, ctx.services.store.checksum(found, span.first, span.last, wanted, customer)
    return None, None


@s3("AbortMultipartUpload", allow="s3:AbortMultipartUpload", lane="slow")
def abort_multipart_upload(ctx: Context) -> None:
    """Drop an upload and all its parts. Raises NoSuchUpload when it was completed or aborted before.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
    """
    uploads.abort(upload_of(ctx).id)


@s3("ListParts", allow="s3:ListMultipartUploadParts")
def list_parts(ctx: Context) -> dict[str, Any]:
    """Return a page of an upload's parts in order of their numbers. Raises NoSuchUpload.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
    """
    upload = upload_of(ctx)
    after, limit = ctx.params.get("PartNumberMarker", 0), min(ctx.params.get("MaxParts", MAX_PAGE), MAX_PAGE)
    page = uploads.parts(upload.id, after, limit + 1)
    shown = page[:limit]
    who = owner(ctx, upload.owner_id)
    return {
        "Bucket": ctx.bucket.name, "Key": ctx.key.decode(), "UploadId": upload.id.hex(), "Initiator": who, "Owner": who,
        "StorageClass": upload.storage_class or "STANDARD", "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1].number if shown else after, "MaxParts": limit, "IsTruncated": bool(limit) and len(page) > limit,
        "ChecksumAlgorithm": upload.checksum_algorithm, "ChecksumType": upload.checksum_type,
        "Parts": [_shown(part, upload) for part in shown], **expiration.of_upload(ctx, upload.initiated_ms),
    }


def _shown(part: PartInfo, upload: UploadInfo) -> dict[str, Any]:
    out = {"PartNumber": part.number, "LastModified": part.mtime_ms, "ETag": f'"{part.etag}"', "Size": part.size}
    if upload.checksum_algorithm:
        out[f"Checksum{part.checksum_algorithm}"] = part.checksum
    return out
