"""What every area shares: one real server for each test process, clients for it, and buckets of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from botocore.client import BaseClient

from tests.running import RunningServer

# Tests must not pick up an operator's own settings or credentials.
for name in [name for name in os.environ if name.startswith(("AWS_", "MAXIOFS_"))]:
    del os.environ[name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """The whole server, started once; its end fails the session when a process is left."""
    with RunningServer() as running:
        yield running


@pytest.fixture(scope="session")
def s3(server: RunningServer) -> BaseClient:
    """Root's client."""
    return server.client()


@pytest.fixture(scope="session")
def nobody(server: RunningServer) -> BaseClient:
    """A client that does not sign."""
    return server.client(anonymous=True)


@pytest.fixture
def new_bucket(s3: BaseClient) -> Callable[..., str]:
    """Make buckets: ``new_bucket()``, ``new_bucket(versioning="Enabled")``. Their names are random, so nothing is cleaned up."""

    def make(versioning: str = "") -> str:
        name = f"b-{os.urandom(8).hex()}"
        s3.create_bucket(Bucket=name)
        if versioning:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
        return name

    return make


@pytest.fixture
def bucket(new_bucket: Callable[..., str]) -> str:
    """A bucket that never had versioning."""
    return new_bucket()


@pytest.fixture
def versioned(new_bucket: Callable[..., str]) -> str:
    """A bucket with versioning enabled."""
    return new_bucket("Enabled")
