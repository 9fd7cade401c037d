"""DeleteObject and DeleteObjects: delete a key, put a delete marker on it, or delete one version for good."""

from typing import Any

from shared.context import Context
from shared.errors import AccessDenied, MalformedXML, S3Error
from shared.locking import may_bypass
from shared.meta import objects
from shared.meta.objects import Deleted
from shared.permissions import by_version, each_key, is_allowed
from shared.protocol.conditions import WriteCondition, parse_etags, write_condition
from shared.protocol.scalars import milliseconds
from shared.protocol.target import MAX_KEY_BYTES
from shared.registry import s3

MAX_KEYS = 1000


@s3("DeleteObject", allow=by_version("s3:DeleteObject", "s3:DeleteObjectVersion"))
def delete_object(ctx: Context) -> dict[str, Any]:
    """Delete the key or the named version. Succeeds when there is nothing to delete.

    A version that is locked stays: AccessDenied, unless it is GOVERNANCE and the caller may bypass it and says so.
    Raises PreconditionFailed, NoSuchKey (If-Match on nothing).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    condition, version_id = write_condition(ctx.headers), ctx.query.get("versionId")
    bypass = version_id is not None and may_bypass(ctx, ctx.key, version_id)
    deleted = objects.delete(ctx.bucket.id, ctx.key, version_id, ctx.owner_id, condition.check if condition else None, bypass=bypass)
    return {"VersionId": deleted.version_id, "DeleteMarker": True if deleted.is_marker else None}


@s3("DeleteObjects", allow=each_key, lane="slow")
def delete_objects(ctx: Context) -> dict[str, Any]:
    """Delete up to 1,000 keys or versions; each is allowed, and succeeds or fails, by itself. ``Quiet`` reports only failures.

    Raises MalformedXML for no key or more than 1,000.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    wanted = ctx.params["Delete"]["Objects"]
    if not 1 <= len(wanted) <= MAX_KEYS:
        raise MalformedXML()
    wishes = [_one(ctx, entry) for entry in wanted]
    allowed = [
        is_allowed(ctx, "s3:DeleteObjectVersion" if wish.version_id else "s3:DeleteObject", wish.key, wish.version_id) for wish in wishes
    ]
    outcomes = iter(objects.delete_many(ctx.bucket.id, [wish for wish, may in zip(wishes, allowed, strict=True) if may], ctx.owner_id))
    done: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for entry, may in zip(wanted, allowed, strict=True):
        outcome = next(outcomes) if may else AccessDenied()
        if isinstance(outcome, S3Error):
            errors.append({"Key": entry["Key"], "VersionId": entry.get("VersionId"), "Code": outcome.code, "Message": outcome.message})
        elif not ctx.params["Delete"].get("Quiet"):
            done.append(_reported(entry, outcome))
    ctx.failed_keys = {error["Key"]: error["Code"] for error in errors}
    return {"Deleted": done, "Errors": errors}


def _one(ctx: Context, entry: dict[str, Any]) -> objects.Deletion:
    key, version_id, modified = entry["Key"].encode(), entry.get("VersionId") or None, entry.get("LastModifiedTime")
    if not 1 <= len(key) <= MAX_KEY_BYTES:
        raise MalformedXML()
    modified_s = None if modified is None else milliseconds(modified) // 1000
    condition = WriteCondition(match=parse_etags(entry.get("ETag")), modified_s=modified_s, size=entry.get("Size"))
    bypass = version_id is not None and may_bypass(ctx, key, version_id)
    return objects.Deletion(key, version_id, condition.check if condition != WriteCondition() else None, bypass)


def _reported(entry: dict[str, Any], deleted: Deleted) -> dict[str, Any]:
    out = {"Key": entry["Key"], "VersionId": entry.get("VersionId") or None}
    if deleted.is_marker:
        out |= {"DeleteMarker": True, "DeleteMarkerVersionId": deleted.version_id}
    return out
