"""Replication rules of a bucket: which new versions are to be copied where."""

from typing import Any

from shared.bucket_errors import ReplicationConfigurationNotFoundError
from shared.context import Context
from shared.documents import MANY_RULES_BYTES
from shared.errors import InvalidRequest
from shared.meta import configurations
from shared.meta.buckets import BucketInfo
from shared.meta.models import VERSIONING_ENABLED
from shared.permissions import judge
from shared.protocol import replication
from shared.registry import s3

KIND = "replication"


@s3("PutBucketReplication", allow="s3:PutReplicationConfiguration", document_bytes=MANY_RULES_BYTES)
def put_bucket_replication(ctx: Context) -> None:
    """Replace the rules. Both sides must have versioning enabled; of a bucket that the caller may not ask about, that is not checked.

    Raises MalformedXML, InvalidRequest, InvalidArgument.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketReplication.html
    """
    document = replication.checked(ctx.params["ReplicationConfiguration"])
    for name in sorted({replication.bucket_of(rule) for rule in document["Rules"]}):
        _check_destination(ctx, name)
    configurations.put(ctx.bucket, KIND, document, check=_require_versioning)


def _require_versioning(bucket: BucketInfo) -> None:
    if bucket.versioning != VERSIONING_ENABLED:
        raise InvalidRequest("Versioning must be 'Enabled' on the bucket to apply a replication configuration")


def _check_destination(ctx: Context, name: str) -> None:
    assert ctx.known is not None
    if name == ctx.bucket.name:
        raise InvalidRequest("Destination bucket cannot be the same as the source bucket.")
    found = ctx.known.bucket(name)
    if found is None:
        raise InvalidRequest("Destination bucket must exist.")
    may_look = judge(ctx, [("s3:GetBucketVersioning", name)]).allowed      # who may not is told nothing of a bucket of others
    if may_look and found.versioning != VERSIONING_ENABLED:
        raise InvalidRequest("Destination bucket must have versioning enabled.")


@s3("GetBucketReplication", allow="s3:GetReplicationConfiguration")
def get_bucket_replication(ctx: Context) -> dict[str, Any]:
    """Return the rules. Raises ReplicationConfigurationNotFoundError.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketReplication.html
    """
    found = configurations.find(ctx.bucket.id, KIND)
    if found is None:
        raise ReplicationConfigurationNotFoundError(BucketName=ctx.bucket.name)
    return {"ReplicationConfiguration": found}


@s3("DeleteBucketReplication", allow="s3:PutReplicationConfiguration")
def delete_bucket_replication(ctx: Context) -> None:
    """Remove the rules, if there are any.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketReplication.html
    """
    configurations.delete(ctx.bucket, KIND)
