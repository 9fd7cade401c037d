"""RestoreObject: every object here can be read at once, so there is nothing to bring back."""

from shared.context import Context
from shared.errors import InvalidObjectState, NotImplementedS3
from shared.registry import s3
from shared.views import find_version


@s3("RestoreObject", allow="s3:RestoreObject")
def restore_object(ctx: Context) -> None:
    """Refuse, as AWS does for objects that are not archived.

    Raises InvalidObjectState for every object there is, NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), NotImplementedS3
    for a restore that selects.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html
    """
    if (ctx.params.get("RestoreRequest") or {}).get("Type") == "SELECT":
        raise NotImplementedS3("RestoreRequest.Type SELECT is not implemented.")
    found = find_version(ctx, ctx.query.get("versionId"))
    storage_class = found.storage_class or "STANDARD"
    raise InvalidObjectState("Restore is not allowed for the object's current storage class", StorageClass=storage_class)
