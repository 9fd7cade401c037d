"""DeleteObject and DeleteObjects: delete a key, put a delete marker on it, or delete one version for good."""

from typing import Any

from shared.context import Context
from shared.errors import AccessDenied, MalformedXML, NotImplementedS3, S3Error
from shared.meta import objects
from shared.meta.objects import Deleted
from shared.permissions import by_version, each_key, is_allowed
from shared.protocol.conditions import WriteCondition, parse_etags, write_condition
from shared.protocol.target import MAX_KEY_BYTES
from shared.registry import s3

MAX_KEYS = 1000


@s3("DeleteObject", allow=by_version("s3:DeleteObject", "s3:DeleteObjectVersion"))
def delete_object(ctx: Context) -> dict[str, Any]:
    """Delete the key or the named version. Succeeds when there is nothing to delete.

    Raises PreconditionFailed, NoSuchKey (If-Match on nothing).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    condition, version_id = write_condition(ctx.headers), ctx.query.get("versionId")
    deleted = objects.delete(ctx.bucket.id, ctx.key, version_id, ctx.owner_id, condition.check if condition else None)
    return {"VersionId": deleted.version_id, "DeleteMarker": True if deleted.is_marker else None}


@s3("DeleteObjects", allow=each_key, lane="slow")
def delete_objects(ctx: Context) -> dict[str, Any]:
    """Delete up to 1,000 keys or versions; each is allowed, and succeeds or fails, by itself. ``Quiet`` reports only failures.

    Raises MalformedXML for no key or more than 1,000, NotImplementedS3 for conditions that are not built.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    wanted = ctx.params["Delete"]["Objects"]
    if not 1 <= len(wanted) <= MAX_KEYS:
        raise MalformedXML()
    wishes = [_one(entry) for entry in wanted]
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


def _one(entry: dict[str, Any]) -> objects.Deletion:
    key = entry["Key"].encode()
    if not 1 <= len(key) <= MAX_KEY_BYTES:
        raise MalformedXML()
    for name in ("LastModifiedTime", "Size"):       # conditions that are not built: better no delete than a wrong one
        if entry.get(name) is not None:
            raise NotImplementedS3(f"Delete.Object.{name} is not implemented.")
    match = parse_etags(entry.get("ETag"))
    condition = WriteCondition(match=match).check if match else None
    return objects.Deletion(key, entry.get("VersionId") or None, condition)


def _reported(entry: dict[str, Any], deleted: Deleted) -> dict[str, Any]:
    out = {"Key": entry["Key"], "VersionId": entry.get("VersionId") or None}
    if deleted.is_marker:
        out |= {"DeleteMarker": True, "DeleteMarkerVersionId": deleted.version_id}
    return out
