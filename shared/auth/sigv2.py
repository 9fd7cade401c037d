"""Signature Version 2: presigned, as boto3 and `aws s3 presign` do it for an endpoint that is not Amazon's; and by header, for old clients.

Its signature covers the method, the path, the sub-resources and the x-amz- headers, and neither the host nor other parameters.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from shared.auth.claims import MAX_SKEW_S, header_date, iso
from shared.auth.model import Authenticated, Credential, Payload, SignedTarget, foretells_the_body, payload_of
from shared.auth.proxies import TrustedProxies
from shared.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from shared.request import Request

# Whatever names a sub-resource or changes what an operation does must be here: a parameter that is not signed can be added by
# anyone who holds the link. A test compares this with the service model.
SIGNED_PARAMETERS = frozenset({
    "abac", "accelerate", "acl", "analytics", "annotation", "annotations", "append", "attributes", "cors", "defaultObjectAcl",
    "delete", "encryption", "events", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location", "logging",
    "metadataAnnotationTable", "metadataAnnotationTableConfiguration", "metadataConfiguration", "metadataInventoryTable",
    "metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "partNumber",
    "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention",
    "select", "select-type", "session", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning",
    "versions", "website", "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires",
})

SCHEME = "AWS "
_PARAMETERS = ("AWSAccessKeyId", "Expires", "Signature")


def by_query(
    request: Request,
    target: SignedTarget,
    *,
    credential: Callable[[str], Credential | None],
    now_s: float,
    proxies: TrustedProxies,
    host_bucket: str | None,
) -> Authenticated:
    """Verify AWSAccessKeyId, Expires (UTC seconds) and Signature of the query.

    ``host_bucket`` is the bucket the Host header names, None for path style; it is part of what is signed.

    Raises AccessDenied (parameters missing, expired), InvalidAccessKeyId, InvalidToken, SignatureDoesNotMatch.
    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html#RESTAuthenticationQueryStringAuth
    """
    access_key, expires, given = (target.query.get(name) for name in _PARAMETERS)
    if not access_key or not expires or not given:
        raise AccessDenied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= 11):
        raise AccessDenied(f"Invalid date (should be seconds since epoch): {expires}")
    if now_s > int(expires):
        raise AccessDenied("Request has expired", Expires=iso(int(expires)), ServerTime=iso(now_s))
    owner = _owner(access_key, request, target, credential)
    in_query = _headers_in_query(target.query, request.lower)
    readings = _readings(_Asked(request, target, proxies.prefixes(request), host_bucket), expires, ({}, in_query) if in_query else ({},))
    hoisted = {
        name: value for name, value in _fitting(owner, given.replace(" ", "+"), readings).items() if not foretells_the_body(name)
    }  # fmt: skip
    return Authenticated("query-v2", _payload(request), owner.access_key, owner.principal, None, hoisted)


def by_header(
    authorization: str,
    request: Request,
    target: SignedTarget,
    *,
    credential: Callable[[str], Credential | None],
    now_s: float,
    proxies: TrustedProxies,
    host_bucket: str | None,
) -> Authenticated:
    """Verify ``AWS access-key:signature`` and the request's date. ``host_bucket`` as in ``by_query``.

    Raises InvalidArgument (malformed), AccessDenied (no usable date), RequestTimeTooSkewed, InvalidAccessKeyId, InvalidToken,
    SignatureDoesNotMatch.
    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html#ConstructingTheAuthenticationHeader
    """
    access_key, colon, given = authorization.removeprefix(SCHEME).strip().partition(":")
    if not access_key or not colon or not given:
        raise InvalidArgument("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature", ArgumentName="Authorization",
                              ArgumentValue=authorization)
    stamp, time_s = header_date(request)
    if time_s < 0:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    if abs(now_s - time_s) > MAX_SKEW_S:
        raise RequestTimeTooSkewed(RequestTime=stamp, ServerTime=iso(now_s), MaxAllowedSkewMilliseconds=MAX_SKEW_S * 1000)
    owner = _owner(access_key, request, target, credential)
    signed_date = "" if "x-amz-date" in request.lower else request.lower["date"]      # else it is among the x-amz- headers
    asked = _Asked(request, target, proxies.prefixes(request), host_bucket)
    _fitting(owner, given.strip(), _readings(asked, signed_date, ({},)))
    return Authenticated("header-v2", _payload(request), owner.access_key, owner.principal)


def _owner(access_key: str, request: Request, target: SignedTarget, credential: Callable[[str], Credential | None]) -> Credential:
    owner = credential(access_key)
    if owner is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    if "x-amz-security-token" in request.lower or "x-amz-security-token" in target.query:
        raise InvalidToken()
    return owner


def _fitting(owner: Credential, given: str, readings: Iterable[tuple[str, Mapping[str, str]]]) -> Mapping[str, str]:
    """The headers of the reading that was signed. Raises SignatureDoesNotMatch when none was; the first is nearly always it."""
    wanted, key, first = given.encode("latin-1", "replace"), owner.secret.encode(), ""
    for text, hoisted in readings:
        if hmac.compare_digest(b64encode(hmac.digest(key, text.encode("latin-1"), "sha1")), wanted):
            return hoisted
        first = first or text
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=owner.access_key,
        StringToSign=first,
        SignatureProvided=given,
        StringToSignBytes=first.encode("latin-1").hex(" "),
    )


class _Asked(NamedTuple):
    """A request, and what may stand in front of its path in what was signed."""

    request: Request
    target: SignedTarget
    prefixes: Sequence[str]
    host_bucket: str | None


def _readings(asked: _Asked, time: str, ways: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Texts the client may have signed, with the headers each takes from the query: one of the ``ways``. ``time`` is what was signed.

    Clients that presign headers put them in the query and may or may not send them as headers too. botocore signs a bucket's path with
    a slash behind it, and sends it without.
    """
    request, target, prefixes, host_bucket = asked
    bare_bucket = not host_bucket and target.raw_path.count("/") == 1 and target.raw_path != "/"
    paths = (target.raw_path, target.raw_path + "/") if bare_bucket else (target.raw_path,)
    base = f"/{host_bucket}" if host_bucket else ""
    for hoisted in ways:
        headers = {**hoisted, **request.lower}
        head = f"{request.method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{time}\n"
        amz = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-amz-"))
        for prefix, path, resource in product(prefixes, paths, _resources(target.raw_query)):
            yield f"{head}{amz}{base}{prefix}{path}{resource}", hoisted


def _resources(query: str) -> Iterator[str]:
    """The signed parameters, sorted by name, values decoded; an empty value with and without its ``=``."""
    pairs = []
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        name = _decoded(name)
        if name in SIGNED_PARAMETERS:
            pairs.append((name, equals, _decoded(value)))
    if not pairs:
        yield ""
        return
    pairs.sort(key=lambda pair: pair[0])
    as_sent = "?" + "&".join(name + equals + value for name, equals, value in pairs)
    bare = "?" + "&".join(f"{name}={value}" if value else name for name, _, value in pairs)
    yield as_sent
    if bare != as_sent:
        yield bare


def _decoded(text: str) -> str:
    """Decode as the target's parameters are (``+`` is a space), keeping the bytes as latin-1 text."""
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("latin-1")


def _headers_in_query(query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in query.items():
        low = name.lower()
        if low in headers or not (low.startswith("x-amz-") or low in ("content-md5", "content-type")):
            continue
        if "\n" not in value:       # no header has one, and the signed text would have two readings
            found[low] = value.encode().decode("latin-1").strip()  # as the header would have been sent
    return found


def _payload(request: Request) -> Payload:
    stated = request.lower.get("x-amz-content-sha256")
    payload = payload_of(stated) if stated is not None else Payload()
    if payload.signed_chunks:
        raise InvalidRequest("Signed chunks need a request signed with AWS4-HMAC-SHA256.")
    return payload
