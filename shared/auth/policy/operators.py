"""Condition operators: how one value of a request compares with one value of a policy.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import base64
import binascii
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

from shared.auth.policy.model import Asking
from shared.auth.policy.patterns import OURS, Arn, Template, pieces_of

Test = Callable[[str, Asking], bool | None]     # None: a policy variable has no value
Maker = Callable[[str, bool], Test]             # from the policy's value, and whether variables count; raises ValueError

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?)?)?)?"
)
_EPOCH_S = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CIDR = re.compile(r"[0-9a-fA-F:.]{2,45}(?:/[0-9]{1,3})?")


class Operator(NamedTuple):
    """``negated``: the condition holds when no value of the policy matches, and also when the request has no such key."""

    make: Maker
    negated: bool = False


def number(text: str) -> Decimal | None:
    """Read an integer or decimal number; None when it is none."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def instant_us(text: str) -> int | None:
    """Read a date of ISO 8601 as W3C profiles it, or seconds since 1970, as microseconds since 1970; UTC when no zone is given.

    Four digits are a year. https://www.w3.org/TR/NOTE-datetime
    """
    if not (found := _DATE.fullmatch(text)):
        return int(Decimal(text) * 1_000_000) if _EPOCH_S.fullmatch(text) else None
    year, month, day, hour, minute, second, fraction, sign, zone_h, zone_m = found.groups()
    try:
        moment = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError:
        return None
    away = moment - _EPOCH
    zone_s = (int(zone_h) * 3600 + int(zone_m) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return (away.days * 86_400 + away.seconds - zone_s) * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))


@lru_cache(maxsize=4096)
def address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address of a request; an IPv4 address that came over IPv6 is an IPv4 address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def network(text: str) -> IPv4Network | IPv6Network:
    """Read an address or a CIDR range of a policy; bits behind the prefix don't count. Raises ValueError."""
    if not _CIDR.fullmatch(text):
        raise ValueError("neither an IP address nor a CIDR range")
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("neither an IP address nor a CIDR range") from None
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) and found.prefixlen >= 96 else None
    return IPv4Network((mapped, found.prefixlen - 96)) if mapped is not None else found


def decoded(text: str) -> bytes | None:
    """Read base64; None when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool], what: str, text: str, variables: bool) -> Test:
    wanted = read(text)
    if wanted is None:
        raise ValueError(f"not {what}")
    return lambda value, asking: (found := read(value)) is not None and compare(found, wanted)


def _within(text: str, variables: bool) -> Test:
    wanted = network(text)
    return lambda value, asking: (found := address(value)) is not None and found in wanted


def _string(text: str, variables: bool, *, wild: bool = False, fold: bool = False) -> Test:
    return Template(pieces_of(text, wild=wild, variables=variables), fold=fold).matches


def _truth(text: str, variables: bool) -> Test:
    template = Template(pieces_of(text, wild=False, variables=variables), fold=True)
    if not template.varies and text.casefold() not in ("true", "false"):
        raise ValueError('must be "true" or "false"')
    return template.matches


def _arn(text: str, variables: bool) -> Test:
    found = Arn(pieces_of(text, wild=True, variables=variables))
    if not found.complete and text != "*" and not text.startswith((OURS, "${")):
        raise ValueError("not an ARN")
    return found.matches


def _all() -> dict[str, Operator]:
    like, folded = partial(_string, wild=True), partial(_string, fold=True)
    found = {
        "StringEquals": Operator(_string), "StringNotEquals": Operator(_string, True),
        "StringEqualsIgnoreCase": Operator(folded), "StringNotEqualsIgnoreCase": Operator(folded, True),
        "StringLike": Operator(like), "StringNotLike": Operator(like, True),
        "Bool": Operator(_truth),
        "BinaryEquals": Operator(partial(_compared, decoded, operator.eq, "base64")),
        "IpAddress": Operator(_within), "NotIpAddress": Operator(_within, True),
        "ArnEquals": Operator(_arn), "ArnNotEquals": Operator(_arn, True), "ArnLike": Operator(_arn), "ArnNotLike": Operator(_arn, True),
        "Null": Operator(_truth),
    }
    kinds: tuple[tuple[str, Callable[[str], Any], str], ...] = (("Numeric", number, "a number"), ("Date", instant_us, "a date"))
    for kind, read, what in kinds:
        for name, compare, negated in (
            ("Equals", operator.eq, False), ("NotEquals", operator.eq, True), ("LessThan", operator.lt, False),
            ("LessThanEquals", operator.le, False), ("GreaterThan", operator.gt, False), ("GreaterThanEquals", operator.ge, False),
        ):
            found[kind + name] = Operator(partial(_compared, read, compare, what), negated)
    return found


OPERATORS = _all()
