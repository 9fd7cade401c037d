"""GetObjectAttributes: size, ETag, checksum, storage class and parts of an object version in one reply."""

from typing import Any

from shared.context import Context
from shared.encryption import request as encryption
from shared.errors import InvalidArgument
from shared.meta import uploads
from shared.meta.objects import Found
from shared.permissions import all_of, by_version
from shared.protocol.checksums import COMPOSITE, type_of
from shared.registry import s3
from shared.views import checksum_members, find_version

KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
MAX_PARTS = 1000


@s3("GetObjectAttributes", allow=all_of(
    by_version("s3:GetObject", "s3:GetObjectVersion"), by_version("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
))
def get_object_attributes(ctx: Context) -> dict[str, Any]:
    """Return the attributes asked for; of a multipart object the parts with their sizes, and their checksums where it has a composite one.

    Raises InvalidArgument for no or unknown attributes and for pages that cannot be, and what GetObject raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
    """
    wanted = [name.strip() for name in ctx.params["ObjectAttributes"] if name.strip()]
    if not wanted or any(name not in KNOWN for name in wanted):
        raise InvalidArgument("Invalid attribute name specified.", ArgumentName="x-amz-object-attributes", ArgumentValue=",".join(wanted))
    found = find_version(ctx, ctx.query.get("versionId"))
    encryption.of_read(ctx, found)
    shown: dict[str, Any] = {
        "ETag": found.etag, "StorageClass": found.storage_class or "STANDARD", "ObjectSize": found.size,
        "Checksum": checksum_members(found.checksum_algorithm, found.checksum) or None,
    }
    if "ObjectParts" in wanted and found.parts_count is not None and found.body_id is not None:
        shown["ObjectParts"] = _parts(ctx, found, found.body_id, found.parts_count)
    return {
        "LastModified": found.mtime_ms,
        "VersionId": found.version_id if ctx.bucket.versioned else None,
        **{name: shown.get(name) for name in wanted},
    }


def _parts(ctx: Context, found: Found, body_id: bytes, count: int) -> dict[str, Any]:
    with_checksums = found.checksum is not None and type_of(found.checksum) == COMPOSITE
    limit, after = min(ctx.params.get("MaxParts", MAX_PARTS), MAX_PARTS), ctx.params.get("PartNumberMarker", 0)
    page = uploads.parts(body_id, after, limit + 1)
    shown = page[:limit]
    return {
        "TotalPartsCount": count,
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1].number if shown else after,
        "MaxParts": limit,
        "IsTruncated": bool(limit) and len(page) > limit,
        "Parts": [
            {"PartNumber": part.number, "Size": part.size}
            | ({f"Checksum{part.checksum_algorithm}": part.checksum} if with_checksums else {})
            for part in shown
        ],
    }
