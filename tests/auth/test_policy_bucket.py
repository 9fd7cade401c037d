"""Bucket policies that reach beyond their bucket or are public, and the built-in policies."""

from __future__ import annotations

import json

import pytest

from shared.auth.policy import BUILTIN, Asking, PolicyError, Who, check_resources, evaluate, is_public, parse
from shared.auth.policy.builtin import TEXTS

ANN = Who("a" * 64, "arn:aws:iam::acme:user/ann", "ann", "acme")


def bucket_policy(*statements):
    common = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [{**common, **one} for one in statements]}, indent=1), "resource")


@pytest.mark.parametrize(("resource", "inside"), [
    ("arn:aws:s3:::photos", True), ("arn:aws:s3:::photos/*", True), ("arn:aws:s3:::photos/a/b", True),
    ("arn:aws:s3:::photos/${aws:username}/*", True),
    ("arn:aws:s3:::*", True), ("arn:aws:s3:::*/*", True), ("*", True), ("arn:aws:s3:::ph*", True), ("arn:aws:s3:::ph?tos/x", True),
    ("arn:aws:s3::*:photos", True),
    ("arn:aws:s3:::ph*s/x", True), ("arn:aws:s3:::photos2", False), ("arn:aws:s3:::photo", False), ("arn:aws:s3:::photos2/*", False),
    ("arn:aws:s3:::videos/*", False), ("arn:aws:s3:::v*", False), ("arn:aws:s3:::Photos", False), ("arn:aws:s3:::photos:x", False),
])
def test_resources_of_the_own_bucket(resource, inside):
    document = bucket_policy({"Action": "s3:*", "Resource": ["arn:aws:s3:::photos", resource]})
    if inside:
        check_resources(document, "photos")
        return
    with pytest.raises(PolicyError) as caught:
        check_resources(document, "photos")
    written = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::photos", resource],
    }]}, indent=1).splitlines()
    assert written[caught.value.line - 1][caught.value.column - 1 :].startswith(json.dumps(resource))


def when(operator, key, value, **more):
    return {"Condition": {operator: {key: value}}, **more}


@pytest.mark.parametrize(("statement", "public"), [
    ({}, True), ({"Principal": {"AWS": "*"}}, True), ({"Principal": {"AWS": ANN.arn}}, False),
    ({"Principal": {"AWS": [ANN.arn, "*"]}}, True),
    ({"Principal": {"CanonicalUser": "a" * 64}}, False), ({"Principal": {"AWS": "arn:aws:iam::acme:root"}}, False),
    ({"Effect": "Deny"}, False),
    (when("IpAddress", "aws:SourceIp", "10.0.0.0/32"), False), (when("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "2001:db8::/32"]), False),
    (when("IpAddress", "aws:SourceIp", "0.0.0.0/0"), True), (when("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "128.0.0.0/7"]), True),
    (when("IpAddress", "aws:SourceIp", "2000::/16"), True), (when("IpAddressIfExists", "aws:SourceIp", "10.0.0.0/8"), True),
    (when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"), True), (when("ForAllValues:IpAddress", "aws:SourceIp", "10.0.0.0/8"), True),
    (when("StringEquals", "aws:PrincipalArn", ANN.arn), False), (when("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/ann"), True),
    (when("StringEquals", "AWS:UserId", "a" * 64), False), (when("StringEquals", "aws:userid", "${aws:userid}"), True),
    (when("StringLike", "aws:userid", "a*"), True), (when("StringEquals", "aws:userid", ["a" * 64, "anonymous"]), True),
    (when("StringEqualsIgnoreCase", "aws:userid", "Anonymous"), True),
    (when("StringEquals", "s3:x-amz-server-side-encryption-aws-kms-key-id", "k"), True),
    (when("StringNotEquals", "aws:userid", "a"), True), (when("StringEquals", "aws:Referer", "http://x"), True),
    (when("StringEquals", "s3:prefix", "a"), True),
    (when("Bool", "aws:SecureTransport", "true"), True), (when("StringEquals", "aws:SourceVpc", "vpc-1"), False),
    (when("Null", "aws:userid", "false"), True),
])
def test_what_public_means(statement, public):
    assert is_public(bucket_policy(statement)) is public
    assert is_public(bucket_policy({"Principal": {"AWS": ANN.arn}}, statement)) is public


def may(name, action, resource="arn:aws:s3:::b/k", **context):
    assert parse(TEXTS[name], "identity").warnings == ()
    known = {"aws:userid": (ANN.canonical_id,), **{key.replace("_", ":"): (value,) for key, value in context.items()}}
    return evaluate([(name, BUILTIN[name])], Asking(action, resource, ANN, known.get)).effect == "allow"


def test_the_builtin_policies_are_these():
    assert set(BUILTIN) == {"administrator", "tenant-admin", "readwrite", "readonly", "writeonly", "console", "owner"}


@pytest.mark.parametrize(("action", "who_may"), [
    ("s3:GetObject", {"administrator", "tenant-admin", "readwrite", "readonly"}),
    ("s3:PutObject", {"administrator", "tenant-admin", "readwrite", "writeonly"}),
    ("s3:DeleteObject", {"administrator", "tenant-admin", "readwrite"}),
    ("s3:ListBucket", {"administrator", "tenant-admin", "readwrite", "readonly"}),
    ("s3:PutBucketPolicy", {"administrator", "tenant-admin", "readwrite"}),
    ("s3:ListAllMyBuckets", {"administrator", "tenant-admin", "readwrite", "readonly", "console", "owner"}),
    ("s3:CreateBucket", {"administrator", "tenant-admin", "readwrite", "owner"}),
    ("s3:AbortMultipartUpload", {"administrator", "tenant-admin", "readwrite", "writeonly"}),
    ("admin:CreateUser", {"administrator", "tenant-admin"}), ("admin:CreateTenant", {"administrator"}),
    ("admin:UpdateTenantQuota", {"administrator"}),
    ("admin:UpdateSettings", {"administrator"}), ("admin:GetRun", {"administrator", "tenant-admin"}),
])
def test_who_may_what_by_the_builtin_policies(action, who_may):
    assert {name for name in BUILTIN if may(name, action)} == who_may


def test_the_owner_policy_ends_at_the_own_buckets():
    assert may("owner", "s3:DeleteBucket", maxiofs_bucketowner=ANN.canonical_id)
    assert not may("owner", "s3:DeleteBucket", maxiofs_bucketowner="b" * 64)
    assert not may("owner", "s3:DeleteBucket")
    assert not may("owner", "admin:CreateUser", maxiofs_bucketowner=ANN.canonical_id)
