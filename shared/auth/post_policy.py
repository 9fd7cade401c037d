"""Signed policies of upload forms: who signed one, and what it lets the form say.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
https://docs.aws.amazon.com/AmazonS3/latest/API/HTTPPOSTForms.html
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
from base64 import b64decode, b64encode
from calendar import timegm
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from shared.auth.canonical import ALGORITHM, signature, signing_key
from shared.auth.claims import NOT_SUPPORTED, form_scope, stamp_seconds
from shared.auth.model import Authenticated, Credential, Payload
from shared.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidPolicyDocument,
    InvalidRequest,
    InvalidToken,
    SignatureDoesNotMatch,
)

Fields = Mapping[str, str]
Lookup = Callable[[str], Credential | None]

V4_FIELDS = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
V2_FIELDS = ("awsaccesskeyid", "signature")
NAMES = {"awsaccesskeyid": "AWSAccessKeyId", "x-amz-algorithm": "X-Amz-Algorithm", "x-amz-credential": "X-Amz-Credential",
         "x-amz-date": "X-Amz-Date", "x-amz-signature": "X-Amz-Signature"}      # others: the first letter is a capital
MOST_BYTES = 5 << 40

# Fields that a policy need not name. A checksum gives nothing away: it can only make the upload fail.
FREE = frozenset({"policy", "signature", "awsaccesskeyid", "x-amz-signature", "file"})
FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-")

_DOLLAR = re.compile(r"(\\\\)|\\\$")    # a policy writes a dollar that is none of a field's with a backslash, which JSON does not know
_EXPIRATION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z")


class Condition(NamedTuple):
    """One condition: ``operator`` is "eq" or "starts-with", ``field`` a lower-case name."""

    operator: str
    field: str
    value: str


class Policy(NamedTuple):
    """A policy that was read. ``expires_s`` is in UTC seconds, ``least`` and ``most`` bound the file in bytes, both included."""

    expires_s: int
    conditions: tuple[Condition, ...]
    least: int
    most: int


# ---- who signed it ------------------------------------------------------------------------------------------------------------------


def authenticate(fields: Fields, *, credential: Lookup, region: str, allow_v2: bool) -> Authenticated:
    """Say who signed the form's policy; nobody (kind ``anonymous``) for a form that has none. ``fields`` have lower-case names.

    Raises InvalidArgument (a field is missing or malformed), InvalidAccessKeyId, InvalidToken, SignatureDoesNotMatch, InvalidRequest
    (version 2 where it is switched off).
    """
    by_v4 = any(name in fields for name in V4_FIELDS)
    if not by_v4 and not any(name in fields for name in ("policy", *V2_FIELDS)):
        return Authenticated("anonymous", Payload())
    for name in ("policy", *(V4_FIELDS if by_v4 else V2_FIELDS)):
        if not fields.get(name):
            raise _missing(name)
    if not by_v4 and not allow_v2:
        raise InvalidRequest(NOT_SUPPORTED)
    return _by_v4(fields, credential, region) if by_v4 else _by_v2(fields, credential)


def _missing(name: str) -> InvalidArgument:
    shown = NAMES.get(name, name.capitalize())
    return InvalidArgument(f"Bucket POST must contain a field named '{shown}'.  If it is specified, please check the order of the fields.",
                           ArgumentName=shown, ArgumentValue="")


def _by_v2(fields: Fields, credential: Lookup) -> Authenticated:
    owner = _owner(fields, fields["awsaccesskeyid"], credential)
    made = b64encode(hmac.digest(owner.secret.encode(), fields["policy"].encode("latin-1"), "sha1"))
    return _signed("form-v2", owner, fields, made, fields["signature"])


def _by_v4(fields: Fields, credential: Lookup, region: str) -> Authenticated:
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise InvalidArgument(f'X-Amz-Algorithm only supports "{ALGORITHM}"', ArgumentName="X-Amz-Algorithm",
                              ArgumentValue=fields["x-amz-algorithm"])
    scope, date = form_scope(fields["x-amz-credential"]), fields["x-amz-date"]
    if stamp_seconds(date) is None:
        raise InvalidArgument("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"", ArgumentName="X-Amz-Date",
                              ArgumentValue=date)
    if scope is None or (scope.service, scope.terminal, scope.region, scope.day) != ("s3", "aws4_request", region, date[:8]):
        raise InvalidArgument(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
            f'"<YOUR-AKID>/{date[:8]}/{region}/s3/aws4_request".',
            ArgumentName="X-Amz-Credential", ArgumentValue=fields["x-amz-credential"])
    owner = _owner(fields, scope.access_key, credential)
    key = signing_key(owner.secret, scope.day, scope.region, scope.service)
    return _signed("form", owner, fields, signature(key, fields["policy"]).encode(), fields["x-amz-signature"])


def _owner(fields: Fields, access_key: str, credential: Lookup) -> Credential:
    owner = credential(access_key)
    if owner is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    if "x-amz-security-token" in fields:        # long-term keys have none
        raise InvalidToken()
    return owner


def _signed(kind: Any, owner: Credential, fields: Fields, made: bytes, given: str) -> Authenticated:
    if not hmac.compare_digest(made, given.strip().encode("latin-1", "replace")):
        text = fields["policy"]
        raise SignatureDoesNotMatch(AWSAccessKeyId=owner.access_key, StringToSign=text, SignatureProvided=given,
                                    StringToSignBytes=text.encode("latin-1").hex(" "))
    return Authenticated(kind, Payload(), owner.access_key, owner.principal)


# ---- what it says -------------------------------------------------------------------------------------------------------------------


def read(encoded: str) -> Policy:
    """Read a policy as the form has it, in base64. Names of fields have no case; all else has.

    Raises InvalidPolicyDocument.
    """
    try:
        text = b64decode("".join(encoded.split()), validate=True).decode()
        document = json.loads(_DOLLAR.sub(lambda found: found[1] or "$", text))
    except (binascii.Error, UnicodeDecodeError, ValueError, RecursionError):
        raise _unfit("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _unfit("Invalid JSON.")
    for name in document:
        if name not in ("expiration", "conditions"):
            raise _unfit(f"Unexpected: '{name}'.")
    expires_s, conditions = _expiration(document.get("expiration")), document.get("conditions")
    if not isinstance(conditions, list):
        raise _unfit("Policy missing conditions.")
    kept: list[Condition] = []
    least, most = 0, MOST_BYTES
    for one in conditions:
        if isinstance(one, list) and one and isinstance(one[0], str) and one[0].lower() == "content-length-range":
            first, last = _range(one[1:])
            least, most = max(least, first), min(most, last)
        else:
            kept.extend(_conditions(one))
    return Policy(expires_s, tuple(kept), least, most)


def _unfit(why: str) -> InvalidPolicyDocument:
    return InvalidPolicyDocument(f"Invalid Policy: {why}")


def _expiration(text: Any) -> int:
    if text is None:
        raise _unfit("Policy missing expiration.")
    found = _EXPIRATION.fullmatch(text) if isinstance(text, str) else None
    try:
        if found is not None:
            return timegm(datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").timetuple())
    except ValueError:
        pass
    raise _unfit(f"Invalid 'expiration' value: '{text}'")


def _range(arguments: list[Any]) -> tuple[int, int]:
    if len(arguments) != 2:
        raise _unfit("Invalid content-length-range: wrong number of arguments.")
    texts = [str(one) for one in arguments if isinstance(one, (int, str)) and not isinstance(one, bool)]
    if len(texts) != 2 or not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
        raise _unfit("Invalid content-length-range: the arguments must be numbers that are not negative.")
    return int(texts[0]), int(texts[1])


def _conditions(one: Any) -> Iterator[Condition]:
    if isinstance(one, dict):
        if len(one) != 1:
            raise _unfit("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = one.items()
        if not isinstance(value, str):
            raise _unfit("Invalid Simple-Condition: value must be a string.")
        yield Condition("eq", name.lower(), value)
        return
    if not isinstance(one, list) or not all(isinstance(part, str) for part in one):
        raise _unfit("Invalid condition: it must be an object or a list of strings.")
    operator = one[0].lower() if one else ""
    if operator not in ("eq", "starts-with"):
        raise _unfit(f"Invalid operator: '{operator}'.")
    if len(one) != 3 or not one[1].startswith("$"):
        raise _unfit(f"Invalid {operator} condition: a field such as $key and a value must follow.")
    yield Condition(operator, one[1][1:].lower(), one[2])


def check(policy: Policy, fields: Fields, bucket: str, now_s: float) -> None:
    """Hold a form against its policy. ``fields`` have lower-case names, and the text as the policy would write it.

    The bucket counts as a field: a policy that does not name it would open every bucket of its signer.

    Raises AccessDenied: expired, a condition that does not hold, a field that no condition is about.
    """
    if now_s > policy.expires_s:
        raise _denied("Policy expired.")
    given = {**fields, "bucket": bucket}
    for condition in policy.conditions:
        if not _holds(condition, given.get(condition.field, "")):
            shown = json.dumps([condition.operator, "$" + condition.field, condition.value], ensure_ascii=False)
            raise _denied(f"Policy Condition failed: {shown}")
    named = {condition.field for condition in policy.conditions}
    extra = sorted(name for name in given if name not in named and name not in FREE and not name.startswith(FREE_PREFIXES))
    if extra:
        raise _denied(f"Extra input fields: {', '.join(extra)}")


def _holds(condition: Condition, value: str) -> bool:
    if condition.operator == "eq":
        return value == condition.value
    if condition.field == "content-type":       # may be a list, of which each has to fit
        return all(one.strip().startswith(condition.value) for one in value.split(","))
    return value.startswith(condition.value)


def _denied(why: str) -> AccessDenied:
    return AccessDenied(f"Invalid according to Policy: {why}")
