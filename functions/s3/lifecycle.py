"""Lifecycle rules of a bucket: what becomes of objects, versions and unfinished uploads with time."""

from typing import Any

from shared.bucket_errors import NoSuchLifecycleConfiguration
from shared.context import Context
from shared.documents import MANY_RULES_BYTES, plain
from shared.errors import InvalidArgument
from shared.expiration import KIND
from shared.meta import configurations
from shared.protocol import lifecycle
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

HEADER = "x-amz-transition-default-minimum-object-size"


@s3("PutBucketLifecycleConfiguration", allow="s3:PutLifecycleConfiguration", document_bytes=MANY_RULES_BYTES)
def put_bucket_lifecycle_configuration(ctx: Context) -> dict[str, Any]:
    """Replace the rules. They are about what is in the bucket already, too.

    Raises MalformedXML, InvalidRequest, InvalidArgument.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
    """
    size = ctx.params.get("TransitionDefaultMinimumObjectSize") or lifecycle.MINIMUM_SIZES[0]
    if size not in lifecycle.MINIMUM_SIZES:
        raise InvalidArgument(ArgumentName=HEADER, ArgumentValue=size)
    document = ctx.params.get("LifecycleConfiguration")
    if document is None:
        raise malformed("the body is empty")
    rules = plain(lifecycle.checked(document["Rules"]))
    configurations.put(ctx.bucket, KIND, {"Rules": rules, "TransitionDefaultMinimumObjectSize": size})
    return {"TransitionDefaultMinimumObjectSize": size}


@s3("GetBucketLifecycleConfiguration", allow="s3:GetLifecycleConfiguration")
def get_bucket_lifecycle_configuration(ctx: Context) -> dict[str, Any]:
    """Return the rules as they were put, with an ID each. Raises NoSuchLifecycleConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
    """
    found = configurations.find(ctx.bucket.id, KIND)
    if found is None:
        raise NoSuchLifecycleConfiguration(BucketName=ctx.bucket.name)
    return found


@s3("DeleteBucketLifecycle", allow="s3:PutLifecycleConfiguration")
def delete_bucket_lifecycle(ctx: Context) -> None:
    """Remove the rules, if there are any.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketLifecycle.html
    """
    configurations.delete(ctx.bucket, KIND)
