"""People and buckets for the tests of permissions."""

from __future__ import annotations

import json

import pytest

from tests import people

S3 = "arn:aws:s3:::"


@pytest.fixture
def ann(server):
    """May do everything with what is hers."""
    return people.make_user(server, policies=["owner"])


@pytest.fixture
def bob(server):
    """Has no policy at all."""
    return people.make_user(server)


@pytest.fixture
def anns(server, ann):
    """A bucket of ann's: versioned, no public access block, and in it ``k`` and ``public/k``."""
    name, s3 = people.unused("anns"), ann.client(server)
    s3.create_bucket(Bucket=name)
    people.configure(server, name, public_access=0)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("k", "public/k"):
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


@pytest.fixture
def put_policy(server, ann):
    """Set a bucket policy as ann: ``put_policy(bucket, statement, …)``; a statement without Principal is for everybody."""

    def put(bucket, *statements):
        whole = [{"Principal": "*", "Effect": "Allow", **one} for one in statements]
        ann.client(server).put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": whole}))

    return put
