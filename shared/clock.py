"""What time it is: UTC milliseconds, as every table stores them."""

from __future__ import annotations

import time


def now_ms() -> int:
    """UTC milliseconds of the wall clock. It may jump; nothing orders versions or leases data by it alone."""
    return time.time_ns() // 1_000_000
