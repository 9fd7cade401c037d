"""The access control list of a bucket: who may list it, write into it, and read or write the list."""

from typing import Any

from shared import acls
from shared.acls import canonical_id
from shared.auth import acl
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.meta import buckets
from shared.registry import s3


@s3("GetBucketAcl", allow="s3:GetBucketAcl")
def get_bucket_acl(ctx: Context) -> dict[str, Any]:
    """Return owner and grants; of a bucket with ACLs switched off its owner's full control.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html
    """
    return acls.shown(acl.load(ctx.bucket.acl, canonical_id(ctx, ctx.bucket.owner_id)))


@s3("PutBucketAcl", allow="s3:PutBucketAcl", document_bytes=MAX_BYTES)
def put_bucket_acl(ctx: Context) -> None:
    """Replace the list by a canned one, by grants in headers, or by a document.

    Raises AccessControlListNotSupported, AccessDenied (public, where that is blocked; another owner), MalformedACLError, InvalidArgument,
    UnresolvableGrantByEmailAddress, InvalidRequest, UnexpectedContent, MissingSecurityHeader.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html
    """
    new = acls.asked(ctx, canonical_id(ctx, ctx.bucket.owner_id), None)
    buckets.change(ctx.bucket, lambda bucket: acls.check(bucket, new), acl=acl.dump(new))
