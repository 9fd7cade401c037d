"""Transfer acceleration: a switch that is kept and shown. There are no edge locations, so it changes nothing."""

from typing import Any

from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import InvalidRequest
from shared.meta import configurations
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

KIND = "accelerate"


@s3("PutBucketAccelerateConfiguration", allow="s3:PutAccelerateConfiguration", document_bytes=MAX_BYTES)
def put_bucket_accelerate_configuration(ctx: Context) -> None:
    """Set the switch to Enabled or Suspended. Raises MalformedXML, InvalidRequest for a bucket with a period in its name.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAccelerateConfiguration.html
    """
    status = ctx.params["AccelerateConfiguration"].get("Status")
    if status is None:
        raise malformed("<Status> is missing in <AccelerateConfiguration>")
    if "." in ctx.bucket.name:
        raise InvalidRequest("S3 Transfer Acceleration is not supported for buckets with periods (.) in their names")
    configurations.put(ctx.bucket, KIND, {"Status": status})


@s3("GetBucketAccelerateConfiguration", allow="s3:GetAccelerateConfiguration")
def get_bucket_accelerate_configuration(ctx: Context) -> dict[str, Any]:
    """Return the switch; nothing when it was never set.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAccelerateConfiguration.html
    """
    return configurations.find(ctx.bucket.id, KIND) or {}
