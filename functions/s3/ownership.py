"""Ownership controls: who owns objects that others write into a bucket, and whether ACLs count at all."""

from typing import Any

from shared.acls import canonical_id
from shared.auth import acl
from shared.auth.engine import ENFORCED
from shared.bucket_errors import InvalidBucketAclWithObjectOwnership, OwnershipControlsNotFoundError
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import MalformedXML
from shared.meta import buckets
from shared.meta.buckets import BucketInfo
from shared.registry import s3


@s3("PutBucketOwnershipControls", allow="s3:PutBucketOwnershipControls", document_bytes=MAX_BYTES)
def put_bucket_ownership_controls(ctx: Context) -> None:
    """Set the one rule there is. BucketOwnerEnforced switches ACLs off, and only where the bucket's own grants nothing to others.

    Raises MalformedXML unless there is exactly one rule, InvalidBucketAclWithObjectOwnership.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html
    """
    rules = ctx.params["OwnershipControls"]["Rules"]
    if len(rules) != 1:
        raise MalformedXML()
    ownership, owner = rules[0]["ObjectOwnership"], canonical_id(ctx, ctx.bucket.owner_id)

    def check(bucket: BucketInfo) -> None:
        if ownership == ENFORCED and not acl.is_owners_alone(acl.load(bucket.acl, owner), owner):
            raise InvalidBucketAclWithObjectOwnership()

    buckets.change(ctx.bucket, check, ownership=ownership)


@s3("GetBucketOwnershipControls", allow="s3:GetBucketOwnershipControls")
def get_bucket_ownership_controls(ctx: Context) -> dict[str, Any]:
    """Return the rule. Raises OwnershipControlsNotFoundError where there is none.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketOwnershipControls.html
    """
    if ctx.bucket.ownership is None:
        raise OwnershipControlsNotFoundError(BucketName=ctx.bucket.name)
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": ctx.bucket.ownership}]}}


@s3("DeleteBucketOwnershipControls", allow="s3:PutBucketOwnershipControls")
def delete_bucket_ownership_controls(ctx: Context) -> None:
    """Remove the rule, if there is one: ACLs count, and objects are their writers', as with ObjectWriter.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketOwnershipControls.html
    """
    buckets.change(ctx.bucket, ownership=None)
