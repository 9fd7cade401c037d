"""Hand-made requests and shorthands for the S3 tests."""

from __future__ import annotations

import pytest

from tests.running import RunningServer
from tests.s3.raw import Raw


@pytest.fixture(scope="session")
def raw(server: RunningServer) -> Raw:
    """Sends requests made by hand, signed as root."""
    return Raw(server)
