"""Signature Version 4: decide whether a request was signed by who it says, by header or presigned, or by nobody.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from shared.auth import sigv2
from shared.auth.canonical import canonical_request, header_lines, signature, signing_key, string_to_sign, target_forms
from shared.auth.claims import MAX_SKEW_S, NOT_SUPPORTED, QUERY_PARAMETERS, Claim, from_header, from_query, iso
from shared.auth.model import UNSIGNED_PAYLOAD, Authenticated, Credential, Payload, Seed, SignedTarget, foretells_the_body, payload_of
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
from shared.protocol.target import bucket_of_host
from shared.request import Request

OTHER_SERVICES = ("iam", "sts")  # their clients post forms to `/` on the same endpoint

_SHA256 = "x-amz-content-sha256"
_NOT_HOISTED = frozenset(
    "x-amz-" + name
    for name in ("algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token", "content-sha256")
)

ONE_MECHANISM = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the "
    "Authorization header should be specified"
)

Lookup = Callable[[str], Credential | None]


class _Case(NamedTuple):
    """One request to be judged, and what it is judged by."""

    request: Request
    target: SignedTarget
    credential: Lookup
    now_s: float
    region: str
    proxies: TrustedProxies
    domains: Sequence[str]


def authenticate(
    request: Request,
    target: SignedTarget,
    *,
    credential: Lookup,
    now_s: float,
    region: str,
    proxies: TrustedProxies,
    domains: Sequence[str] = (),
    allow_sigv2_query: bool = True,
    allow_sigv2_header: bool = False,
    body: bytes | None = None,
) -> Authenticated:
    """Say who signed the request; nobody (kind ``anonymous``) when it carries no signature at all.

    ``target`` must have been parsed with ``proxies.host(request)`` and ``domains``: no signature over a host that names another
    bucket is accepted then.
    ``now_s`` is UTC seconds. ``body`` is needed only for iam and sts requests, whose digest no header states.

    Raises SignatureDoesNotMatch, InvalidAccessKeyId, InvalidToken, RequestTimeTooSkewed, AccessDenied (no date, expired, not yet
    valid, unsigned x-amz- headers), AuthorizationHeaderMalformed, AuthorizationQueryParametersError, InvalidArgument,
    InvalidRequest, NotImplementedS3.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
    """
    authorization, query = request.lower.get("authorization"), target.query
    presigned = "X-Amz-Signature" in query or "X-Amz-Credential" in query or "X-Amz-Algorithm" in query
    presigned_v2 = not presigned and ("AWSAccessKeyId" in query or "Signature" in query)
    case = _Case(request, target, credential, now_s, region, proxies, domains)
    if authorization is not None:
        if presigned or presigned_v2:
            raise InvalidArgument(ONE_MECHANISM, ArgumentName="Authorization")
        if allow_sigv2_header and authorization.startswith(sigv2.SCHEME):
            return sigv2.by_header(authorization, request, target, credential=credential, now_s=now_s, proxies=proxies,
                                   host_bucket=bucket_of_host(target.host, domains))
        return _by_header(case, authorization, body)
    if presigned:
        return _by_query(case)
    if presigned_v2:
        if not allow_sigv2_query:
            raise InvalidRequest(NOT_SUPPORTED)
        host_bucket = bucket_of_host(target.host, domains)
        return sigv2.by_query(request, target, credential=credential, now_s=now_s, proxies=proxies, host_bucket=host_bucket)
    return Authenticated("anonymous", _stated_payload(request))


def _by_header(case: _Case, authorization: str, body: bytes | None) -> Authenticated:
    request = case.request
    claim = from_header(authorization, request)
    _check_scope(claim, case)
    if abs(case.now_s - claim.time_s) > MAX_SKEW_S:
        raise RequestTimeTooSkewed(RequestTime=claim.amz_date, ServerTime=iso(case.now_s), MaxAllowedSkewMilliseconds=MAX_SKEW_S * 1000)
    _check_signed(claim, request.lower)
    payload_hash = request.lower.get(_SHA256)
    if payload_hash is None and claim.scope.service != "s3" and body is not None:
        payload_hash = sha256(body).hexdigest()
    if payload_hash is None:
        raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    payload = payload_of(payload_hash)
    owner, key = _owner(claim, request.lower.get("x-amz-security-token"), case.credential)
    _verify(case, claim, key, payload_hash)
    return Authenticated("header", payload, owner.access_key, owner.principal, _seed(claim, key, payload))


def _by_query(case: _Case) -> Authenticated:
    request, query = case.request, case.target.query
    claim = from_query(query)
    _check_scope(claim, case)
    _check_window(claim, case.now_s)
    _check_signed(claim, request.lower)
    stated = query.get("X-Amz-Content-Sha256")
    if stated is None and _SHA256 in claim.signed.names:
        stated = request.lower.get(_SHA256, "")
    payload = payload_of(stated) if stated is not None else _stated_payload(request)
    token = query.get("X-Amz-Security-Token", request.lower.get("x-amz-security-token"))
    owner, key = _owner(claim, token, case.credential)
    _verify(case, claim, key, stated or UNSIGNED_PAYLOAD)
    hoisted = _hoisted(query, request.lower) if len(query) > len(QUERY_PARAMETERS) else {}
    return Authenticated("query", payload, owner.access_key, owner.principal, _seed(claim, key, payload), hoisted)


def _check_scope(claim: Claim, case: _Case) -> None:
    scope, region = claim.scope, case.region
    if scope.service == "s3":
        regions: tuple[str, ...] = (region,)
    elif scope.service in OTHER_SERVICES and case.request.method == "POST" and case.target.raw_path == "/":
        regions = (region, "")
    else:
        raise claim.malformed(f'incorrect service "{scope.service}". This endpoint belongs to "s3".')
    if scope.terminal != "aws4_request":
        raise claim.malformed(f'incorrect terminal "{scope.terminal}". This endpoint uses "aws4_request".')
    if scope.day != claim.amz_date[:8]:
        raise claim.malformed(f'Invalid credential date "{scope.day}". This date is not the same as X-Amz-Date: "{claim.amz_date[:8]}".')
    if scope.region not in regions:
        error = claim.malformed(f"the region '{scope.region}' is wrong; expecting '{region}'", Region=region)
        error.headers["x-amz-bucket-region"] = region  # clients that asked with HEAD get no document
        raise error


def _check_window(claim: Claim, now_s: float) -> None:
    """A presigned request is good from its date (less the allowed skew) for its X-Amz-Expires seconds."""
    if claim.time_s > now_s + MAX_SKEW_S:
        raise AccessDenied("Request is not yet valid", **{"X-Amz-Date": claim.amz_date, "ServerTime": iso(now_s)})
    lifetime_s = claim.expires_s or 0
    end_s = claim.time_s + lifetime_s
    if now_s > end_s or not lifetime_s:
        raise AccessDenied("Request has expired", **{"X-Amz-Expires": lifetime_s, "Expires": iso(end_s), "ServerTime": iso(now_s)})


def _check_signed(claim: Claim, headers: Mapping[str, str]) -> None:
    """Refuse x-amz- headers outside the signature. The body's digest is in the canonical request or covers what is sent."""
    signed = claim.signed.names
    loose = [name for name in headers if name[:6] == "x-amz-" and name not in signed and name != _SHA256]
    if loose:
        raise AccessDenied("There were headers present in the request which were not signed", HeadersNotSigned=", ".join(loose))


def _owner(claim: Claim, token: str | None, credential: Lookup) -> tuple[Credential, bytes]:
    scope = claim.scope
    owner = credential(scope.access_key)
    if owner is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=scope.access_key)
    if token is not None:  # long-term keys have none
        raise InvalidToken()
    return owner, signing_key(owner.secret, scope.day, scope.region, scope.service)


def _verify(case: _Case, claim: Claim, key: bytes, payload_hash: str) -> None:
    """Compare with the signature of every request the client may plausibly have meant; the first is nearly always it."""
    request, signed = case.request, claim.signed
    before = header_lines(request.lower, signed.before_host)
    after = header_lines(request.lower, signed.after_host)
    given, first = claim.signature.encode("latin-1", "replace"), ""
    for host, path, query in _readings(case):
        lines = f"{before}host:{host}\n{after}"
        canonical = canonical_request(request.method, path, query, lines=lines, signed=signed.text, payload_hash=payload_hash)
        text = string_to_sign(claim.amz_date, claim.scope.text, canonical)
        if hmac.compare_digest(signature(key, text).encode(), given):
            return
        first = first or canonical
    text = string_to_sign(claim.amz_date, claim.scope.text, first)
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=claim.scope.access_key,
        StringToSign=text,
        SignatureProvided=claim.signature,
        StringToSignBytes=text.encode("latin-1").hex(" "),
        CanonicalRequest=first,
        CanonicalRequestBytes=first.encode("latin-1").hex(" "),
    )


def _readings(case: _Case) -> Iterator[tuple[str, str, str]]:
    """(host, path, query) as the client may have signed them. A host that names another bucket is never among them."""
    request, proxies, host = case.request, case.proxies, case.target.host
    forms = target_forms(case.target.raw_path, case.target.raw_query)
    sent = next(forms)
    yield host, *sent
    bucket = bucket_of_host(host, case.domains)
    hosts = [other for other in (host, *proxies.hosts(request)) if bucket_of_host(other, case.domains) == bucket]
    all_forms = [sent, *forms]
    for prefix in proxies.prefixes(request):
        for other in hosts:
            for path, query in all_forms:
                yield other, prefix + path, query


def _seed(claim: Claim, key: bytes, payload: Payload) -> Seed | None:
    return Seed(key, claim.scope.text, claim.amz_date, claim.signature) if payload.signed_chunks else None


def _stated_payload(request: Request) -> Payload:
    """What an unsigned x-amz-content-sha256 says; without one, aws-chunked framing is told by the headers that go with it."""
    stated = request.lower.get(_SHA256)
    if stated is not None:
        payload = payload_of(stated)
        if payload.signed_chunks:
            raise InvalidRequest("Signed chunks need a signed request.")
        return payload
    if "x-amz-decoded-content-length" in request.lower and "aws-chunked" in request.lower.get("content-encoding", "").lower():
        return Payload("streaming", trailers="x-amz-trailer" in request.lower)
    return Payload()


def _hoisted(query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
    named = ((name.lower(), value.encode().decode("latin-1")) for name, value in query.items())  # bytes as a header has them
    return {
        name: value for name, value in named
        if name[:6] == "x-amz-" and name not in _NOT_HOISTED and name not in headers and not foretells_the_body(name)
    }  # fmt: skip
