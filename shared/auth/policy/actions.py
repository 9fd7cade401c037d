"""The actions and condition keys that requests can have: for warnings, nothing is decided by them.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from shared.auth.policy.patterns import Glob

On = Literal["object", "bucket", "service"]

OBJECT = frozenset({
    "AbortMultipartUpload", "BypassGovernanceRetention", "DeleteObject", "DeleteObjectTagging", "DeleteObjectVersion",
    "DeleteObjectVersionTagging", "GetObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention",
    "GetObjectTagging", "GetObjectTorrent", "GetObjectVersion", "GetObjectVersionAcl", "GetObjectVersionAttributes",
    "GetObjectVersionForReplication", "GetObjectVersionTagging", "GetObjectVersionTorrent", "InitiateReplication",
    "ListMultipartUploadParts", "ObjectOwnerOverrideToBucketOwner", "PutObject", "PutObjectAcl", "PutObjectLegalHold",
    "PutObjectRetention", "PutObjectTagging", "PutObjectVersionAcl", "PutObjectVersionTagging", "ReplicateDelete", "ReplicateObject",
    "ReplicateTags", "RestoreObject", "UpdateObjectEncryption",
})
BUCKET = frozenset({
    "CreateBucket", "CreateBucketMetadataTableConfiguration", "DeleteBucket", "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketPolicy", "DeleteBucketWebsite", "GetAccelerateConfiguration", "GetAnalyticsConfiguration", "GetBucketAbac",
    "GetBucketAcl", "GetBucketCORS", "GetBucketLocation", "GetBucketLogging", "GetBucketMetadataTableConfiguration",
    "GetBucketNotification", "GetBucketObjectLockConfiguration", "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketPolicyStatus",
    "GetBucketPublicAccessBlock", "GetBucketRequestPayment", "GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite",
    "GetEncryptionConfiguration", "GetIntelligentTieringConfiguration", "GetInventoryConfiguration", "GetLifecycleConfiguration",
    "GetMetricsConfiguration", "GetReplicationConfiguration", "ListBucket", "ListBucketMultipartUploads", "ListBucketVersions",
    "ListTagsForResource", "PutAccelerateConfiguration", "PutAnalyticsConfiguration", "PutBucketAbac", "PutBucketAcl", "PutBucketCORS",
    "PutBucketLogging", "PutBucketNotification", "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy",
    "PutBucketPublicAccessBlock", "PutBucketRequestPayment", "PutBucketTagging", "PutBucketVersioning", "PutBucketWebsite",
    "PutEncryptionConfiguration", "PutIntelligentTieringConfiguration", "PutInventoryConfiguration", "PutLifecycleConfiguration",
    "PutMetricsConfiguration", "PutReplicationConfiguration", "TagResource", "UntagResource",
})
SERVICE = frozenset({"GetAccountPublicAccessBlock", "ListAllMyBuckets", "PutAccountPublicAccessBlock"})
ADMIN = frozenset({
    "AddGroupMember", "AttachPolicy", "CreateAccessKey", "CreateEncryptionKey", "CreateGroup", "CreatePolicy", "CreateRole", "CreateTenant",
    "CreateUser", "DeleteAccessKey", "DeleteGroup", "DeletePolicy", "DeleteRole", "DeleteShare", "DeleteTenant", "DeleteUser",
    "DetachPolicy", "ForceDeleteBucket", "GetAuditLog", "GetEncryptionKey", "GetGroup", "GetPolicy", "GetRole", "GetRun", "GetSettings",
    "GetTenant", "GetUser", "ListAccessKeys", "ListEncryptionKeys", "ListGroups", "ListPolicies", "ListRoles", "ListSessions",
    "ListShares", "ListTenants", "ListUsers", "PutBucketOwner", "RemoveGroupMember", "ResetTwoFactor", "RevokeSession",
    "RotateEncryptionKey", "UpdateAccessKey", "UpdateEncryptionKey", "UpdateGroup", "UpdatePolicy", "UpdateRole", "UpdateSettings",
    "UpdateTenant", "UpdateUser",
})

_ON: dict[str, On] = {
    **{f"s3:{name}".lower(): "object" for name in OBJECT},
    **{f"s3:{name}".lower(): "bucket" for name in BUCKET},
    **{f"s3:{name}".lower(): "service" for name in SERVICE},
    **{f"admin:{name}".lower(): "service" for name in ADMIN},
}

# In lower case, as shared.condition_keys answers them; a key that is not built yet is warned of, because no request has it.
KEYS = frozenset({
    "aws:currenttime", "aws:epochtime", "aws:principalaccount", "aws:principalarn", "aws:principaltype", "aws:referer",
    "aws:securetransport", "aws:sourceip", "aws:useragent", "aws:userid", "aws:username", "maxiofs:bucketowner", "s3:authtype",
    "s3:delimiter", "s3:max-keys", "s3:prefix", "s3:requestobjecttagkeys", "s3:resourceaccount", "s3:signatureversion", "s3:versionid",
    "s3:x-amz-copy-source", "s3:object-lock-legal-hold", "s3:object-lock-mode", "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date", "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
})
_PREFIXES = ("aws:principaltag/", "s3:existingobjecttag/", "s3:requestobjecttag/", "s3:x-amz-")


@lru_cache(maxsize=1024)
def known(pattern: Glob) -> frozenset[On] | None:
    """What the actions that a lower-case pattern matches work on, those of the admin API on the "service"; None when it can match none."""
    return frozenset({on for action, on in _ON.items() if pattern.matches(action)}) or None


def is_known_key(key: str) -> bool:
    """Whether requests can have this condition key, in any case."""
    key = key.lower()
    return key in KEYS or key.startswith(_PREFIXES)
