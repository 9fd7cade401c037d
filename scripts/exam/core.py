"""What is examined: the part of the suite that is about S3 and that a correct server can pass, and its kinds of cases."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

FILES = ("s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py")

# Not S3 as AWS has it, or not this issue's: extensions of another server, storage in a cloud behind, IAM, signatures of version 2, and
# conditions of directory buckets.
CORE = " and ".join([
    "not bucket_logging", "not cloud_transition", "not cloud_restore", "not lifecycle_transition", "not iam_account", "not auth_aws2",
    "not (conditional_write and fails_on_aws)",
])
# Cases that wait for lifecycle rules to be carried out, with days of some seconds.
SLOW = "(lifecycle_expiration and fails_on_aws) or (delete_marker and lifecycle)"
LANES = {"fast": f"not ({SLOW})", "slow": SLOW, "all": ""}

# Cases of the two files that are outside of the core though no mark says so, by what AWS does instead.
LEFT_OUT = {
    "the request on the wire is valid: what the case takes away is put back by signing": (
        "test_bucket_create_bad_authorization_empty", "test_bucket_create_bad_authorization_none",
        "test_object_create_bad_authorization_empty", "test_object_create_bad_authorization_none",
        "test_object_create_bad_contentlength_none",
    ),
    "replies, parameters, names and refusals of another server": (
        "test_account_usage", "test_bucket_head_extended", "test_head_bucket_usage", "test_bucket_list_unordered",
        "test_bucket_listv2_unordered", "test_bucket_policy_tenanted_bucket", "test_list_buckets_anonymous",
        "test_bucket_recreate_new_acl", "test_bucket_recreate_overwrite_acl", "test_bucket_policy_different_tenant",
    ),
    "presigned with signatures of version 2": (
        "test_cors_presigned_get_object_v2", "test_cors_presigned_get_object_tenant_v2", "test_cors_presigned_put_object_v2",
        "test_cors_presigned_put_object_tenant_v2",
    ),
    "expects of its own request what it does not send": (
        "test_bucket_policy_put_obj_request_obj_tag", "test_object_set_get_unicode_metadata",
    ),
    "expects a refusal of what AWS accepts": (
        "test_bucket_policy_set_condition_operator_end_with_IfExists", "test_object_read_unreadable",
    ),
}  # fmt: skip
# Asserts that its account owns no other bucket, so nothing may run beside it.
ALONE = ("test_list_buckets_paginated",)


class Case(NamedTuple):
    """A case of the suite: its pytest id and its marks."""

    id: str
    marks: Collection[str] = ()

    @property
    def file(self) -> str:
        """The name of its file, without the ending."""
        return self.id.partition("::")[0].rpartition("/")[2].removesuffix(".py")

    @property
    def function(self) -> str:
        """The name of its function, without parameters."""
        return self.id.rpartition("::")[2].partition("[")[0]


# The first row whose pattern is found in "file function marks" names the category.
_CATEGORIES = [
    (name, re.compile(pattern)) for name, pattern in (
        ("headers", r"^test_headers "),
        ("SSE: copies", r" test_copy(_part)?_enc "),
        ("object lock", r" test_object_lock"),
        ("SSE-C", r"sse_c_|no_sse_c|encrypted_transfer|conflict_c_"),
        ("SSE-KMS", r"^(?!.*bucket_policy).* test_\w*kms"),
        ("SSE-S3", r"^(?!.*bucket_policy).* test_\w*(sse_s3|_encryption)"),
        ("POST object", r" test_post_object"),
        ("CORS", r" test_\w*cors"),
        ("lifecycle: rules", r"^(?!.*lifecycle_expiration).* test_lifecycle"),
        ("lifecycle: expiration", r" lifecycle_expiration| test_lifecycle"),
        ("ownership controls", r" object_ownership"),
        ("public access", r"public_block|block_public|ignore_public|policy_status"),
        ("bucket policy", r" bucket_policy|_policy"),
        ("object attributes", r"object_attributes"),
        ("checksums", r" checksum"),
        ("tagging", r" tagging|_tags"),
        ("ACL", r"_acl|_access_bucket|_grant"),
        ("conditional writes", r" conditional_write|_put_object_if"),
        ("conditional reads", r"_ifmatch|_ifnonematch|_ifmodified|_ifunmodified"),
        ("versioning", r"version(ing|ed)|delete_marker"),
        ("copies", r" copy|_copy_"),
        ("multipart", r"_multipart"),
        ("ListObjectsV2", r"list_objects_v2|listv2"),
        ("ListObjects", r" test_bucket_list_|_special_prefix"),
        ("presigned, anonymous, raw", r"_raw_|_anon_|presigned|_put_authenticated"),
        ("atomicity", r"atomic"),
        ("ranges", r"range"),
        ("buckets", r" test_(list_)?buckets?"),
        ("objects", r""),
    )
]  # fmt: skip


def category_of(case: Case) -> str:
    """The category of a case, by its name and marks."""
    text = f"{case.file} {case.function} {' '.join(sorted(case.marks))} "
    return next(name for name, pattern in _CATEGORIES if pattern.search(text))


def order_of(category: str) -> int:
    """Where a category stands in tables."""
    return next((number for number, (name, _) in enumerate(_CATEGORIES) if name == category), len(_CATEGORIES))


def is_left_out(case: Case) -> bool:
    """Whether it is outside of the core by name."""
    return any(case.function in names for names in LEFT_OUT.values())
