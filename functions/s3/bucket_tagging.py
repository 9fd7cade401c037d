"""Bucket tags: at most 50 labels on a bucket."""

from typing import Any

from shared.bucket_errors import NoSuchTagSet
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.meta import buckets
from shared.protocol import tags
from shared.registry import s3


@s3("PutBucketTagging", allow="s3:PutBucketTagging", document_bytes=MAX_BYTES)
def put_bucket_tagging(ctx: Context) -> None:
    """Replace the bucket's whole tag set.

    Raises BadRequest for more than 50; InvalidTag for a duplicate, oversized or ``aws:`` key.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html
    """
    new = tags.checked(ctx.params["Tagging"]["TagSet"], limit=tags.MAX_BUCKET_TAGS)
    buckets.change(ctx.bucket, tags=tags.dump(new))


@s3("GetBucketTagging", allow="s3:GetBucketTagging")
def get_bucket_tagging(ctx: Context) -> dict[str, Any]:
    """Return the tag set. Raises NoSuchTagSet when it is empty.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html
    """
    if ctx.bucket.tags is None:
        raise NoSuchTagSet(BucketName=ctx.bucket.name)
    return {"TagSet": tags.pairs(tags.load(ctx.bucket.tags))}


@s3("DeleteBucketTagging", allow="s3:PutBucketTagging")
def delete_bucket_tagging(ctx: Context) -> None:
    """Remove the whole tag set.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketTagging.html
    """
    buckets.change(ctx.bucket, tags=None)
