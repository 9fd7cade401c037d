"""Object lock on the wire: what headers and documents say, checked; no clock, no state.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from shared.bucket_errors import InvalidRetentionPeriod
from shared.errors import InvalidArgument, MalformedXML, NotImplementedS3
from shared.protocol.scalars import milliseconds, parse_iso_date

MODE, UNTIL, HOLD = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"
BYPASS: Final = "x-amz-bypass-governance-retention"
MODES: Final = ("GOVERNANCE", "COMPLIANCE")
HOLDS: Final = ("ON", "OFF")
MOST: Final = {"Days": 36_500, "Years": 100}     # of a default retention
DAY_MS: Final = 86_400_000
YEAR_DAYS: Final = 365


class Wish(NamedTuple):
    """What a write asks for. ``mode`` and ``until_ms`` (UTC) come together; ``hold`` is "ON" or "OFF"."""

    mode: str | None = None
    until_ms: int | None = None
    hold: str | None = None


def from_headers(headers: Mapping[str, str]) -> Wish:
    """Read the lock headers of a request (lower-case names). Raises InvalidArgument."""
    mode, until, hold = headers.get(MODE), headers.get(UNTIL), headers.get(HOLD)
    if (mode is None) != (until is None):
        raise InvalidArgument(f"{UNTIL} and {MODE} must both be supplied", ArgumentName=MODE if mode is None else UNTIL, ArgumentValue="")
    if mode is not None and mode not in MODES:
        raise InvalidArgument("Unknown wormMode directive.", ArgumentName=MODE, ArgumentValue=mode)
    if hold is not None and hold not in HOLDS:
        raise InvalidArgument("Legal Hold must be either of 'ON' or 'OFF'", ArgumentName=HOLD, ArgumentValue=hold)
    return Wish(mode, None if until is None else _until(until), hold)


def _until(text: str) -> int:
    try:
        return milliseconds(parse_iso_date(text.strip()))
    except ValueError:
        raise InvalidArgument("The retain until date must be provided in ISO 8601 format", ArgumentName=UNTIL, ArgumentValue=text) from None


def check_future(until_ms: int | None, now_ms: int) -> None:
    """Raise InvalidArgument unless the date (None: no retention) is to come."""
    if until_ms is not None and until_ms <= now_ms:
        raise InvalidArgument("The retain until date must be in the future!", ArgumentName=UNTIL)


def retention(document: dict[str, Any]) -> tuple[str | None, int | None]:
    """Mode and date (UTC milliseconds) of a Retention element; an empty one says none. Raises MalformedXML, NotImplementedS3."""
    for name in ("EventHold", "EventHoldDuration"):
        if document.get(name) is not None:
            raise NotImplementedS3(f"Retention.{name} is not implemented.")
    mode, until = document.get("Mode"), document.get("RetainUntilDate")
    if (mode is None) != (until is None):
        raise MalformedXML()
    return mode, milliseconds(until) if isinstance(until, datetime) else until


def legal_hold(document: dict[str, Any]) -> str:
    """Status of a LegalHold element. Raises MalformedXML."""
    status = document.get("Status")
    if status not in HOLDS:
        raise MalformedXML()
    return str(status)


def configuration(document: dict[str, Any]) -> str:
    """The column of a bucket out of an ObjectLockConfiguration: its default retention as JSON, ``{}`` for none.

    Raises MalformedXML, InvalidRetentionPeriod, NotImplementedS3.
    """
    if document.get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML()
    if (rule := document.get("Rule")) is None:
        return "{}"
    default = rule.get("DefaultRetention") or {}
    if default.get("DefaultEventHold") is not None:
        raise NotImplementedS3("DefaultRetention.DefaultEventHold is not implemented.")
    periods = [name for name in MOST if default.get(name) is not None]
    if default.get("Mode") not in MODES or len(periods) != 1:
        raise MalformedXML()
    unit, period = periods[0], default[periods[0]]
    if period <= 0:
        raise InvalidRetentionPeriod()
    if period > MOST[unit]:
        raise InvalidRetentionPeriod(f"Default retention period is too large: at most {MOST[unit]} {unit.lower()}.")
    return json.dumps({"Mode": default["Mode"], unit: period})


def shown(stored: str) -> dict[str, Any]:
    """The document of a bucket's column."""
    default = json.loads(stored)
    return {"ObjectLockEnabled": "Enabled"} | ({"Rule": {"DefaultRetention": default}} if default else {})


def default_retention(stored: str | None, now_ms: int) -> tuple[str | None, int | None]:
    """Mode and date (UTC milliseconds) that a bucket's column gives an object made now; a year has 365 days."""
    default = json.loads(stored) if stored else {}
    if not default:
        return None, None
    days = default.get("Days") or default["Years"] * YEAR_DAYS
    return default["Mode"], now_ms + days * DAY_MS
