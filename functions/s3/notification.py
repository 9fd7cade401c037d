"""Notifications of a bucket: which events are to be told to whom."""

from typing import Any

from shared.context import Context
from shared.documents import MAX_BYTES
from shared.meta import configurations
from shared.protocol.notification import checked
from shared.registry import s3

KIND = "notification"


@s3("PutBucketNotificationConfiguration", allow="s3:PutBucketNotification", document_bytes=MAX_BYTES)
def put_bucket_notification_configuration(ctx: Context) -> None:
    """Replace the configuration; an empty one removes it. Destinations must be named as ARNs, and are not asked whether they are there.

    Raises MalformedXML; InvalidArgument for a bad ARN, event or filter, ids that repeat, and configurations that overlap.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
    """
    document = checked(ctx.params["NotificationConfiguration"])
    if document:
        configurations.put(ctx.bucket, KIND, document)
    else:
        configurations.delete(ctx.bucket, KIND)


@s3("GetBucketNotificationConfiguration", allow="s3:GetBucketNotification")
def get_bucket_notification_configuration(ctx: Context) -> dict[str, Any]:
    """Return the configuration; nothing when there is none.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
    """
    return configurations.find(ctx.bucket.id, KIND) or {}
