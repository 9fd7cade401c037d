"""What authentication answers: who signed the request, in which form, and how far the signature covers the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from shared.errors import InvalidArgument, NotImplementedS3

Kind = Literal["header", "query", "header-v2", "query-v2", "form", "form-v2", "anonymous"]

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

_SHA256_HEX = re.compile("[0-9a-fA-F]{64}")


class Credential(NamedTuple):
    """A long-term key pair and whoever stands behind it. ``expires_ms`` is UTC, None for never."""

    access_key: str
    secret: str
    principal: Any = None
    expires_ms: int | None = None


class SignedTarget(Protocol):
    """The parts of a parsed request target that a signature covers, as sent and decoded (first value of each name).

    ``host`` is the authority its bucket was found with: of an absolute target its own, or else ``TrustedProxies.host(request)``.
    """

    @property
    def raw_path(self) -> str: ...
    @property
    def raw_query(self) -> str: ...
    @property
    def query(self) -> Mapping[str, str]: ...
    @property
    def host(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Payload:
    """How the body is protected.

    ``signed``: ``sha256`` (lower-case hex) is the digest of the whole body. ``streaming``: the body is aws-chunked;
    ``signed_chunks`` says that every chunk carries a signature, ``trailers`` that trailing headers follow the last chunk.
    """

    kind: Literal["unsigned", "signed", "streaming"] = "unsigned"
    sha256: str | None = None
    signed_chunks: bool = False
    trailers: bool = False


class Seed(NamedTuple):
    """Where the chain of chunk signatures starts: the request's own signature and what it was made with."""

    key: bytes
    scope: str
    amz_date: str
    signature: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The outcome. ``access_key``, ``principal`` and ``seed`` are None for nobody.

    ``hoisted`` are headers that a presigned URL carries in its query (lower-case name → value) and that its signature covers:
    they count as headers of the request. What ``foretells_the_body`` is left out.
    """

    kind: Kind
    payload: Payload
    access_key: str | None = None
    principal: Any = None
    seed: Seed | None = None
    hoisted: Mapping[str, str] = field(default_factory=dict)


def foretells_the_body(name: str) -> bool:
    """Whether a header (lower-case name) is a checksum of the body.

    In a presigned URL it counts for nothing, as on AWS: SDKs put the checksum of no bytes there (``x-amz-checksum-crc32=AAAAAA==``),
    since who makes the URL has no body yet.
    """
    if name == "x-amz-sdk-checksum-algorithm":
        return True
    return name.startswith("x-amz-checksum-") and name.removeprefix("x-amz-checksum-") not in ("mode", "algorithm", "type")


_FIXED = {
    UNSIGNED_PAYLOAD: Payload(),
    STREAMING: Payload("streaming", signed_chunks=True),
    STREAMING_TRAILER: Payload("streaming", signed_chunks=True, trailers=True),
    STREAMING_UNSIGNED_TRAILER: Payload("streaming", trailers=True),
}


def payload_of(content_sha256: str) -> Payload:
    """Read the value of x-amz-content-sha256.

    Raises NotImplementedS3 for streaming forms nobody here verifies (ECDSA, events), InvalidArgument for anything else.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    fixed = _FIXED.get(content_sha256)
    if fixed is not None:
        return fixed
    if _SHA256_HEX.fullmatch(content_sha256):
        return Payload("signed", content_sha256.lower())
    if content_sha256.startswith("STREAMING-"):
        raise NotImplementedS3(f"The payload form {content_sha256} is not implemented.")
    allowed = ", ".join(_FIXED)
    raise InvalidArgument(
        f"x-amz-content-sha256 must be {allowed} or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=content_sha256,
    )
