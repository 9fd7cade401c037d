"""How a process of workflows lives: what it opens, and that it ends with its event, SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared import audit, queue
from shared.meta import database
from shared.settings import Settings

LOOK_S = 0.2


@contextmanager
def installation(settings: Settings) -> Iterator[None]:
    """Connect the database, migrated, choose the queue and the audit log; let go of them afterwards."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database.connect(settings.database_url, settings.data_dir)
    try:
        database.migrate()
        queue.configure(settings.queue_url, settings.data_dir)
        audit.configure(settings)
        yield
    finally:
        audit.close()
        queue.close()
        database.dispose()


def catch_signals() -> list[int]:
    """From now on SIGTERM and SIGINT only add their number to the list returned. For the main thread."""
    # The handler must not set an Event: the main thread may be inside that event's lock just then.
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.append(number))
    return received


def until_stopped(stop: threading.Event, received: list[int], look: Callable[[], None], every_s: float) -> None:
    """Call ``look`` about every ``every_s`` seconds until stopped; afterwards the event is set in any case."""
    waited_s = 0.0
    while not stop.wait(LOOK_S) and not received:
        waited_s += LOOK_S
        if waited_s >= every_s:
            waited_s = 0.0
            look()
    stop.set()
