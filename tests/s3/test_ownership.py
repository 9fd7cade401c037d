"""Ownership controls: their three values, and that ACLs and BucketOwnerEnforced exclude each other."""

from __future__ import annotations

import pytest

from tests.s3.asking import at_once, code_of, refused
from tests.s3.raw import Raw

VALUES = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]


def ownership(s3, bucket):
    return s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]


def controls(value):
    return {"Rules": [{"ObjectOwnership": value}]}


def test_a_new_bucket_is_its_owner_s_alone(s3, bucket):
    assert ownership(s3, bucket) == [{"ObjectOwnership": "BucketOwnerEnforced"}]


@pytest.mark.parametrize("value", VALUES)
def test_each_value_comes_back(s3, bucket, value):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls(value))
    assert ownership(s3, bucket) == [{"ObjectOwnership": value}]
    made = f"{bucket}-made"
    s3.create_bucket(Bucket=made, ObjectOwnership=value)
    assert ownership(s3, made) == [{"ObjectOwnership": value}]


def test_controls_can_be_removed_and_removed_again(s3, bucket):
    for _ in range(2):
        s3.delete_bucket_ownership_controls(Bucket=bucket)
        with refused("OwnershipControlsNotFoundError", status=404):
            s3.get_bucket_ownership_controls(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")


@pytest.mark.parametrize("name", ["public-read", "authenticated-read", "log-delivery-write"])
def test_a_bucket_that_grants_something_keeps_its_acls(s3, acl_bucket, name):
    s3.put_bucket_acl(Bucket=acl_bucket, ACL=name)
    with refused("InvalidBucketAclWithObjectOwnership", status=400):
        s3.put_bucket_ownership_controls(Bucket=acl_bucket, OwnershipControls=controls("BucketOwnerEnforced"))
    assert ownership(s3, acl_bucket) == [{"ObjectOwnership": "ObjectWriter"}]
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="private")
    s3.put_bucket_ownership_controls(Bucket=acl_bucket, OwnershipControls=controls("BucketOwnerEnforced"))


def test_a_bucket_never_ends_up_with_both(s3, acl_bucket):
    def change(number):
        if number % 2:
            return s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read")
        return s3.put_bucket_ownership_controls(Bucket=acl_bucket, OwnershipControls=controls("BucketOwnerEnforced"))

    told = [code_of(result) for result in at_once(8, change)]
    granted = len(s3.get_bucket_acl(Bucket=acl_bucket)["Grants"]) > 1
    assert granted != (ownership(s3, acl_bucket) == [{"ObjectOwnership": "BucketOwnerEnforced"}]), told


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<OwnershipControls/>", b"<OwnershipControls><Rule/></OwnershipControls>",
        b"<OwnershipControls><Rule><ObjectOwnership>Mine</ObjectOwnership></Rule></OwnershipControls>",
        b"<OwnershipControls>" + b"<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>" * 2 + b"</OwnershipControls>",
    ],
)
def test_anything_but_one_rule_is_refused(raw: Raw, s3, bucket, body):
    assert raw("PUT", f"/{bucket}?ownershipControls", body=body).code in ("MalformedXML", "MissingRequestBodyError")
    assert ownership(s3, bucket) == [{"ObjectOwnership": "BucketOwnerEnforced"}]
