"""What time it is: UTC milliseconds, as every table stores them."""

from __future__ import annotations

import time


def now_ms() -> int:
    """UTC milliseconds of the wall clock. It may jump; nothing orders versions or leases data by it alone."""
    return time.time_ns() // 1_000_000


def _awake_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000      # nobody can set it; it goes on while the machine sleeps


_STARTED_MS = now_ms() - _awake_ms()


def surely_ms() -> int:
    """UTC milliseconds that have surely come: by the wall clock, and by how long it is since this process saw it first.

    A wall clock that is set forward does not move it before the process is started again. For what must not end too early.
    """
    return min(now_ms(), _STARTED_MS + _awake_ms())
