"""Bucket names: AWS's rules for general purpose buckets."""

from __future__ import annotations

import re

from shared.errors import InvalidBucketName

_PATTERN = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}\Z")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_DOTS = ("..", ".-", "-.")  # every label is a host name's: it neither starts nor ends with a hyphen


def check_bucket_name(name: str) -> None:
    """Raise InvalidBucketName unless a bucket may be created under this name.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if (
        not _PATTERN.match(name)
        or _ADDRESS.match(name)
        or name.startswith(_PREFIXES)
        or name.endswith(_SUFFIXES)
        or any(dots in name for dots in _DOTS)
    ):
        raise InvalidBucketName(BucketName=name)
