"""CopyObject: a new object out of an existing version, without moving a byte."""

from typing import Any

from shared import expiration, new_object
from shared.context import Context
from shared.copying import MAX_COPY_BYTES, Source, permissions_of_object, source_of
from shared.encryption import request as encryption
from shared.errors import InvalidArgument, InvalidRequest
from shared.meta.objects import Found, NewVersion
from shared.permissions import require
from shared.protocol import checksums, tags
from shared.protocol.conditions import write_condition
from shared.protocol.metadata import system_headers, user_metadata
from shared.protocol.sse import CustomerKey
from shared.registry import s3
from shared.views import checksum_members

REDIRECT = "x-amz-website-redirect-location"    # the one header that a copy never takes along
ILLEGAL = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "
    "storage class, website redirect location or encryption attributes."
)


@s3("CopyObject", allow=permissions_of_object, lane="slow")
def copy_object(ctx: Context) -> dict[str, Any]:
    """Copy an object version of at most 5 GiB. Metadata and tags come along, unless the directives say REPLACE; ACL and lock never do.

    The copy shares the source's bytes. Raises NoSuchKey, NoSuchVersion, PreconditionFailed, InvalidRequest (onto itself without any
    change; too large; a delete marker), InvalidArgument (an unknown directive), AccessDenied (tags that may not be
    read or written), and what new_object.described raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    replace, replace_tags = _replaces(ctx, "metadata"), _replaces(ctx, "tagging")
    source, condition = source_of(ctx), write_condition(ctx.headers)
    headers, metadata, described = system_headers(ctx.params), user_metadata(ctx.headers), new_object.described(ctx)
    _refuse_no_change(ctx, source, replace, headers)
    store = ctx.services.store

    checksum: tuple[str | None, str | None] = None, None

    def draft(found: Found) -> NewVersion:
        nonlocal checksum       # the reply needs it too, and making one may mean reading 5 GiB
        _check_size(found)
        checksum = _checksum(ctx, found, source.customer)
        if found.tags_json and not replace_tags:
            ctx.copied_tags = tags.load(found.tags_json)
            _require_tags(ctx, source)
        return NewVersion(
            key=ctx.key, size=found.size, etag=found.etag, owner_id=described.owner_id, acl=described.acl,
            tags=described.tags if replace_tags else found.tags_json, lock=described.lock, sse=described.sse,
            headers=headers if replace else _kept(found.headers, headers),
            metadata=metadata if replace else found.metadata, checksum_algorithm=checksum[0], checksum=checksum[1],
        )

    found, written = store.copy(
        source.find, ctx.bucket.id, draft, condition.check if condition else None, envelope=ctx.envelope, customer=source.customer,
    )
    return {
        "CopyObjectResult": {"ETag": f'"{found.etag}"', "LastModified": written.mtime_ms, **checksum_members(*checksum)},
        "VersionId": written.version_id,
        **encryption.members_of(ctx, ctx.envelope),
        "Expiration": expiration.of_object(
            ctx, mtime_ms=written.mtime_ms, size=found.size, tags_json=described.tags if replace_tags else found.tags_json,
        ),
        "CopySourceVersionId": found.version_id if source.bucket.versioned else None,
    }


def _check_size(found: Found) -> None:
    if found.size > MAX_COPY_BYTES:
        raise InvalidRequest(f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}")


def _kept(stored: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """The headers that come along: all but the redirection, which is this request's own."""
    return {name: value for name, value in stored.items() if name != REDIRECT} | {
        name: value for name, value in given.items() if name == REDIRECT}


def _require_tags(ctx: Context, source: Source) -> None:
    """Reading the source's tags and writing them takes permissions, when there are any."""
    reading = "s3:GetObjectTagging" if source.wanted.version_id is None else "s3:GetObjectVersionTagging"
    there, here = f"{source.bucket.name}/{source.wanted.key.decode()}", f"{ctx.bucket.name}/{ctx.key.decode()}"
    require(ctx, (reading, there), ("s3:PutObjectTagging", here), ("s3:PutObject", here))      # the last one with these tags


def _replaces(ctx: Context, what: str) -> bool:
    name = f"x-amz-{what}-directive"
    directive = ctx.headers.get(name, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument(f"Unknown {what} directive.", ArgumentName=name, ArgumentValue=directive)
    return directive == "REPLACE"


def _refuse_no_change(ctx: Context, source: Source, replace: bool, headers: dict[str, str]) -> None:
    same = (source.bucket.id, source.wanted.key, source.wanted.version_id) == (ctx.bucket.id, ctx.key, None)
    if same and not replace and REDIRECT not in headers and "x-amz-storage-class" not in ctx.headers and ctx.envelope is None:
        raise InvalidRequest(ILLEGAL)


def _checksum(ctx: Context, found: Found, customer: CustomerKey | None) -> tuple[str | None, str | None]:
    """The copy's checksum: the source's, or one by the algorithm that was asked for, which may mean reading the bytes."""
    wanted = ctx.params.get("ChecksumAlgorithm")
    name = checksums.find(wanted).name if wanted else found.checksum_algorithm
    if name is None or name == found.checksum_algorithm:
        return found.checksum_algorithm, found.checksum
    return name, ctx.services.store.checksum(found, 0, found.size - 1, name, customer)
