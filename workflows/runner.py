"""The process that works the runs: a huey consumer whose threads answer rings."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import Any

from huey.consumer import Consumer, Scheduler
from huey.exceptions import ConfigurationError

from shared import queue
from shared.blobs.disk import DiskEngine
from shared.settings import Settings
from workflows.lifetime import catch_signals, installation, until_stopped
from workflows.registry import Context
from workflows.turns import Runner

log = logging.getLogger(__name__)

WORKERS = 2
FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 0.15     # how often an idle SQLite queue is looked at; huey's default backs off to 10 s
HEALTH_S = 10
OPEN_RETRY_S = 1


class _NoSchedule(Scheduler):  # type: ignore[misc]
    """Nothing is put off in huey (``due_ms`` is in the row), so there is no schedule to lock and read every second."""

    def loop(self, now: Any = None) -> None:
        self.stop_flag.wait(1)


class _Consumer(Consumer):  # type: ignore[misc]
    scheduler_class = _NoSchedule

    def _set_signal_handlers(self) -> None:
        """The process has its own."""


def run_consumer(settings: Settings, stop: threading.Event | None = None) -> None:
    """Work the runs of an installation until ``stop`` is set or, without one, until SIGTERM or SIGINT.

    Runs in hand are handed back between two steps; a step gets ``drain_timeout_s`` to end. Works alone: it migrates the database
    when that is due, and waits for a queue that can't be reached.
    """
    received = [] if stop is not None else catch_signals()
    stop = stop or threading.Event()
    with installation(settings), closing(DiskEngine(settings.data_dir, settings.reserve_bytes)) as engine:
        bell = queue.doorbell()
        bell.answer = Runner(Context(settings, engine), stop).answer
        huey = _opened(bell, stop, received)
        if huey is not None:
            _consume(huey, settings.drain_timeout_s, stop, received)


def _consume(huey: Any, drain_timeout_s: float, stop: threading.Event, received: list[int]) -> None:
    consumer = _Consumer(
        huey, workers=WORKERS, periodic=False, initial_delay=FIRST_DELAY_S, max_delay=LONGEST_DELAY_S, shutdown_timeout=drain_timeout_s,
    )
    consumer.start()
    log.info("workflows: ready")
    until_stopped(stop, received, consumer.check_worker_health, HEALTH_S)
    consumer.stop(graceful=True)


def _opened(bell: queue.Doorbell, stop: threading.Event, received: list[int]) -> Any:
    """The huey instance, as soon as its queue can be reached; None when stopped before. Raises when it never can be."""
    while not stop.is_set() and not received:
        try:
            return bell.huey
        except (ConfigurationError, ValueError):
            raise
        except Exception as error:      # each driver has its own
            log.warning("the queue can't be opened yet: %s", error)
            stop.wait(OPEN_RETRY_S)
    return None
