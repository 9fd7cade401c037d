"""A wall clock that a test can set: it is off by the number of seconds in the file that CRASH_CLOCK names."""

import os
import time

_FILE = os.environ.get("CRASH_CLOCK", "")
_time_ns = time.time_ns


def _offset_ns() -> int:
    try:
        with open(_FILE) as file:
            return int(file.read() or 0) * 10**9
    except (OSError, ValueError):
        return 0


if _FILE:
    time.time_ns = lambda: _time_ns() + _offset_ns()
    time.time = lambda: time.time_ns() / 1e9
