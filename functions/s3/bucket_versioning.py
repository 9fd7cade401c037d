"""Bucket versioning: off until enabled once; from then on enabled or suspended."""

from typing import Any

from shared.bucket_errors import IllegalVersioningConfigurationException, InvalidBucketState
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import NotImplementedS3
from shared.meta import buckets, configurations
from shared.meta.buckets import BucketInfo
from shared.meta.models import VERSIONING_NAMES
from shared.registry import s3

_STATES = {name: state for state, name in VERSIONING_NAMES.items()}


@s3("PutBucketVersioning", allow="s3:PutBucketVersioning", document_bytes=MAX_BYTES)
def put_bucket_versioning(ctx: Context) -> None:
    """Enable or suspend versioning.

    Raises IllegalVersioningConfigurationException without a Status, NotImplementedS3 for MFA delete, InvalidBucketState for suspending
    it under object lock or replication.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
    """
    configuration = ctx.params["VersioningConfiguration"]
    status = configuration.get("Status")
    if status not in _STATES:
        raise IllegalVersioningConfigurationException()
    if configuration.get("MFADelete") == "Enabled":
        raise NotImplementedS3("MFA delete is not implemented.")
    buckets.change(ctx.bucket, None if status == "Enabled" else _refuse_under_replication, versioning=_STATES[status])


def _refuse_under_replication(bucket: BucketInfo) -> None:
    if configurations.find(bucket.id, "replication") is not None:
        raise InvalidBucketState(
            "A replication configuration is present on this bucket, so you cannot change the versioning state. To change the versioning "
            "state, first delete the replication configuration."
        )


@s3("GetBucketVersioning", allow="s3:GetBucketVersioning")
def get_bucket_versioning(ctx: Context) -> dict[str, Any]:
    """Return the state; nothing for a bucket that never had versioning.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html
    """
    status = VERSIONING_NAMES.get(ctx.bucket.versioning)
    return {"Status": status} if status else {}
