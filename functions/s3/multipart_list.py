"""ListMultipartUploads: uploads under way, in order of key and beginning."""

from dataclasses import dataclass, field
from typing import Any

from shared.context import Context
from shared.errors import InvalidArgument, NoSuchUpload
from shared.meta import uploads
from shared.meta.listing import after_prefix, is_common_prefix
from shared.meta.uploads import UploadInfo
from shared.multipart import parse_upload_id
from shared.registry import s3
from shared.views import owner

MAX_PAGE = 1000
SMALL_BATCH = 4     # uploads fetched behind a common prefix: most likely the next one is in a prefix as well


@dataclass
class _Page:
    uploads: list[UploadInfo] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    truncated: bool = False
    last: tuple[bytes, str] = (b"", "")      # key and upload id, or common prefix and nothing, that the next page starts behind


@s3("ListMultipartUploads", allow="s3:ListBucketMultipartUploads")
def list_multipart_uploads(ctx: Context) -> dict[str, Any]:
    """Return a page of unfinished uploads from behind (``KeyMarker``, ``UploadIdMarker``), with common prefixes.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
    """
    prefix, delimiter, key_marker, id_marker = (
        ctx.params.get(name) or "" for name in ("Prefix", "Delimiter", "KeyMarker", "UploadIdMarker")
    )
    limit = min(ctx.params.get("MaxUploads", MAX_PAGE), MAX_PAGE)
    after = _start(key_marker, id_marker, prefix.encode(), delimiter.encode())
    page = _fill(ctx.bucket.id, prefix.encode(), delimiter.encode(), after, limit)
    return {
        "Bucket": ctx.bucket.name, "KeyMarker": key_marker, "UploadIdMarker": id_marker, "Prefix": prefix,
        "Delimiter": delimiter or None, "MaxUploads": limit, "IsTruncated": page.truncated,
        "NextKeyMarker": page.last[0].decode() if page.truncated else None,
        "NextUploadIdMarker": page.last[1] if page.truncated else None,
        "EncodingType": ctx.params.get("EncodingType"),
        "Uploads": [_shown(ctx, upload) for upload in page.uploads],
        "CommonPrefixes": [{"Prefix": one.decode()} for one in page.prefixes],
    }


def _start(key_marker: str, id_marker: str, prefix: bytes, delimiter: bytes) -> tuple[bytes, bytes] | None:
    """Behind which (key, upload id) to begin. Without an upload id, and at a common prefix, behind all of them."""
    if not key_marker:
        return None
    key = key_marker.encode()
    if not id_marker:
        return (after_prefix(key), b"") if is_common_prefix(key, prefix, delimiter) else (key, b"\xff" * 17)
    try:
        return key, parse_upload_id(id_marker)
    except NoSuchUpload:
        raise InvalidArgument("Invalid uploadId marker", ArgumentName="upload-id-marker", ArgumentValue=id_marker) from None


def _fill(bucket_id: int, prefix: bytes, delimiter: bytes, after: tuple[bytes, bytes] | None, limit: int) -> _Page:
    """Read a batch, take uploads until one stands for a common prefix, seek behind that prefix, and so on: a few rows for each prefix."""
    page, lower, upper = _Page(), prefix, after_prefix(prefix)
    batch = SMALL_BATCH if delimiter else limit + 1
    while limit and (found := uploads.page(bucket_id, lower, upper, after, batch)):
        common = _take(page, found, prefix, delimiter, limit)
        if page.truncated or (common is None and len(found) < batch):
            break
        if common is None:
            after, batch = (found[-1].key, found[-1].id), min(batch * 4, limit + 1)
        else:
            lower, after, batch = after_prefix(common), None, SMALL_BATCH
    return page


def _take(page: _Page, found: list[UploadInfo], prefix: bytes, delimiter: bytes, limit: int) -> bytes | None:
    """Put uploads on the page, up to and with the first that stands for a common prefix; return that prefix."""
    for upload in found:
        if len(page.uploads) + len(page.prefixes) >= limit:
            page.truncated = True
            return None
        cut = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            common = upload.key[:cut + len(delimiter)]
            page.prefixes.append(common)
            page.last = (common, "")
            return common
        page.uploads.append(upload)
        page.last = (upload.key, upload.id.hex())
    return None


def _shown(ctx: Context, upload: UploadInfo) -> dict[str, Any]:
    who = owner(ctx, upload.owner_id)
    return {
        "UploadId": upload.id.hex(), "Key": upload.key.decode(), "Initiated": upload.initiated_ms, "Initiator": who, "Owner": who,
        "StorageClass": upload.storage_class or "STANDARD", "ChecksumAlgorithm": upload.checksum_algorithm,
        "ChecksumType": upload.checksum_type,
    }
