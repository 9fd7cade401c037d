"""S3 Control's tags: another way to the tags of a bucket, one by one instead of the whole set."""

from shared.context import Context
from shared.errors import InvalidRequest, OperationAborted
from shared.meta import buckets
from shared.meta.buckets import BucketInfo
from shared.protocol import control, tags
from shared.registry import s3
from shared.request import Reply


@s3("ListTagsForResource", allow="s3:ListTagsForResource")
def list_tags_for_resource(ctx: Context) -> Reply:
    """Return the tags of a bucket, which may be none.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListTagsForResource.html
    """
    found = tags.pairs(tags.load(ctx.bucket.tags))
    return Reply(200, [("Content-Type", "application/xml")], control.listing(found))


@s3("TagResource", allow="s3:TagResource")
def tag_resource(ctx: Context) -> Reply:
    """Add tags to a bucket; those of the same keys get new values. Raises MalformedXML, BadRequest for more than 50, InvalidTag.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_TagResource.html
    """
    assert ctx.body is not None
    added = tags.checked(control.tags_in(ctx.body.data), limit=tags.MAX_BUCKET_TAGS)
    return _changed(ctx, {**tags.load(ctx.bucket.tags), **added})


@s3("UntagResource", allow="s3:UntagResource")
def untag_resource(ctx: Context) -> Reply:
    """Remove the tags that ``tagKeys`` names, if they are there. Raises InvalidRequest when it names none.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_UntagResource.html
    """
    keys = control.keys_in(ctx.target.raw_query)
    if not keys:
        raise InvalidRequest("The request names no tag keys.")
    return _changed(ctx, {key: value for key, value in tags.load(ctx.bucket.tags).items() if key not in keys})


def _changed(ctx: Context, wanted: dict[str, str]) -> Reply:
    new = tags.checked(tags.pairs(wanted), limit=tags.MAX_BUCKET_TAGS)

    def unchanged(found: BucketInfo) -> None:
        if found.tags != ctx.bucket.tags:       # what somebody else added meanwhile must not be lost
            raise OperationAborted()

    buckets.change(ctx.bucket, unchanged, tags=tags.dump(new))
    return Reply(204)
