"""Numbers, dates and text as S3 writes them: in headers, in the query, in XML."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import gmtime
from typing import Any, Final

Shape = dict[str, Any]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_INTEGER = re.compile(r"-?[0-9]{1,19}\Z")
_BITS = {"integer": 31, "long": 63}
SPECIAL: Final = re.compile('[&<>"\x00-\x08\x0b-\x1f\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def xml_text(text: str) -> str:
    """Escape text for an XML element or attribute.

    Characters that XML 1.0 cannot carry become numeric references, as AWS sends them (``&#x1;``): a strict parser refuses
    such a document, ``encoding-type=url`` avoids them.
    """
    return SPECIAL.sub(_reference, text) if SPECIAL.search(text) else text


def _reference(match: re.Match[str]) -> str:
    return _NAMED.get(match[0]) or f"&#x{ord(match[0]):x};"


# ---- dates -----------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> str:
    """Seconds since 1970 as an HTTP date (RFC 9110, section 5.6.7)."""
    t = gmtime(seconds)
    day = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d}"
    return f"{day} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"


@lru_cache(maxsize=4096)
def _day(days: int) -> str:
    t = gmtime(days * 86_400)
    return f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T"


_MINUTES = [f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60)]
_SECONDS = [f"{second:02d}." for second in range(60)]
_MILLIS = [f"{milli:03d}Z" for milli in range(1000)]


def iso_date(milliseconds: int) -> str:
    """UTC milliseconds since 1970 as ISO 8601 with three decimals and Z. From tables: a listing asks a thousand times."""
    minutes, rest = divmod(milliseconds, 60_000)
    days, minute = divmod(minutes, 1440)
    return _day(days) + _MINUTES[minute] + _SECONDS[rest // 1000] + _MILLIS[rest % 1000]


def parse_http_date(text: str) -> datetime | None:
    """Read an HTTP date in any of its three forms; None when it is not one."""
    try:
        parsed = parsedate_to_datetime(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_iso_date(text: str) -> datetime:
    """Read ISO 8601, with or without time and zone (UTC then). Raises ValueError."""
    parsed = datetime.fromisoformat(text)
    try:
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None


def milliseconds(moment: datetime) -> int:
    """UTC milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


# ---- text → value ----------------------------------------------------------------------------------------------------------


def parse_integer(text: str, bits: int = 31) -> int:
    """Read a decimal integer of so many bits beside the sign. Raises ValueError."""
    text = text.strip()
    if not _INTEGER.match(text) or not -(1 << bits) <= (number := int(text)) < 1 << bits:
        raise ValueError(text)
    return number


def _parse_boolean(text: str) -> bool:
    text = text.strip().lower()
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def _parse_rfc822(text: str) -> datetime:
    if (parsed := parse_http_date(text.strip())) is None:
        raise ValueError(text)
    return parsed


def parser(shape: Shape, stamp: str) -> Callable[[str], Any] | None:
    """How text becomes a value of this shape; None when text it stays.

    ``stamp`` is the date format where the shape names none: ``rfc822`` in headers and the query, ``iso8601`` in XML. What the
    parser cannot read raises ValueError.
    """
    kind = shape["type"]
    if kind in _BITS:
        bits = _BITS[kind]
        return lambda text: parse_integer(text, bits)
    if kind == "boolean":
        return _parse_boolean
    if kind == "timestamp":
        rfc822 = shape.get("timestampFormat", stamp) == "rfc822"
        return _parse_rfc822 if rfc822 else lambda text: parse_iso_date(text.strip())
    if kind == "blob":
        return lambda text: base64.b64decode(text.strip(), validate=True)
    if kind == "list":
        return lambda text: [item for part in text.split(",") if (item := part.strip())]
    return None


# ---- value → text ----------------------------------------------------------------------------------------------------------


def _boolean_text(value: Any) -> str:
    return "true" if value else "false"


def _rfc822_text(value: datetime | int) -> str:
    return http_date(value // 1000 if isinstance(value, int) else int(value.timestamp()))


def _iso_text(value: datetime | int) -> str:
    return iso_date(value if isinstance(value, int) else milliseconds(value))


def formatter(shape: Shape, stamp: str) -> Callable[[Any], str] | None:
    """How a value of this shape becomes text; None when it is text already. Dates may be UTC milliseconds or aware datetimes."""
    kind = shape["type"]
    if kind == "string":
        return None
    if kind == "boolean":
        return _boolean_text
    if kind == "timestamp":
        return _rfc822_text if shape.get("timestampFormat", stamp) == "rfc822" else _iso_text
    if kind == "blob":
        return lambda value: base64.b64encode(value).decode()
    if kind == "list":
        return ",".join
    return str
