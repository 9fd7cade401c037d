"""Objects in the admin API: lists, metadata, tags, versions. Bytes go to and from the S3 listener, by presigned URLs."""

from __future__ import annotations

import time
from urllib.parse import quote

from shared.admin import object_models as models
from shared.admin import presigning, s3
from shared.admin.context import AdminContext
from shared.admin.errors import Conflict, InvalidFields
from shared.admin.model import PageQuery, cursor_of, position_of
from shared.auth.presign import presigned
from shared.clock import now_ms
from shared.context import Context
from shared.encryption import request as encryption
from shared.errors import NoSuchVersion
from shared.meta import listing, objects
from shared.meta.database import repeated, transaction
from shared.meta.locks import lock_key
from shared.meta.objects import Found
from shared.protocol import tags
from shared.registry import admin
from shared.views import find_version

BUCKET = "/api/v1/buckets/{bucket}"
OBJECT = BUCKET + "/objects/{key}"
BEHIND_ALL = (1 << 63) - 1      # in a cursor: behind every version of the key, or behind a folder
ADDED_AT_ONCE, ADDING_S = 1000, 0.5     # keys of one look at a folder; seconds that one answer may take
SIGNED = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


@admin(f"GET {BUCKET}/objects", allow="s3:ListBucket", query=models.ObjectQuery, gives=models.ObjectPage)
def list_objects(ctx: AdminContext) -> models.ObjectPage:
    """Return current objects and folders. Raises NoSuchBucket."""
    query: models.ObjectQuery = ctx.query
    call = s3.prepare(ctx, "ListObjectsV2", ctx.args["bucket"], query=_listed(query))
    position = position_of(query.cursor, str)
    after = str(position[0]).encode() if position else b""
    found = listing.current_objects(call.bucket.id, query.prefix.encode(), query.delimiter.encode(), after, query.limit)
    more = cursor_of(found.last[0].decode()) if found.truncated and found.last else None
    return models.ObjectPage(
        items=[models.ObjectView.of(row) for row in found.rows], prefixes=[one.decode() for one in found.prefixes], next_cursor=more)


@admin(f"GET {BUCKET}/versions", allow="s3:ListBucketVersions", query=models.ObjectQuery, gives=models.VersionPage)
def list_versions(ctx: AdminContext) -> models.VersionPage:
    """Return versions and delete markers. Raises NoSuchBucket."""
    query: models.ObjectQuery = ctx.query
    call = s3.prepare(ctx, "ListObjectVersions", ctx.args["bucket"], query=_listed(query))
    found = listing.all_versions(
        call.bucket.id, query.prefix.encode(), query.delimiter.encode(), _position(query.cursor), query.limit)
    return models.VersionPage(
        items=[models.VersionView.of_version(row) for row in found.rows], prefixes=[one.decode() for one in found.prefixes],
        next_cursor=_behind(found))


def _listed(query: models.ObjectQuery) -> dict[str, str]:
    """What policies may ask about a listing: s3:prefix, s3:delimiter, s3:max-keys."""
    return {"prefix": query.prefix, "delimiter": query.delimiter, "max-keys": str(query.limit)}


def _position(cursor: str | None) -> listing.Position:
    position = position_of(cursor, str, int)
    if position is None:
        return b"", None
    return str(position[0]).encode(), None if position[1] == BEHIND_ALL else int(position[1])


def _behind(found: listing.Page) -> str | None:
    if not found.truncated or found.last is None:
        return None
    key, seq = found.last
    return cursor_of(key.decode(), BEHIND_ALL if seq is None else seq)


@admin(f"GET {OBJECT}", allow="s3:GetObject", query=models.VersionQuery, gives=models.ObjectDetail)
def get_an_object(ctx: AdminContext) -> models.ObjectDetail:
    """Return what is known of an object or one version of it.

    Raises NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).
    """
    call = s3.prepare(ctx, "HeadObject", ctx.args["bucket"], ctx.args["key"], query=_version(ctx))
    return models.ObjectDetail.of_found(ctx.args["key"], find_version(call, ctx.query.version_id))


@admin(f"DELETE {OBJECT}", allow="s3:DeleteObject", query=models.VersionQuery, gives=models.Deleted, event="object_deleted")
def delete_an_object(ctx: AdminContext) -> models.Deleted:
    """Delete an object (with versioning: put a delete marker on it), or one version for good. Raises NoSuchBucket."""
    _about(ctx)
    done = s3.call(ctx, "DeleteObject", ctx.args["bucket"], ctx.args["key"], query=_version(ctx))
    return models.Deleted(version_id=done.get("VersionId"), is_delete_marker=bool(done.get("DeleteMarker")))


@admin(f"GET {OBJECT}/versions", allow="s3:ListBucketVersions", query=PageQuery, gives=models.VersionPage)
def list_versions_of_object(ctx: AdminContext) -> models.VersionPage:
    """Return the versions and delete markers of one key, newest first; none for a key that never was. Raises NoSuchBucket."""
    key, query = ctx.args["key"], ctx.query
    call = s3.prepare(ctx, "ListObjectVersions", ctx.args["bucket"], query={"prefix": key, "max-keys": str(query.limit)})
    found = listing.all_versions(call.bucket.id, key.encode(), b"", _position(query.cursor), query.limit)
    rows = [row for row in found.rows if row.key == key.encode()]
    more = _behind(found) if len(rows) == len(found.rows) else None     # the next key has begun
    return models.VersionPage(items=[models.VersionView.of_version(row) for row in rows], prefixes=[], next_cursor=more)


@admin(f"GET {OBJECT}/tags", allow="s3:GetObjectTagging", query=models.VersionQuery, gives=models.ObjectTags)
def get_object_tags(ctx: AdminContext) -> models.ObjectTags:
    """Return the labels of an object. Raises NoSuchBucket, NoSuchKey, NoSuchVersion."""
    found = s3.call(ctx, "GetObjectTagging", ctx.args["bucket"], ctx.args["key"], query=_version(ctx))
    return models.ObjectTags(tags={one["Key"]: one["Value"] for one in found["TagSet"]})


@admin(f"PUT {OBJECT}/tags", allow="s3:PutObjectTagging", query=models.VersionQuery, takes=models.ObjectTags, gives=models.ObjectTags,
       event="object_updated")
def put_object_tags(ctx: AdminContext) -> models.ObjectTags:
    """Replace the labels of an object; an empty set removes them. Raises InvalidTag, NoSuchBucket, NoSuchKey, NoSuchVersion."""
    _about(ctx)
    tag_set = {"TagSet": tags.pairs(ctx.body.tags)}
    s3.call(ctx, "PutObjectTagging", ctx.args["bucket"], ctx.args["key"], query=_version(ctx), Tagging=tag_set)
    return models.ObjectTags(tags=ctx.body.tags)


@admin(f"POST {OBJECT}/rename", allow="s3:PutObject", takes=models.NewName, gives=models.Written, event="object_updated")
def rename_object(ctx: AdminContext) -> models.Written:
    """Move an object to a new key of the same bucket, in one transaction: a copy that shares its bytes, and a delete.

    Needs `s3:GetObject` and `s3:DeleteObject` of the old key too.
    Raises NoSuchBucket, NoSuchKey, PreconditionFailed when the new key is taken, InvalidRequest beyond 5 GiB.
    """
    bucket, key, new = ctx.args["bucket"], ctx.args["key"], ctx.body.new_key
    _about(ctx)
    ctx.details = {"new_key": new}
    if new == key:
        raise InvalidFields(fields={"new_key": "It is its name already."})
    found = find_version(s3.prepare(ctx, "HeadObject", bucket, key))
    if_same = f'"{found.etag}"'
    headers = {"x-amz-copy-source": _source(bucket, key), "x-amz-copy-source-if-match": if_same, "If-None-Match": "*"}
    headers |= encryption.as_headers(found.sse_json)
    copying = s3.prepare(ctx, "CopyObject", bucket, new, headers=headers, CopySource=_source(bucket, key))
    if found.sse_json is None:      # and stays so, whatever the bucket does by now: no byte is to be read inside the transaction
        copying.envelope, copying.is_envelope_settled = None, True
    removing = s3.prepare(ctx, "DeleteObject", bucket, key, headers={"If-Match": if_same})
    return models.Written(key=new, version_id=_moved(copying, removing))


@repeated
def _moved(copying: Context, removing: Context) -> str | None:
    """Copy and delete with both keys held: what is written to either meanwhile comes before or after, and never in between."""
    with transaction() as conn:
        for key in sorted((copying.key, removing.key)):
            lock_key(conn, copying.bucket.id, key)
        made: dict[str, str | None] = s3.make(copying)
        s3.make(removing)
        return made.get("VersionId")


@admin(f"POST {OBJECT}/restore", allow="s3:PutObject", takes=models.Wanted, gives=models.Written, event="object_updated")
def restore_object(ctx: AdminContext) -> models.Written:
    """Make a version the current one again: an old version by a copy of it, a deleted object by removing its delete marker.

    Needs `s3:GetObjectVersion` for a version, `s3:DeleteObjectVersion` for a marker. Raises NoSuchBucket, NoSuchVersion, Conflict.
    """
    bucket, key, version_id = ctx.args["bucket"], ctx.args["key"], ctx.body.version_id
    _about(ctx)
    ctx.details = {"version_id": version_id}
    wanted = _version_wanted(ctx, version_id)
    is_marker = wanted is not None and wanted.is_marker
    removing = s3.prepare(ctx, "DeleteObject", bucket, key, query={"versionId": version_id}) if is_marker else None
    source = f"{_source(bucket, key)}?versionId={quote(version_id, safe='')}"
    headers = {"x-amz-copy-source": source, **encryption.as_headers(wanted.sse_json if wanted else None)}
    copying = s3.prepare(ctx, "CopyObject", bucket, key, headers=headers, CopySource=source) if not removing else None
    newest = objects.find((removing or copying).bucket.id, key.encode())     # type: ignore[union-attr]
    if newest is None:
        raise NoSuchVersion(Key=key, VersionId=version_id)
    if removing is not None:
        if newest.version_id != version_id:
            raise Conflict("Only the latest delete marker hides the object.")
        s3.make(removing)
        now = objects.find(removing.bucket.id, key.encode())
        return models.Written(key=key, version_id=now.version_id if now else None)
    if newest.version_id == version_id:
        raise Conflict("This version is the current one.")
    return models.Written(key=key, version_id=s3.make(copying).get("VersionId"))    # type: ignore[arg-type]


def _version_wanted(ctx: AdminContext, version_id: str) -> Found | None:
    bucket = ctx.known.bucket(ctx.args["bucket"])
    return objects.find(bucket.id, ctx.args["key"].encode(), version_id) if bucket else None


@admin(f"GET {BUCKET}/folder-size", allow="s3:ListBucket", query=models.FolderQuery, gives=models.FolderSize, lane="slow")
def add_up_folder(ctx: AdminContext) -> models.FolderSize:
    """Add up the current objects below a prefix, for half a second at a time. Raises NoSuchBucket."""
    query: models.FolderQuery = ctx.query
    call = s3.prepare(ctx, "ListObjectsV2", ctx.args["bucket"], query={"prefix": query.prefix})
    position = position_of(query.cursor, str)
    after, until = str(position[0]).encode() if position else b"", time.monotonic() + ADDING_S
    count = size = 0
    while True:
        found = listing.current_objects(call.bucket.id, query.prefix.encode(), b"", after, ADDED_AT_ONCE)
        count += len(found.rows)
        size += sum(row.size for row in found.rows)
        if not found.truncated or found.last is None:
            return models.FolderSize(objects=count, bytes=size, next_cursor=None)
        after = found.last[0]
        if time.monotonic() > until:
            return models.FolderSize(objects=count, bytes=size, next_cursor=cursor_of(after.decode()))


@admin(f"POST {OBJECT}/presigned-url", allow="s3:GetObject", takes=models.PresignRequest, gives=models.Presigned, event="object_shared")
def presign(ctx: AdminContext) -> models.Presigned:
    """Make a URL that lets its holder make one kind of request, as the caller and no longer than the caller could.

    It is signed with an access key of the caller's, and needs the permission of what it is for. Raises NoSuchBucket, Conflict for a caller
    without an access key, InvalidFields.
    """
    wanted: models.PresignRequest = ctx.body
    bucket, key = ctx.args["bucket"], ctx.args["key"]
    _about(ctx)
    ctx.details = {"method": wanted.method, "expires_s": wanted.expires_s}
    query = {"versionId": wanted.version_id} if wanted.version_id else {}
    s3.prepare(ctx, SIGNED[wanted.method], bucket, key, query=query)
    if wanted.download_as is not None:
        query["response-content-disposition"] = f"attachment; filename*=UTF-8''{quote(wanted.download_as, safe='')}"
    now = now_ms()
    url = presigned(presigning.signer(ctx), wanted.method, presigning.endpoint(ctx, wanted.endpoint), f"/{bucket}/{key}", query,
                    now_s=now / 1000, expires_s=wanted.expires_s)
    return models.Presigned(url=url, method=wanted.method, expires_ms=now + wanted.expires_s * 1000)


def _version(ctx: AdminContext) -> dict[str, str]:
    return {"versionId": ctx.query.version_id} if ctx.query.version_id else {}


def _source(bucket: str, key: str) -> str:
    return f"{bucket}/{quote(key, safe='')}"


def _about(ctx: AdminContext) -> None:
    name = f"{ctx.args['bucket']}/{ctx.args['key']}"
    ctx.about("object", name, name)
