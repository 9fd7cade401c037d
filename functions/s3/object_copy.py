"""CopyObject: a new object out of an existing version, without moving a byte."""

from typing import Any

from shared.context import Context
from shared.copying import MAX_COPY_BYTES, Source, permissions, source_of
from shared.errors import InvalidArgument, InvalidRequest
from shared.meta.objects import Found, NewVersion
from shared.protocol import checksums
from shared.protocol.conditions import write_condition
from shared.protocol.metadata import system_headers, user_metadata
from shared.registry import s3
from shared.views import checksum_members

REDIRECT = "x-amz-website-redirect-location"    # the one header that a copy never takes along
ILLEGAL = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "
    "storage class, website redirect location or encryption attributes."
)


@s3("CopyObject", allow=permissions, lane="slow")
def copy_object(ctx: Context) -> dict[str, Any]:
    """Copy an object version of at most 5 GiB. Metadata comes along unless the directive says REPLACE.

    The copy shares the source's bytes. Raises NoSuchKey, NoSuchVersion, PreconditionFailed, InvalidRequest (onto itself without any
    change; too large; a delete marker), InvalidArgument (an unknown directive).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    replace = _replaces_metadata(ctx)
    source, condition = source_of(ctx), write_condition(ctx.headers)
    headers, metadata = system_headers(ctx.params), user_metadata(ctx.headers)
    _refuse_no_change(ctx, source, replace, headers)
    store = ctx.services.store

    checksum: tuple[str | None, str | None] = None, None

    def draft(found: Found) -> NewVersion:
        nonlocal checksum       # the reply needs it too, and making one may mean reading 5 GiB
        if found.size > MAX_COPY_BYTES:
            raise InvalidRequest(
                f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}"
            )
        kept = {name: value for name, value in found.headers.items() if name != REDIRECT}
        checksum = _checksum(ctx, found)
        return NewVersion(
            key=ctx.key, size=found.size, etag=found.etag, owner_id=ctx.owner_id,
            headers=headers if replace else kept | {name: value for name, value in headers.items() if name == REDIRECT},
            metadata=metadata if replace else found.metadata, checksum_algorithm=checksum[0], checksum=checksum[1],
        )

    found, written = store.copy(source.find, ctx.bucket.id, draft, condition.check if condition else None)
    return {
        "CopyObjectResult": {"ETag": f'"{found.etag}"', "LastModified": written.mtime_ms, **checksum_members(*checksum)},
        "VersionId": written.version_id,
        "CopySourceVersionId": found.version_id if source.bucket.versioned else None,
    }


def _replaces_metadata(ctx: Context) -> bool:
    directive = ctx.params.get("MetadataDirective", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument("Unknown metadata directive.", ArgumentName="x-amz-metadata-directive", ArgumentValue=directive)
    return bool(directive == "REPLACE")


def _refuse_no_change(ctx: Context, source: Source, replace: bool, headers: dict[str, str]) -> None:
    same = (source.bucket.id, source.wanted.key, source.wanted.version_id) == (ctx.bucket.id, ctx.key, None)
    if same and not replace and REDIRECT not in headers and "x-amz-storage-class" not in ctx.headers:
        raise InvalidRequest(ILLEGAL)


def _checksum(ctx: Context, found: Found) -> tuple[str | None, str | None]:
    """The copy's checksum: the source's, or one by the algorithm that was asked for, which may mean reading the bytes."""
    wanted = ctx.params.get("ChecksumAlgorithm")
    name = checksums.find(wanted).name if wanted else found.checksum_algorithm
    if name is None or name == found.checksum_algorithm:
        return found.checksum_algorithm, found.checksum
    return name, ctx.services.store.checksum(found, 0, found.size - 1, name)
