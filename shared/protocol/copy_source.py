"""The source of a copy: x-amz-copy-source."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from shared.errors import InvalidArgument, KeyTooLongError
from shared.protocol.target import MAX_KEY_BYTES

_HEADER = "x-amz-copy-source"
_VERSION = "?versionId="
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class CopySource(NamedTuple):
    """Where a copy reads from; ``version_id`` None means the current version."""

    bucket: str
    key: bytes
    version_id: str | None


def parse_copy_source(header: str, name: str = _HEADER) -> CopySource:
    """Read ``[/]bucket/key[?versionId=id]``, percent-encoded, latin-1 text as sent; a plus is a space.

    The key may hold encoded question marks and slashes at its start. ``name`` is that of the header, for what is told about it.
    Raises InvalidArgument, KeyTooLongError.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#AmazonS3-CopyObject-request-header-CopySource
    """
    path, found, version = header.rpartition(_VERSION)
    if not found:
        path, version = header, ""
    bucket, _, key = _decoded(path, header, name).removeprefix("/").partition("/")
    version_id = _decoded(version, header, name) if found else None
    if not bucket or not key:
        raise _invalid("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", header, name)
    if version_id == "":
        raise _invalid("Version id cannot be the empty string", header, name)
    raw_key = key.encode("utf-8")
    if len(raw_key) > MAX_KEY_BYTES:
        raise KeyTooLongError(Size=len(raw_key), MaxSizeAllowed=MAX_KEY_BYTES)
    return CopySource(bucket, raw_key, version_id)


def _decoded(text: str, header: str, name: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise _invalid("The copy source is not URL-encoded", header, name)
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid("The copy source is not UTF-8", header, name) from None


def _invalid(message: str, header: str, name: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=header)
