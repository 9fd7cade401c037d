"""What the tests of object lock share."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from tests.s3.asking import read, refused

DAY = timedelta(days=1)


def soon(seconds: float = 3600) -> datetime:
    """A date to come, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def content_md5(body: bytes) -> tuple[str, str]:
    """The header."""
    return "Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode()


def put(s3, bucket, key="k", **more) -> str:
    """Write ``data``; returns the version id."""
    return s3.put_object(Bucket=bucket, Key=key, Body=b"data", **more)["VersionId"]


def retain(s3, bucket, until, mode="GOVERNANCE", **more):
    """Put a retention on k."""
    return s3.put_object_retention(Bucket=bucket, Key="k", Retention={"Mode": mode, "RetainUntilDate": until}, **more)


def stays(s3, bucket, version, **more):
    """Object lock keeps the version of k from being deleted."""
    with refused("AccessDenied", status=403) as told:
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version, **more)
    assert "object lock" in told.error["Message"]
    assert read(s3, bucket, "k", VersionId=version) == b"data"
