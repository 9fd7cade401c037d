"""Group commit: writes of several threads that wait at the same moment share one transaction, and one fsync.

SQLite has one writer, and a commit of any other connection makes this one read its pages anew; so one thread commits for all that wait in
its process. Four small writes cost a third each of what they cost alone (docs/performance.md).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import Any, Generic, TypeVar, cast

from shared.errors import ServiceUnavailable
from shared.meta.database import QUEUE_TIMEOUT_S, is_sqlite, transaction
from shared.meta.models import db

MOST_TOGETHER = 32      # so that the first of them waits some milliseconds at most

T = TypeVar("T")
Work = Callable[[Any], T]


class _Wish(Generic[T]):
    """One thread's work and what became of it."""

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.result: T | None = None
        self.error: BaseException | None = None
        self.kept = False       # said last, behind the commit: whatever goes wrong before, nobody takes it for a success
        self.done = threading.Event()


_waiting: deque[_Wish[Any]] = deque()
_leading = threading.Lock()


def durably(work: Work[T]) -> T:
    """Run ``work(connection)`` in a write transaction and return what it returns, once that is durable.

    The work of other threads may be in the same transaction; each stands behind a savepoint of its own, so that one that raises takes
    nothing along. ``work`` may run in another thread, and must not register after-commit callbacks. Raises what ``work`` raises, and what
    ``transaction`` raises: then nothing of it happened, unless the connection was lost during the commit.
    """
    if not is_sqlite() or db.in_transaction():
        with transaction() as conn:
            return work(conn)
    wish = _Wish(work)
    _waiting.append(wish)
    _lead_or_wait(wish)
    if wish.error is not None:
        raise wish.error
    if not wish.kept:
        raise ServiceUnavailable("The metadata database is not available. Please try again.")
    return cast(T, wish.result)


def _lead_or_wait(wish: _Wish[Any]) -> None:
    """Take the lead when nobody has it, until the own wish is done; else wait for whoever has it."""
    if not _leading.acquire(timeout=QUEUE_TIMEOUT_S):
        try:
            _waiting.remove(wish)
        except ValueError:      # somebody is at it this moment
            wish.done.wait()
            return
        raise ServiceUnavailable("The metadata database is busy. Please try again.")
    try:
        while not wish.done.is_set():
            _carry_out(_next_group())
    finally:
        _leading.release()


def _next_group() -> list[_Wish[Any]]:
    """Take those who wait, one by one: somebody who has waited too long may take its wish back at any moment."""
    group: list[_Wish[Any]] = []
    with suppress(IndexError):
        while len(group) < MOST_TOGETHER:
            group.append(_waiting.popleft())
    return group


def _carry_out(group: list[_Wish[Any]]) -> None:
    try:
        with transaction() as conn:
            for wish in group:
                _try(conn, wish, alone=len(group) == 1)
        for wish in group:
            wish.kept = True
    except BaseException as error:      # whatever it is, every thread that waits must hear of it
        for wish in group:
            if wish.error is None:
                with suppress(Exception):       # some cannot be copied, and nothing can when memory is short
                    wish.error = copy(error)
        if not isinstance(error, Exception):
            raise
    finally:
        for wish in group:
            wish.done.set()


def _try(conn: Any, wish: _Wish[Any], *, alone: bool) -> None:
    if not alone:
        conn.execute("SAVEPOINT wish")
    try:
        wish.result = wish.work(conn)
    except Exception as error:
        wish.error = error
        if alone or not conn.in_transaction:     # a full disk makes SQLite roll everything back by itself
            raise
        conn.execute("ROLLBACK TO wish")
    if not alone:
        conn.execute("RELEASE wish")
