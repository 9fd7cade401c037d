"""Object tags: at most 10 labels on an object version."""

from typing import Any

from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import InvalidTag
from shared.permissions import by_version
from shared.protocol import tags
from shared.registry import s3
from shared.views import find_version, relabelled


@s3("PutObjectTagging", allow=by_version("s3:PutObjectTagging", "s3:PutObjectVersionTagging"), document_bytes=MAX_BYTES)
def put_object_tagging(ctx: Context) -> dict[str, Any]:
    """Replace the whole tag set of the current or the named version; nothing else of it changes.

    Raises InvalidTag for more than 10, a duplicate, oversized or ``aws:`` key; NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete
    marker). InvalidTag is what is documented; AWS has been seen to say BadRequest for more than 10 here too.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
    """
    return _replaced(ctx, tags.checked(ctx.params["Tagging"]["TagSet"], limit=tags.MAX_OBJECT_TAGS, excess=InvalidTag))


@s3("GetObjectTagging", allow=by_version("s3:GetObjectTagging", "s3:GetObjectVersionTagging"))
def get_object_tagging(ctx: Context) -> dict[str, Any]:
    """Return the tag set, which may be empty. Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html
    """
    found = find_version(ctx, ctx.query.get("versionId"))
    return {"TagSet": tags.pairs(tags.load(found.tags_json)), "VersionId": found.version_id if ctx.bucket.versioned else None}


@s3("DeleteObjectTagging", allow=by_version("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"))
def delete_object_tagging(ctx: Context) -> dict[str, Any]:
    """Remove the whole tag set of the current or the named version. Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html
    """
    return _replaced(ctx, {})


def _replaced(ctx: Context, new: dict[str, str]) -> dict[str, Any]:
    found = relabelled(ctx, lambda _: {"tags": tags.dump(new)})
    return {"VersionId": found.version_id if ctx.bucket.versioned else None}
