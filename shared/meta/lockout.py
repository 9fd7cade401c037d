"""Lockout: an account that failed too often in a row is closed for a while. Pure: whoever calls keeps the standing.

Each attempt is counted before its password is looked at, so that attempts side by side cannot outrun the count.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """``failures`` in a row, none of them ``duration_ms`` after the one before, lock for ``duration_ms``. 0 failures: never."""

    failures: int
    duration_ms: int


class Standing(NamedTuple):
    """How an account stands: failures in a row, when the last one was, and until when it is locked (0: it is not)."""

    failures: int = 0
    failed_ms: int = 0
    locked_until_ms: int = 0


def attempt(standing: Standing, now_ms: int, limits: Limits) -> tuple[Standing, bool]:
    """The standing once this attempt counts as a failure, and whether it may be made at all.

    A clock that went back locks nobody for longer than the duration from now on, and unlocks nobody.
    """
    if limits.failures == 0:
        return Standing(standing.failures + 1, now_ms), True
    until_ms = min(standing.locked_until_ms, now_ms + limits.duration_ms)
    if until_ms > now_ms:
        return standing._replace(locked_until_ms=until_ms), False
    goes_on = not standing.locked_until_ms and abs(now_ms - standing.failed_ms) < limits.duration_ms
    failures = standing.failures + 1 if goes_on else 1
    return Standing(failures, now_ms, now_ms + limits.duration_ms if failures >= limits.failures else 0), True


def taken_back(standing: Standing, limits: Limits) -> Standing:
    """The standing without the last attempt: its password was right, though not all is proven yet."""
    failures = max(0, standing.failures - 1)
    return standing._replace(failures=failures, locked_until_ms=standing.locked_until_ms if failures >= limits.failures > 0 else 0)
