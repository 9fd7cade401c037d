"""What a signed request claims: key, scope, signed headers and time, read from the Authorization header or the query."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

from shared.auth.canonical import ALGORITHM
from shared.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    NotImplementedS3,
    S3Error,
)
from shared.request import Request

QUERY_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
NOT_SUPPORTED = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."

MAX_SKEW_S = 900    # between the clocks of a client and of the server

_USUAL = re.compile(ALGORITHM + r" +Credential=([^\s,]+), *SignedHeaders=([^\s,]+), *Signature=([^\s,]+)")
_STAMP = re.compile("[0-9]{8}T[0-9]{6}Z")
_LAST_S = 253_402_300_799  # of the year 9999

# Strangers choose what is kept in the caches below: longer texts are no credentials, or are read anew each time.
_CREDENTIAL_LENGTH = 512
_CACHED_LENGTH = 256


class Scope(NamedTuple):
    """The X-Amz-Credential value in its parts; ``text`` is what follows the access key."""

    access_key: str
    day: str
    region: str
    service: str
    terminal: str
    text: str


class Signed(NamedTuple):
    """SignedHeaders as sent, sorted around ``host``, and as a set."""

    text: str
    before_host: tuple[str, ...]
    after_host: tuple[str, ...]
    names: frozenset[str]


class Claim(NamedTuple):
    """A signature that has been read and not yet believed. ``time_s`` is in UTC seconds; ``expires_s`` None by header."""

    scope: Scope
    signed: Signed
    signature: str
    amz_date: str
    time_s: int
    expires_s: int | None = None

    def malformed(self, wording: str, **fields: str) -> S3Error:
        """The error for a credential that is readable but not acceptable, in the class of the form it came in."""
        if self.expires_s is None:
            return AuthorizationHeaderMalformed(f"The authorization header is malformed; {wording}", **fields)
        return AuthorizationQueryParametersError(f"Error parsing the X-Amz-Credential parameter; {wording}", **fields)


def _scope(credential: str) -> Scope | None:
    return _read_scope(credential) if len(credential) <= _CREDENTIAL_LENGTH else None


@lru_cache(maxsize=4096)
def _read_scope(credential: str) -> Scope | None:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        return None
    return Scope(parts[0], parts[1], parts[2], parts[3], parts[4], "/".join(parts[1:]))


def form_scope(credential: str) -> Scope | None:
    """Read the credential field of an upload form; None when it is malformed."""
    return _scope(credential)


def _signed(text: str) -> Signed | None:
    return _read_signed(text) if len(text) <= _CACHED_LENGTH else _read_signed.__wrapped__(text)


@lru_cache(maxsize=1024)
def _read_signed(text: str) -> Signed | None:
    names = sorted(text.split(";"))
    if "host" not in names or text != text.lower() or "" in names:
        return None
    at = names.index("host")
    return Signed(text, tuple(names[:at]), tuple(names[at + 1 :]), frozenset(names))


def stamp_seconds(stamp: str) -> int | None:
    """UTC seconds of a basic ISO 8601 time (``20130524T000000Z``), None when it is not one."""
    return _read_stamp(stamp) if _STAMP.fullmatch(stamp) else None


@lru_cache(maxsize=1024)
def _read_stamp(stamp: str) -> int | None:
    try:
        return timegm(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timetuple())
    except ValueError:
        return None


def iso(time_s: float) -> str:
    """A time as error documents show it: ``2013-05-24T00:00:00Z``; what lies outside 1970 to 9999 as the nearest within."""
    return datetime.fromtimestamp(min(max(int(time_s), 0), _LAST_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_header(authorization: str, request: Request) -> Claim:
    """Read ``AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`` and the request's date.

    Raises AuthorizationHeaderMalformed; InvalidRequest for Signature Version 2, InvalidArgument for other schemes; AccessDenied
    without a usable date.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
    """
    found = _USUAL.fullmatch(authorization)
    credential, signed_text, signature = found.groups() if found else _fields(authorization)
    scope, signed = _scope(credential), _signed(signed_text)
    if scope is None:
        raise AuthorizationHeaderMalformed(
            "The authorization header is malformed; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    if signed is None:
        raise AuthorizationHeaderMalformed(
            "The authorization header is malformed; SignedHeaders must be lower-case names and must include host."
        )
    amz_date, time_s = header_date(request)
    return Claim(scope, signed, signature, amz_date, time_s)


def from_query(query: Mapping[str, str]) -> Claim:
    """Read the X-Amz-* parameters of a presigned request. ``expires_s`` is 0 to 604,800; 0 is a link that never worked.

    Raises AuthorizationQueryParametersError.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    try:
        algorithm, credential, signature, amz_date, signed_text, expires = [query[name] for name in QUERY_PARAMETERS]
    except KeyError:
        raise AuthorizationQueryParametersError(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        ) from None
    if algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    scope, signed, time_s = _scope(credential), _signed(signed_text), stamp_seconds(amz_date)
    if scope is None:
        raise AuthorizationQueryParametersError(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    if signed is None:
        raise AuthorizationQueryParametersError("X-Amz-SignedHeaders must be lower-case names and must include host.")
    if time_s is None:
        raise AuthorizationQueryParametersError("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    return Claim(scope, signed, signature, amz_date, time_s, _expires(expires))


def _expires(text: str) -> int:
    number = text.removeprefix("-")
    if not (number.isascii() and number.isdecimal()) or len(number) > 12:
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    if number != text:
        return -int(number)     # expired before it was made: the window check says so
    if int(number) > 604_800:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
        )
    return int(number)


def _fields(authorization: str) -> tuple[str, str, str]:
    """The header's three fields in any order and spacing."""
    scheme, _, rest = authorization.partition(" ")
    if not scheme:
        raise AccessDenied()
    if scheme == "AWS":
        raise InvalidRequest(NOT_SUPPORTED)
    if scheme.startswith("AWS4-ECDSA"):
        raise NotImplementedS3(f"The authorization algorithm {scheme} is not implemented.")
    if scheme != ALGORITHM:
        raise InvalidArgument("Unsupported Authorization Type", ArgumentName="Authorization")
    fields = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in rest.split(","))}
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise AuthorizationHeaderMalformed(f"The authorization header is malformed; it requires {name}.")
    return fields["Credential"], fields["SignedHeaders"], fields["Signature"]


def header_date(request: Request) -> tuple[str, int]:
    """The signed time, as ISO 8601 and in UTC seconds: x-amz-date, or else Date, in ISO 8601 basic or (Date) RFC 1123 form.

    Raises AccessDenied without a usable date.
    """
    stamp = request.header("x-amz-date")
    if stamp is None:
        stamp = request.header("date") or ""
    time_s = stamp_seconds(stamp)
    if time_s is None:
        try:
            time_s = timegm(parsedate_to_datetime(stamp).utctimetuple())  # a date without a zone counts as UTC
            stamp = datetime.fromtimestamp(time_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        except (ValueError, TypeError, OverflowError, IndexError, OSError):
            raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header") from None
    return stamp, time_s
