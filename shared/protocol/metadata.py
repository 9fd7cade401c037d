"""What is stored with an object beside its bytes: system headers and the user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidArgument, InvalidRedirectLocation, MetadataTooLarge

MAX_USER_METADATA_BYTES = 2048  # names without prefix, and values
PREFIX = "x-amz-meta-"
MAX_REDIRECT_LENGTH = 2048
REDIRECTS = ("/", "http://", "https://")    # what x-amz-website-redirect-location begins with

# What came as a header is one; what came in a presigned query or from the command line may be anything, and could never be sent back.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")

# Parameter of the operation → the header it came as and goes back as.
_SYSTEM = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "Expires": "Expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}
_MEMBERS = {header: member for member, header in _SYSTEM.items()}


def system_headers(params: Mapping[str, Any]) -> dict[str, str]:
    """The headers to store, out of an operation's parameters: header name → value as sent.

    ``aws-chunked`` describes the request and not the object, so it leaves Content-Encoding. Empty values are not stored.
    Raises InvalidArgument for line ends and other control characters, InvalidRedirectLocation.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    out: dict[str, str] = {}
    for member, header in _SYSTEM.items():
        value = params.get(member)
        if value and member == "ContentEncoding":
            value = content_encoding(value)
        if value:
            _check(header, value)
            out[header] = value
    _check_redirect(out.get(_SYSTEM["WebsiteRedirectLocation"], REDIRECTS[0]))
    return out


def _check_redirect(location: str) -> None:
    if len(location) > MAX_REDIRECT_LENGTH:
        raise InvalidRedirectLocation("The length of website redirect location cannot exceed 2,048 characters.")
    if not location.startswith(REDIRECTS):
        raise InvalidRedirectLocation()


def content_encoding(value: str) -> str:
    """A Content-Encoding without ``aws-chunked``; untouched where there is none."""
    if "aws-chunked" not in value.lower():
        return value
    return ",".join(one for part in value.split(",") if (one := part.strip()) and one.lower() != "aws-chunked")


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The user's metadata: lower-case names without prefix → values, byte for byte, as latin-1 text.

    ``headers`` have lower-case names. Raises MetadataTooLarge beyond 2 KiB of names and values, InvalidArgument for what no header holds.
    """
    out = {name[len(PREFIX) :]: value for name, value in headers.items() if name.startswith(PREFIX)}
    size = sum(len(name) + len(value) for name, value in out.items())
    if size > MAX_USER_METADATA_BYTES:
        raise MetadataTooLarge(Size=size, MaxSizeAllowed=MAX_USER_METADATA_BYTES)
    for name, value in out.items():
        _check(PREFIX + name, value)
    return out


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument("Header name is not valid", ArgumentName=name, ArgumentValue=value)
    if not _VALUE.fullmatch(value):
        raise InvalidArgument("Header value cannot contain control characters", ArgumentName=name, ArgumentValue=value)


def members(system: Mapping[str, str], user: Mapping[str, str]) -> dict[str, Any]:
    """The way back: stored headers and metadata as members of an operation's result (ContentType …, Metadata)."""
    out: dict[str, Any] = {_MEMBERS[header]: value for header, value in system.items() if header in _MEMBERS}
    if user:
        out["Metadata"] = dict(user)
    return out
