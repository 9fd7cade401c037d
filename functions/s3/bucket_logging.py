"""Server access logging of a bucket: where records of its requests are to go."""

from typing import Any

from shared import requester_pays
from shared.bucket_errors import InvalidTargetBucketForLogging
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import AccessControlListNotSupported
from shared.meta import configurations
from shared.meta.models import INSTALLATION
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

KIND = "logging"
MAX_PREFIX_BYTES = 1024 - 64        # a record's key has a date and a random end


@s3("PutBucketLogging", allow="s3:PutBucketLogging", document_bytes=MAX_BYTES)
def put_bucket_logging(ctx: Context) -> None:
    """Name the bucket and prefix for the records, or neither to stop. The bucket must be of the same owner.

    Raises MalformedXML, InvalidTargetBucketForLogging, AccessControlListNotSupported for grants where the target has ACLs off.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html
    """
    enabled = ctx.params["BucketLoggingStatus"].get("LoggingEnabled")
    if enabled is None:
        configurations.delete(ctx.bucket, KIND)
        return
    if len(enabled["TargetPrefix"].encode()) > MAX_PREFIX_BYTES:
        raise malformed("<TargetPrefix> is too long")
    form = enabled.get("TargetObjectKeyFormat")
    if form is not None and len(form) != 1:
        raise malformed("a TargetObjectKeyFormat is SimplePrefix or PartitionedPrefix")
    _check_target(ctx, enabled)
    configurations.put(ctx.bucket, KIND, {"LoggingEnabled": enabled})


def _check_target(ctx: Context, enabled: dict[str, Any]) -> None:
    assert ctx.known is not None
    name = enabled["TargetBucket"]
    target = ctx.known.bucket(name)
    if target is None:
        raise InvalidTargetBucketForLogging(TargetBucket=name)
    same_account = target.owner_id == ctx.bucket.owner_id or target.tenant_id == ctx.bucket.tenant_id != INSTALLATION
    if not same_account:
        raise InvalidTargetBucketForLogging(
            "The owner for the bucket to be logged and the target bucket must be the same.", TargetBucket=name
        )
    if (ctx.known.configuration(target, requester_pays.KIND) or {}).get("Payer") == "Requester":
        raise InvalidTargetBucketForLogging("The target bucket for logging must not be a Requester Pays bucket.", TargetBucket=name)
    if enabled.get("TargetGrants") and target.ownership == "BucketOwnerEnforced":
        raise AccessControlListNotSupported


@s3("GetBucketLogging", allow="s3:GetBucketLogging")
def get_bucket_logging(ctx: Context) -> dict[str, Any]:
    """Return where records go; nothing when nowhere.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html
    """
    return configurations.find(ctx.bucket.id, KIND) or {}
