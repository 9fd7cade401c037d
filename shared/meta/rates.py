"""How often things happen, counted in one place for all processes: in fixed windows of time, and failures in a row.

A count is one statement, so nobody can look first and count later. Both functions are called inside the transaction of the caller.
"""

from __future__ import annotations

from typing import Any

from shared.meta.identity_models import RateCount
from shared.meta.statement import P, Statement, Text

KEPT_MS = 86_400_000 * 31       # longer than any window, and than the longest lockout

# A window ahead of ours was counted before the clock went back a little: it goes on. One far ahead would never end, so it starts over.
_hit = Statement(lambda: Text(
    'INSERT INTO rate_count (name, "window", "count") VALUES (:name, :window, 1) ON CONFLICT (name) DO UPDATE SET '
    '"count" = CASE WHEN rate_count."window" >= :window AND rate_count."window" <= :next THEN rate_count."count" + 1 ELSE 1 END, '
    '"window" = CASE WHEN rate_count."window" >= :window AND rate_count."window" <= :next THEN rate_count."window" ELSE :window END '
    'RETURNING "count"'
))
_count = Statement(lambda: RateCount.select(RateCount.count).where(
    (RateCount.name == P("name")) & (RateCount.window >= P("window")) & (RateCount.window <= P("next"))
))
_give_back = Statement(lambda: RateCount.update(count=RateCount.count - 1).where(
    (RateCount.name == P("name")) & (RateCount.window == P("window")) & (RateCount.count > 0)
))


def window_of(now_ms: int, length_ms: int) -> int:
    """When the window of this length that holds ``now_ms`` began."""
    return now_ms - now_ms % length_ms


def hit(conn: Any, name: str, now_ms: int, length_ms: int) -> int:
    """Count one more, and return how many there are in this window of ``length_ms``."""
    window = window_of(now_ms, length_ms)
    return int(_hit(conn, name=name, window=window, next=window + length_ms).fetchone()[0])


def count(conn: Any, name: str, now_ms: int, length_ms: int) -> int:
    """How many there are in this window: to refuse without a write. It only grows, so what is too much now stays too much."""
    window = window_of(now_ms, length_ms)
    row = _count(conn, name=name, window=window, next=window + length_ms).fetchone()
    return int(row[0]) if row else 0


def give_back(conn: Any, name: str, then_ms: int, length_ms: int) -> None:
    """Take back what ``hit`` counted at ``then_ms``, if its window still stands."""
    _give_back(conn, name=name, window=window_of(then_ms, length_ms))


def prune(now_ms: int) -> None:
    """Forget what no longer counts, and what a clock that was wrong left in the far future."""
    RateCount.delete().where((RateCount.window < now_ms - KEPT_MS) | (RateCount.window > now_ms + KEPT_MS)).execute()
