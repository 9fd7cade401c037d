"""ListObjects, ListObjectsV2 and ListObjectVersions: pages of keys, of common prefixes, and of versions."""

from shared.context import Context
from shared.errors import InvalidArgument
from shared.meta import listing, objects
from shared.meta.listing import Page as Found
from shared.protocol import listing_xml
from shared.protocol.listing_xml import Page
from shared.protocol.tokens import name_of, token_of
from shared.registry import s3
from shared.request import Reply
from shared.views import owner

MAX_PAGE = 1000
XML = [("Content-Type", "application/xml")]


@s3("ListObjects", allow="s3:ListBucket")
def list_objects(ctx: Context) -> Reply:
    """Return a page of current objects from behind ``Marker``, in byte order of their keys.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
    """
    marker = ctx.params.get("Marker") or ""
    found = _current(ctx, marker.encode())
    next_marker = found.last[0] if found.truncated and found.last and ctx.params.get("Delimiter") else None
    return Reply(200, XML[:], listing_xml.list_objects(_page(ctx, found), marker=marker, next_marker=next_marker))


@s3("ListObjectsV2", allow="s3:ListBucket")
def list_objects_v2(ctx: Context) -> Reply:
    """Return a page of current objects from behind the continuation token, else from behind ``StartAfter``.

    Raises InvalidArgument for a token that is none of ours.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    token, start_after = ctx.params.get("ContinuationToken"), ctx.params.get("StartAfter")
    found = _current(ctx, name_of(token) if token else (start_after or "").encode())
    next_token = token_of(found.last[0]) if found.truncated and found.last else None
    fetch_owner = bool(ctx.params.get("FetchOwner"))
    document = listing_xml.list_objects_v2(
        _page(ctx, found, owners=fetch_owner), continuation_token=token, next_token=next_token, start_after=start_after,
        fetch_owner=fetch_owner,
    )
    return Reply(200, XML[:], document)


@s3("ListObjectVersions", allow="s3:ListBucketVersions")
def list_object_versions(ctx: Context) -> Reply:
    """Return a page of versions and delete markers: keys in byte order, the newest of a key first.

    Starts behind version ``VersionIdMarker`` of key ``KeyMarker``, or without it behind all versions of that key. When that version
    was deleted meanwhile the key starts over: nothing is left out. Raises InvalidArgument for a version marker without a key marker.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    key_marker, version_marker = ctx.params.get("KeyMarker") or "", ctx.params.get("VersionIdMarker") or ""
    after = _version_position(ctx, key_marker, version_marker)
    found = listing.all_versions(ctx.bucket.id, *_prefix_and_delimiter(ctx), after, _limit(ctx))
    next_key = found.last[0] if found.truncated and found.last else None
    next_version = found.rows[-1].version_id if found.truncated and found.last and found.last[1] is not None else None
    document = listing_xml.list_object_versions(
        _page(ctx, found), key_marker=key_marker, version_id_marker=version_marker, next_key_marker=next_key,
        next_version_id_marker=next_version,
    )
    return Reply(200, XML[:], document)


def _version_position(ctx: Context, key_marker: str, version_marker: str) -> listing.Position:
    key = key_marker.encode()
    if not version_marker:
        return key, None
    if not key_marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.", ArgumentName="version-id-marker", ArgumentValue=version_marker
        )
    at = objects.find(ctx.bucket.id, key, version_marker, versioned=True)
    return key, at.seq if at else listing.BEFORE_ALL


def _current(ctx: Context, after: bytes) -> Found:
    return listing.current_objects(ctx.bucket.id, *_prefix_and_delimiter(ctx), after, _limit(ctx))


def _prefix_and_delimiter(ctx: Context) -> tuple[bytes, bytes]:
    return (ctx.params.get("Prefix") or "").encode(), (ctx.params.get("Delimiter") or "").encode()


def _limit(ctx: Context) -> int:
    return min(int(ctx.params.get("MaxKeys", MAX_PAGE)), MAX_PAGE)


def _page(ctx: Context, found: Found, *, owners: bool = True) -> Page:
    shown = {number: owner(ctx, number) for number in {row.owner_id for row in found.rows}} if owners else {}
    return Page(
        bucket=ctx.bucket.name, rows=found.rows, prefixes=found.prefixes, prefix=ctx.params.get("Prefix") or "",
        delimiter=ctx.params.get("Delimiter"), max_keys=_limit(ctx), truncated=found.truncated, url=ctx.params.get("EncodingType") == "url",
        owners={number: (of["ID"], of["DisplayName"]) for number, of in shown.items()},
    )
