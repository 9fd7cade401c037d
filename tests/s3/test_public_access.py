"""The public access block: four switches, and what they forbid to say."""

from __future__ import annotations

import json

import pytest

from tests.s3.asking import refused

SWITCHES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def switches(s3, bucket):
    return s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]


def test_everything_is_blocked_in_a_new_bucket(s3, bucket):
    assert switches(s3, bucket) == dict.fromkeys(SWITCHES, True)


@pytest.mark.parametrize("on", [(), *((name,) for name in SWITCHES), SWITCHES[1:3]])
def test_what_is_not_named_is_off(s3, bucket, on):
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(on, True))
    assert switches(s3, bucket) == {name: name in on for name in SWITCHES}


def test_the_block_can_be_removed_and_removed_again(s3, bucket):
    for _ in range(2):
        answer = s3.delete_public_access_block(Bucket=bucket)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        with refused("NoSuchPublicAccessBlockConfiguration", status=404):
            s3.get_public_access_block(Bucket=bucket)


def test_a_public_bucket_acl_is_refused_where_that_is_blocked(s3, acl_bucket):
    s3.put_public_access_block(Bucket=acl_bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    for name in ("public-read", "public-read-write", "authenticated-read"):
        with refused("AccessDenied", status=403):
            s3.put_bucket_acl(Bucket=acl_bucket, ACL=name)
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="private")


@pytest.mark.parametrize(("principal", "public"), [("*", True), ({"AWS": "*"}, True), ({"AWS": "arn:aws:iam::tenant:root"}, False)])
def test_a_public_policy_is_refused_where_that_is_blocked(s3, bucket, principal, public):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    if public:
        with refused("AccessDenied", status=403):
            s3.put_bucket_policy(Bucket=bucket, Policy=policy)
        with refused("NoSuchBucketPolicy"):
            s3.get_bucket_policy(Bucket=bucket)
    else:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
