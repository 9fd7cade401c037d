"""Requests made to be judged by something other than what they do."""

from __future__ import annotations

import json

import pytest

from tests import people
from tests.people import allow
from tests.s3.asking import refused
from tests.s3.raw import Raw

S3 = "arn:aws:s3:::"


@pytest.fixture
def versions(server, ann, anns):
    """Two versions of ``v`` in anns, the older one first; only the newer one is labelled ``temporary``."""
    s3 = ann.client(server)
    older = s3.put_object(Bucket=anns, Key="v", Body=b"older")["VersionId"]
    newer = s3.put_object(Bucket=anns, Key="v", Body=b"newer", Tagging="temporary=yes")["VersionId"]
    return older, newer


def raw_of(server, policy):
    who = people.make_user(server, policies=[policy])
    return Raw(server, access_key=who.access_key, secret_key=who.secret_key)


def test_a_copy_source_says_nothing_about_the_version_of_a_request_that_copies_nothing(server, anns, versions):
    older, newer = versions
    policy = allow("s3:GetObjectVersion", on=f"{S3}{anns}/*", Condition={"StringEquals": {"s3:VersionId": newer}})
    raw = raw_of(server, policy)
    named = [("x-amz-copy-source", f"{anns}/v?versionId={newer}")]
    assert raw("GET", f"/{anns}/v?versionId={newer}").body == b"newer"
    assert raw("GET", f"/{anns}/v?versionId={older}", named).status == 403


def test_nor_which_labels_the_deleted_version_has(server, ann, anns, versions):
    older, newer = versions
    tagged = {"StringEquals": {"s3:ExistingObjectTag/temporary": "yes"}}
    raw = raw_of(server, allow("s3:DeleteObjectVersion", on=f"{S3}{anns}/*", Condition=tagged))
    named = [("x-amz-copy-source", f"{anns}/v?versionId={newer}")]
    assert raw("DELETE", f"/{anns}/v?versionId={older}", named).status == 403
    assert ann.client(server).get_object(Bucket=anns, Key="v", VersionId=older)["Body"].read() == b"older"
    assert raw("DELETE", f"/{anns}/v?versionId={newer}").status == 204


@pytest.mark.parametrize("condition", [
    {"StringEquals": {"aws:userid": "anonymous"}},
    {"StringEqualsIgnoreCase": {"aws:userid": ["0" * 64, "ANONYMOUS"]}},
    {"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "k"}},
])
def test_a_condition_that_anybody_meets_leaves_a_policy_public(server, ann, anns, nobody, condition):
    s3 = ann.client(server)
    s3.put_public_access_block(Bucket=anns, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{S3}{anns}/*", "Condition": condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with refused("AccessDenied"):
        s3.put_bucket_policy(Bucket=anns, Policy=policy)
    s3.delete_public_access_block(Bucket=anns)
    s3.put_bucket_policy(Bucket=anns, Policy=policy)
    assert s3.get_bucket_policy_status(Bucket=anns)["PolicyStatus"]["IsPublic"] is True
