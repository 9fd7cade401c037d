"""How stored things look in replies: owners, ETags, checksums, object headers. Shared by the operations that show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from shared import expiration, locking
from shared.context import Context
from shared.encryption import request as encryption
from shared.errors import InvalidRequest, MethodNotAllowed, NoSuchKey, NoSuchVersion, SlowDown
from shared.meta import labels, objects
from shared.meta.objects import Found
from shared.meta.retention import Lock
from shared.permissions import by_version, check_judged, judge
from shared.protocol.checksums import type_of
from shared.protocol.metadata import PREFIX
from shared.protocol.scalars import http_date
from shared.request import Headers

LABEL_ATTEMPTS = 5      # to write tags or an ACL before somebody overwrites the object once more

# Query overrides of GetObject and HeadObject → the reply header they replace.
OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}


def owner(ctx: Context, owner_id: int) -> dict[str, str]:
    """An owner as listings show it."""
    assert ctx.known is not None
    found = ctx.known.principal(owner_id)
    return {"ID": found.canonical_id, "DisplayName": found.shown_name} if found else {"ID": "", "DisplayName": ""}


def find_version(ctx: Context, version_id: str | None = None, *, with_data: bool = False) -> Found:
    """Find the version a read is about; delete markers answer as AWS does.

    Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker asked for by its id).
    """
    bucket = ctx.bucket
    found = objects.find(bucket.id, ctx.key, version_id, versioned=bucket.versioned, with_data=with_data)
    if found is None:
        if version_id is None:
            raise NoSuchKey(Key=ctx.key.decode())
        raise NoSuchVersion(Key=ctx.key.decode(), VersionId=version_id)
    if found.is_marker:
        ctx.notes += [("x-amz-delete-marker", "true"), ("x-amz-version-id", found.version_id)]
        if version_id is None:
            raise NoSuchKey(Key=ctx.key.decode())
        ctx.notes.append(("Last-Modified", http_date(found.modified_s)))
        ctx.notes.append(("Allow", "DELETE"))
        raise MethodNotAllowed(Method=ctx.request.method, ResourceType="DeleteMarker")
    check_judged(ctx, bucket.id, ctx.key, found)
    return found


def relabelled(ctx: Context, columns: Callable[[Found], dict[str, str | None]]) -> Found:
    """Write tags or ACL of the version that the request names, and return it; of the new one when it is overwritten at that moment.

    Raises what find_version and ``columns`` raise; SlowDown when it is overwritten faster than it can be labelled.
    """
    for _ in range(LABEL_ATTEMPTS):
        found = find_version(ctx, ctx.query.get("versionId"))
        with suppress(NoSuchKey):       # it is no longer there: look again what is
            labels.replace(ctx.bucket.id, ctx.key, found, **columns(found))
            return found
    raise SlowDown("The object changes too fast. Please try again.")


def relocked(ctx: Context, change: Callable[[Lock, int], Lock]) -> Found:
    """Replace the lock of the version that the request names, as labels.relock does, and return it; raises as ``relabelled``."""
    for _ in range(LABEL_ATTEMPTS):
        found = find_version(ctx, ctx.query.get("versionId"))
        with suppress(NoSuchKey):
            labels.relock(ctx.bucket.id, ctx.key, found, change)
            return found
    raise SlowDown("The object changes too fast. Please try again.")


def checksum_members(algorithm: str | None, value: str | None) -> dict[str, str]:
    """A stored checksum as result members: ChecksumCRC32 …, ChecksumType."""
    if not algorithm or not value:
        return {}
    return {f"Checksum{algorithm}": value, "ChecksumType": type_of(value)}


def object_headers(ctx: Context, found: Found, *, whole: bool = True) -> Headers:
    """Reply headers of a version for GET and HEAD, without its length. Written by hand: this is the hottest code there is.

    The checksum is shown when asked for (``x-amz-checksum-mode: ENABLED``) and the ``whole`` object is sent.
    Raises InvalidRequest when somebody who has not signed asks for other headers than the stored ones.
    """
    headers: Headers = [("ETag", f'"{found.etag}"'), ("Last-Modified", http_date(found.modified_s)), ("Accept-Ranges", "bytes")]
    stored: dict[str, str] = json.loads(found.headers_json) if found.headers_json else {}
    if "Content-Type" not in stored:
        stored["Content-Type"] = "binary/octet-stream"
    for name, header in OVERRIDES.items() if ctx.query else ():
        if name in ctx.query:
            if ctx.caller is None:      # or a link of anybody's makes a page of what was stored as a text
                raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
            stored[header] = ctx.query[name].encode().decode("latin-1")     # headers are bytes: UTF-8 goes out as it came in
    headers += stored.items()
    if found.metadata_json:
        headers += [(PREFIX + name, value) for name, value in json.loads(found.metadata_json).items()]
    if ctx.bucket.versioned:
        headers.append(("x-amz-version-id", found.version_id))
    if found.tags_json and may_read_tags(ctx):
        headers.append(("x-amz-tagging-count", str(len(json.loads(found.tags_json)))))
    if found.lock_json:
        headers += locking.reply_headers(ctx, found)
    if found.sse_json:
        headers += encryption.headers(ctx, found.sse_json)
    if found.storage_class:
        headers.append(("x-amz-storage-class", found.storage_class))
    if found.is_current and (due := expiration.of_object(ctx, mtime_ms=found.mtime_ms, size=found.size, tags_json=found.tags_json)):
        headers.append(("x-amz-expiration", due))
    if whole and wants_checksum(ctx):
        headers += checksum_headers(found.checksum_algorithm, found.checksum)
    return headers


def may_read_tags(ctx: Context) -> bool:
    """Whether the caller may be told how many tags the object version of the request has."""
    return judge(ctx, by_version("s3:GetObjectTagging", "s3:GetObjectVersionTagging")(ctx)).allowed


def wants_checksum(ctx: Context) -> bool:
    """True when a read asks to be told the checksum."""
    return ctx.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"


def checksum_headers(algorithm: str | None, value: str | None, *, like: str | None = None) -> Headers:
    """A stored checksum as reply headers. A part's is of the type of its whole object's, ``like``."""
    if not algorithm or not value:
        return []
    return [(f"x-amz-checksum-{algorithm.lower()}", value), ("x-amz-checksum-type", type_of(like or value))]
