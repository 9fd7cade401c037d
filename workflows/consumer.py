"""The process that works the runs: a huey consumer whose threads answer rings."""

from __future__ import annotations

import logging
import threading
from typing import Any

from huey.consumer import Consumer, Scheduler

from shared import queue
from workflows.lifetime import catch_signals, until_stopped
from workflows.registry import Context
from workflows.runner import Runner

log = logging.getLogger(__name__)

WORKERS = 2
FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 0.15     # how often an idle SQLite queue is looked at; huey's default backs off to 10 s
HEALTH_S = 10
DRAIN_S = 30
OPEN_RETRY_S = 1


class _NoSchedule(Scheduler):  # type: ignore[misc]
    """Nothing is put off in huey (``due_ms`` is in the row), so there is no schedule to lock and read every second."""

    def loop(self, now: Any = None) -> None:
        self.stop_flag.wait(1)


class _Consumer(Consumer):  # type: ignore[misc]
    scheduler_class = _NoSchedule

    def _set_signal_handlers(self) -> None:
        """The process has its own."""


def run_consumer(context: Context, stop: threading.Event | None = None, *, workers: int = WORKERS) -> None:
    """Work runs until ``stop`` is set, or, without one, until SIGTERM or SIGINT; then let the steps under way end (30 s).

    The database must be connected (``shared.meta.database.connect``) and the queue chosen (``shared.queue.configure``).
    Returns when every thread has ended; runs in hand are handed back between two steps.
    """
    received = [] if stop is not None else catch_signals()
    stop = stop or threading.Event()
    bell = queue.doorbell()
    bell.answer = Runner(context, stop).answer
    huey = _opened(bell, stop, received)
    if huey is None:
        return
    consumer = _Consumer(
        huey, workers=workers, periodic=False, initial_delay=FIRST_DELAY_S, max_delay=LONGEST_DELAY_S, shutdown_timeout=DRAIN_S,
        check_worker_health=False,
    )
    consumer.start()
    log.info("workflows: ready")
    until_stopped(stop, received, consumer.check_worker_health, HEALTH_S)
    consumer.stop(graceful=True)
    bell.flush(1)


def _opened(bell: queue.Doorbell, stop: threading.Event, received: list[int]) -> Any:
    """The huey instance, as soon as its queue can be reached; None when stopped before."""
    while not stop.is_set() and not received:
        try:
            return bell.huey
        except Exception as error:      # each driver has its own
            log.warning("the queue can't be opened yet: %s", error)
            stop.wait(OPEN_RETRY_S)
    return None
