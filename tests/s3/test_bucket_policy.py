"""Bucket policies: kept as they were sent, refused with the place of the fault, and whether they make the bucket public."""

from __future__ import annotations

import json

import pytest

from tests.s3.asking import refused
from tests.s3.raw import Raw


def policy(bucket, *, principal: object = "*", action: object = "s3:GetObject", resource: str = "", effect="Allow", **more):
    statement = {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource or f"arn:aws:s3:::{bucket}/*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def open_bucket(s3, bucket):
    """A bucket where public policies may be put."""
    s3.delete_public_access_block(Bucket=bucket)
    return bucket


def test_a_policy_comes_back_as_it_was_sent(s3, open_bucket):
    text = json.dumps(json.loads(policy(open_bucket)), indent=3) + "\n"
    s3.put_bucket_policy(Bucket=open_bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=open_bucket)["Policy"] == text


def test_the_reply_is_the_json_itself(raw: Raw, s3, open_bucket):
    text = policy(open_bucket)
    put = raw("PUT", f"/{open_bucket}?policy", body=text.encode())
    assert (put.status, put.body) == (204, b"")
    got = raw("GET", f"/{open_bucket}?policy")
    assert (got.status, got.body, got.headers["content-type"]) == (200, text.encode(), "application/json")


def test_a_new_policy_replaces_the_old_one(s3, open_bucket):
    for action in ("s3:GetObject", "s3:ListBucket"):
        text = policy(open_bucket, action=action, resource=f"arn:aws:s3:::{open_bucket}*")
        s3.put_bucket_policy(Bucket=open_bucket, Policy=text)
    assert json.loads(s3.get_bucket_policy(Bucket=open_bucket)["Policy"])["Statement"][0]["Action"] == "s3:ListBucket"


def test_a_policy_can_be_deleted_and_deleted_again(s3, open_bucket):
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket))
    for _ in range(2):
        s3.delete_bucket_policy(Bucket=open_bucket)
        with refused("NoSuchBucketPolicy", status=404):
            s3.get_bucket_policy(Bucket=open_bucket)


@pytest.mark.parametrize(
    "text",
    [
        "x", "[]", "{", '{"Version": "2012-10-17"}', '{"Version": "2012-10-17", "Statement": []}',
        policy("b").replace("2012-10-17", "1999-01-01"),
        policy("b", effect="Maybe"), policy("b", principal="somebody"), policy("b", action=7),
    ],
)
def test_what_is_no_policy_is_refused(s3, open_bucket, text):
    with refused("MalformedPolicy", status=400):
        s3.put_bucket_policy(Bucket=open_bucket, Policy=text.replace(":::b/", f":::{open_bucket}/"))
    with refused("NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=open_bucket)


def test_an_empty_body_is_no_policy(raw: Raw, open_bucket):
    assert raw("PUT", f"/{open_bucket}?policy").code in ("MalformedPolicy", "MissingRequestBodyError")


def test_a_policy_speaks_of_its_own_bucket_only(s3, open_bucket):
    for resource in ("arn:aws:s3:::another-bucket", "arn:aws:s3:::another-bucket/*", f"arn:aws:s3:::{open_bucket}x/*"):
        with refused("MalformedPolicy", status=400):
            s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, resource=resource))


def test_a_policy_has_at_most_20_kib(s3, open_bucket):
    statement = json.loads(policy(open_bucket))["Statement"][0]

    def of(size):
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return text[:-1] + " " * (size - len(text)) + "}"

    s3.put_bucket_policy(Bucket=open_bucket, Policy=of(20_480))
    with refused("MalformedPolicy", status=400):
        s3.put_bucket_policy(Bucket=open_bucket, Policy=of(20_481))


@pytest.mark.parametrize(
    ("arguments", "public"),
    [
        ({}, True),
        ({"principal": {"AWS": "*"}}, True),
        ({"principal": {"AWS": "arn:aws:iam::tenant:root"}}, False),
        ({"effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, False),
    ],
)
def test_the_status_says_whether_a_policy_is_public(s3, open_bucket, arguments, public):
    assert s3.get_bucket_policy_status(Bucket=open_bucket)["PolicyStatus"]["IsPublic"] is False
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, **arguments))
    assert s3.get_bucket_policy_status(Bucket=open_bucket)["PolicyStatus"]["IsPublic"] is public


@pytest.mark.parametrize("name", ["public-read", "authenticated-read"])
def test_the_status_counts_acls_that_count(s3, acl_bucket, name):
    s3.put_bucket_acl(Bucket=acl_bucket, ACL=name)
    assert s3.get_bucket_policy_status(Bucket=acl_bucket)["PolicyStatus"]["IsPublic"] is True
    s3.put_public_access_block(Bucket=acl_bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert s3.get_bucket_policy_status(Bucket=acl_bucket)["PolicyStatus"]["IsPublic"] is False
