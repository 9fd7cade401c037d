"""Cross-origin rules of a bucket: which web pages may do what with it from a browser."""

from typing import Any

from shared.bucket_errors import NoSuchCORSConfiguration
from shared.context import Context
from shared.cross_origin import KIND
from shared.meta import configurations
from shared.protocol import cors
from shared.registry import s3


@s3("PutBucketCors", allow="s3:PutBucketCORS", document_bytes=cors.MAX_BYTES)
def put_bucket_cors(ctx: Context) -> None:
    """Replace the rules; they hold from the next request on. At most 100, in at most 64 KiB.

    Raises MalformedXML, InvalidRequest, InvalidArgument, MaxMessageLengthExceeded.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
    """
    configurations.put(ctx.bucket, KIND, {"CORSRules": cors.checked(ctx.params["CORSConfiguration"]["CORSRules"])})


@s3("GetBucketCors", allow="s3:GetBucketCORS")
def get_bucket_cors(ctx: Context) -> dict[str, Any]:
    """Return the rules. Raises NoSuchCORSConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketCors.html
    """
    found = configurations.find(ctx.bucket.id, KIND)
    if found is None:
        raise NoSuchCORSConfiguration(BucketName=ctx.bucket.name)
    return found


@s3("DeleteBucketCors", allow="s3:PutBucketCORS")
def delete_bucket_cors(ctx: Context) -> None:
    """Remove the rules, if there are any.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketCors.html
    """
    configurations.delete(ctx.bucket, KIND)
