"""The public access block of a bucket: four switches that keep ACLs and policies from making it public."""

from typing import Any

from shared.bucket_errors import NoSuchPublicAccessBlockConfiguration
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.meta import buckets
from shared.meta.models import PUBLIC_ACCESS
from shared.registry import s3


@s3("PutPublicAccessBlock", allow="s3:PutBucketPublicAccessBlock", document_bytes=MAX_BYTES)
def put_public_access_block(ctx: Context) -> None:
    """Set all four switches; what is not named is off. ACLs and policies that are there already stay, and count or not as the switches say.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
    """
    wanted = ctx.params["PublicAccessBlockConfiguration"]
    buckets.change(ctx.bucket, public_access=sum(1 << place for place, name in enumerate(PUBLIC_ACCESS) if wanted.get(name)))


@s3("GetPublicAccessBlock", allow="s3:GetBucketPublicAccessBlock")
def get_public_access_block(ctx: Context) -> dict[str, Any]:
    """Return the four switches. Raises NoSuchPublicAccessBlockConfiguration where they were removed.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html
    """
    switches = ctx.bucket.public_access
    if switches is None:
        raise NoSuchPublicAccessBlockConfiguration(BucketName=ctx.bucket.name)
    return {"PublicAccessBlockConfiguration": {name: bool(switches >> place & 1) for place, name in enumerate(PUBLIC_ACCESS)}}


@s3("DeletePublicAccessBlock", allow="s3:PutBucketPublicAccessBlock")
def delete_public_access_block(ctx: Context) -> None:
    """Remove the switches: nothing is blocked any more.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeletePublicAccessBlock.html
    """
    buckets.change(ctx.bucket, public_access=None)
