"""The bucket policy: who may do what with a bucket and its objects, in the JSON language of AWS."""

from typing import Any

from shared import acls
from shared.acls import canonical_id
from shared.auth import acl, policy
from shared.auth.engine import ENFORCED
from shared.bucket_errors import NoSuchBucketPolicy
from shared.context import Context
from shared.errors import AccessDenied, MalformedPolicy
from shared.meta import buckets
from shared.meta.buckets import BucketInfo
from shared.registry import s3


@s3("PutBucketPolicy", allow="s3:PutBucketPolicy")
def put_bucket_policy(ctx: Context) -> None:
    """Replace the policy, of at most 20 KiB. It is kept as it was sent.

    Raises MalformedPolicy, which says where the fault is, also for resources outside the bucket; AccessDenied for a public policy where
    the public access block forbids one.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
    """
    text = ctx.params["Policy"]
    document = _parsed(text, ctx.bucket.name)

    def check(bucket: BucketInfo) -> None:
        if (bucket.public_access or 0) & acls.BLOCK_POLICY and policy.is_public(document):
            raise AccessDenied()

    buckets.change(ctx.bucket, check, policy=text)


def _parsed(text: str, bucket_name: str) -> policy.Document:
    try:
        document = policy.parse(text, "resource")
        policy.check_resources(document, bucket_name)
    except policy.PolicyError as error:
        raise MalformedPolicy(str(error)) from None
    return document


@s3("GetBucketPolicy", allow="s3:GetBucketPolicy")
def get_bucket_policy(ctx: Context) -> dict[str, Any]:
    """Return the policy as it was sent. Raises NoSuchBucketPolicy.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
    """
    if ctx.bucket.policy is None:
        raise NoSuchBucketPolicy(BucketName=ctx.bucket.name)
    return {"Policy": ctx.bucket.policy}


@s3("DeleteBucketPolicy", allow="s3:DeleteBucketPolicy")
def delete_bucket_policy(ctx: Context) -> None:
    """Remove the policy, if there is one.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html
    """
    buckets.change(ctx.bucket, policy=None)


@s3("GetBucketPolicyStatus", allow="s3:GetBucketPolicyStatus")
def get_bucket_policy_status(ctx: Context) -> dict[str, Any]:
    """Say whether the bucket is public: by its policy, or by an ACL that counts. Without a policy it answers as well, where AWS does not.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html
    """
    bucket = ctx.bucket
    by_policy = bucket.policy is not None and policy.is_public(_parsed(bucket.policy, bucket.name))
    ignored = bucket.ownership == ENFORCED or (bucket.public_access or 0) & acls.IGNORE_ACLS
    by_acl = not ignored and acl.is_public(acl.load(bucket.acl, canonical_id(ctx, bucket.owner_id)))
    return {"PolicyStatus": {"IsPublic": by_policy or by_acl}}
