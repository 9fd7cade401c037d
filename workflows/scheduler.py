"""The scheduler: starts what is due and rings again for what nobody came for. It does no work itself."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from shared import queue
from shared.errors import S3Error
from shared.meta import database, runs, schedule
from shared.settings import Settings
from workflows import registry
from workflows.lifetime import catch_signals, installation, until_stopped

log = logging.getLogger(__name__)

LEASE = "scheduler"
LEASE_S = 15            # how long a dead scheduler is missed
RENEW_S = 5
LOOK_S = 1
RING_AGAIN_S = 30       # a run that is due is rung for this often
MOST_WAITING = 1000     # rings in the queue above which nobody seems to be at home: more would only pile up


class Every(BaseTrigger):  # type: ignore[misc]
    """Fires every so many seconds and never makes up for beats missed.

    APScheduler's own interval lists each missed beat first: a machine that boots in 1970 and then learns the time would run out
    of memory.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval = timedelta(seconds=interval_s)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The next beat after ``previous``, or one interval from now when that is past."""
        if previous is None:
            return now
        return previous + self.interval if previous + self.interval > now else now + self.interval


class Scheduler:
    """What a scheduler does, as three short jobs. Only the one that holds the lease acts; others stand by."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
        self._leads_until_s = 0.0                                       # by the monotonic clock
        self._rung: dict[runs.Due, float] = {}                          # when each due run was rung for, by the monotonic clock

    @property
    def leads(self) -> bool:
        """True while the lease is surely ours."""
        return time.monotonic() < self._leads_until_s

    def hold_lease(self) -> None:
        """Take the lease, or keep it."""
        led, asked_s = self.leads, time.monotonic()
        self._leads_until_s = asked_s + LEASE_S if schedule.take_lease(LEASE, self.holder, LEASE_S) else 0.0
        if self.leads != led:
            log.info("scheduler %s %s", self.holder, "leads" if self.leads else "stands by")

    def start_due(self) -> None:
        """Insert a run of each workflow whose time has come, also when it came while no scheduler was there."""
        if not self.leads:
            return
        last = schedule.last_runs()
        for flow in registry.declared().values():
            if flow.every_s is not None and schedule.is_due(last.get(flow.name), flow.every_s):
                schedule.enqueue_due(flow.name, flow.every_s, LEASE, self.holder)

    def ring_lost(self) -> None:
        """Ring for due runs that nobody is at: a retry, a lease that ran out, a ring that got lost."""
        if not self.leads:
            return
        due = runs.due({flow.name: flow.lease_s for flow in registry.declared().values()})
        now_s = time.monotonic()
        self._rung = {run: self._rung[run] for run in due if run in self._rung}
        waiting = [run for run in due if now_s - self._rung.get(run, -RING_AGAIN_S) >= RING_AGAIN_S]
        if not waiting or queue.doorbell().waiting() >= MOST_WAITING:
            return
        for run in waiting:
            self._rung[run] = now_s
            queue.ring(run.id)

    def release(self) -> None:
        """Let a standby take over at once."""
        self._leads_until_s = 0.0
        schedule.release_lease(LEASE, self.holder)


def run_scheduler(settings: Settings, stop: threading.Event | None = None) -> None:
    """Schedule the runs of an installation until ``stop`` is set or, without one, until SIGTERM or SIGINT. Works alone."""
    received = [] if stop is not None else catch_signals()
    with installation(settings):
        scheduler = Scheduler()
        timer = _timer()
        for job, every_s in ((scheduler.hold_lease, RENEW_S), (scheduler.start_due, LOOK_S), (scheduler.ring_lost, LOOK_S)):
            timer.add_job(_quietly(job), Every(every_s))
        timer.start()
        log.info("scheduler: ready")
        until_stopped(stop or threading.Event(), received, lambda: mind_the_clock(timer), 1)
        timer.shutdown(wait=True)
        _quietly(scheduler.release)()


def _timer() -> BackgroundScheduler:
    """One thread for all jobs, so that they take turns; late beats count, missed ones are not made up for."""
    defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    return BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, job_defaults=defaults, timezone=UTC)


def mind_the_clock(timer: BackgroundScheduler) -> None:
    """Bring jobs back into reach after the clock was set back: none is ever further away than its interval."""
    now = datetime.now(UTC)
    for job in timer.get_jobs():
        if job.next_run_time - now > job.trigger.interval + timedelta(seconds=1):
            log.warning("the clock was set back: going on from now")
            job.modify(next_run_time=now)


def _quietly(job: Callable[[], None]) -> Callable[[], None]:
    """The job with a connection of its own, and one log line instead of a traceback when the database is away."""
    def run() -> None:
        try:
            with database.session():
                job()
        except (S3Error, *database.DRIVER_ERRORS) as error:
            log.warning("scheduler: %s", error)

    return run
