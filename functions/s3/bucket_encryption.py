"""Bucket encryption: how objects are encrypted whose requests do not say it."""

import json
from typing import Any

from shared.bucket_errors import ServerSideEncryptionConfigurationNotFoundError
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.encryption.request import default_of
from shared.errors import InvalidArgument, MalformedXML
from shared.meta import buckets
from shared.protocol.sse import BY_KMS, CUSTOMER, METHODS, is_key_id
from shared.registry import s3

NONE = "NONE"       # blocks nothing
BLOCKABLE = frozenset({CUSTOMER, NONE})


@s3("PutBucketEncryption", allow="s3:PutEncryptionConfiguration", document_bytes=MAX_BYTES)
def put_bucket_encryption(ctx: Context) -> None:
    """Replace the configuration, of one rule. It is about objects to come; whether its KMS key is there is seen when one is written.

    Raises MalformedXML, InvalidArgument for a KMS key with a method that has none.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
    """
    rules = ctx.params["ServerSideEncryptionConfiguration"]["Rules"]
    if len(rules) != 1:
        raise MalformedXML()
    _check(rules[0])
    buckets.change(ctx.bucket, encryption=json.dumps({"Rules": rules}))


def _check(rule: dict[str, Any]) -> None:
    by_default = rule.get("ApplyServerSideEncryptionByDefault")
    if not rule or (by_default is not None and by_default["SSEAlgorithm"] not in METHODS):
        raise MalformedXML()
    blocked = (rule.get("BlockedEncryptionTypes") or {}).get("EncryptionType", [])
    if not BLOCKABLE.issuperset(blocked) or len(set(blocked)) < len(blocked) or (NONE in blocked and len(blocked) > 1):
        raise MalformedXML()
    if by_default is None or (key := by_default.get("KMSMasterKeyID")) is None:
        return
    if by_default["SSEAlgorithm"] not in BY_KMS:
        raise InvalidArgument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse", ArgumentName="KMSMasterKeyID",
            ArgumentValue=key,
        )
    if not is_key_id(key):
        raise InvalidArgument("The key id is not valid", ArgumentName="KMSMasterKeyID")


@s3("GetBucketEncryption", allow="s3:GetEncryptionConfiguration")
def get_bucket_encryption(ctx: Context) -> dict[str, Any]:
    """Return the configuration as it was put. Without one objects are not encrypted, which AWS's buckets no longer know.

    Raises ServerSideEncryptionConfigurationNotFoundError.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html
    """
    rule = default_of(ctx.bucket.encryption)
    if not rule:
        raise ServerSideEncryptionConfigurationNotFoundError(BucketName=ctx.bucket.name)
    return {"ServerSideEncryptionConfiguration": {"Rules": [{"BucketKeyEnabled": False, **rule}]}}


@s3("DeleteBucketEncryption", allow="s3:PutEncryptionConfiguration")
def delete_bucket_encryption(ctx: Context) -> None:
    """Remove the configuration, if there is one. What is encrypted stays so.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketEncryption.html
    """
    buckets.change(ctx.bucket, encryption=None)
