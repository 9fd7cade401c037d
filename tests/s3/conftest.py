"""Hand-made requests and shorthands for the S3 tests."""

from __future__ import annotations

import os

import pytest
from botocore.client import BaseClient

from tests.running import RunningServer
from tests.s3.raw import Raw


@pytest.fixture(scope="session")
def raw(server: RunningServer) -> Raw:
    """Sends requests made by hand, signed as root."""
    return Raw(server)


@pytest.fixture
def acl_bucket(s3: BaseClient) -> str:
    """A bucket where ACLs count and nothing public is blocked."""
    name = f"b-{os.urandom(8).hex()}"
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=name)
    return name



@pytest.fixture
def locked(s3: BaseClient) -> str:
    """A bucket with object lock and no default retention."""
    name = f"b-{os.urandom(8).hex()}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name
