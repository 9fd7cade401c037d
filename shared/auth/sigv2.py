"""Signature Version 2, presigned form only: what boto3 and `aws s3 presign` make for an endpoint that is not Amazon's.

Its signature covers the method, the path, the sub-resources and the x-amz- headers, and neither the host nor other parameters.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from urllib.parse import unquote_to_bytes

from shared.auth.claims import iso
from shared.auth.model import Authenticated, Credential, Payload, SignedTarget, payload_of
from shared.auth.proxies import TrustedProxies
from shared.errors import AccessDenied, InvalidAccessKeyId, InvalidRequest, InvalidToken, SignatureDoesNotMatch
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
    owner = credential(access_key)
    if owner is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    if "x-amz-security-token" in request.lower or "x-amz-security-token" in target.query:
        raise InvalidToken()
    wanted, first = given.replace(" ", "+").encode("latin-1", "replace"), ""
    key = owner.secret.encode()
    for text, hoisted in _readings(request, target, expires, proxies, host_bucket):
        if hmac.compare_digest(b64encode(hmac.digest(key, text.encode("latin-1"), "sha1")), wanted):
            return Authenticated("query-v2", _payload(request), owner.access_key, owner.principal, None, hoisted)
        first = first or text
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=owner.access_key,
        StringToSign=first,
        SignatureProvided=given,
        StringToSignBytes=first.encode("latin-1").hex(" "),
    )


def _readings(
    request: Request, target: SignedTarget, expires: str, proxies: TrustedProxies, host_bucket: str | None
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Texts the client may have signed, with the headers each takes from the query.

    Clients that presign headers put them in the query and may or may not send them as headers too. botocore signs a bucket's path with
    a slash behind it, and sends it without.
    """
    bare_bucket = not host_bucket and target.raw_path.count("/") == 1 and target.raw_path != "/"
    paths = (target.raw_path, target.raw_path + "/") if bare_bucket else (target.raw_path,)
    base = f"/{host_bucket}" if host_bucket else ""
    in_query = _headers_in_query(target.query, request.lower)
    for hoisted in ({}, in_query) if in_query else ({},):
        headers = {**hoisted, **request.lower}
        head = f"{request.method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{expires}\n"
        amz = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-amz-"))
        for prefix, path, resource in product(proxies.prefixes(request), paths, _resources(target.raw_query)):
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
        if low not in headers and (low.startswith("x-amz-") or low in ("content-md5", "content-type")):
            found[low] = value.encode().decode("latin-1").strip()  # as the header would have been sent
    return found


def _payload(request: Request) -> Payload:
    stated = request.lower.get("x-amz-content-sha256")
    payload = payload_of(stated) if stated is not None else Payload()
    if payload.signed_chunks:
        raise InvalidRequest("Signed chunks need a request signed with AWS4-HMAC-SHA256.")
    return payload
