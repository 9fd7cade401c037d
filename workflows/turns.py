"""One turn at a run: lease it, step on from its cursor, and leave the row as the next one needs to find it."""

from __future__ import annotations

import logging
import random
import threading
import time

from shared.errors import S3Error
from shared.meta import database, runs
from shared.meta.runs import Leased, LeaseLost
from workflows import registry
from workflows.registry import Context, Workflow

log = logging.getLogger(__name__)

MAY_HEAL = (500, 503, 507)      # statuses of S3 errors that are worth another attempt


class Runner:
    """Answers rings. ``stop`` ends turns between two steps. Safe to use from several threads."""

    def __init__(self, context: Context, stop: threading.Event | None = None) -> None:
        self._context = context
        self._stop = stop or threading.Event()

    def answer(self, run_id: int) -> None:
        """Take a turn at the run if it is due and free; never raises. What can't be written down now, the lease's end will tell."""
        try:
            with database.session():
                self._take_turn(run_id)
        except LeaseLost as lost:
            log.info("%s", lost)
        except (S3Error, *database.DRIVER_ERRORS) as error:
            log.warning("run %d has to wait: %s", run_id, error)
        except Exception:
            log.exception("run %d: the runner failed", run_id)

    def _take_turn(self, run_id: int) -> None:
        name = runs.workflow_of(run_id)
        if name is None:
            return
        try:
            flow = registry.find(name)
        except LookupError:
            log.warning("run %d is of workflow %r, which this release does not have", run_id, name)
            return
        leased = runs.lease(run_id, flow.lease_s)
        if leased is not None and leased.attempt > flow.retries + 1:
            runs.fail(leased, f"gave up: {leased.attempt - 1} times the process ended, or the lease ran out, before this step was done")
        elif leased is not None:
            self._run_steps(flow, leased)

    def _run_steps(self, flow: Workflow, leased: Leased) -> None:
        """Step until the run is over, or the turn is: after ``lease_s`` seconds others get theirs."""
        turn_ends_s = time.monotonic() + flow.lease_s
        going: Leased | None = leased
        while going is not None:
            if self._stop.is_set() or time.monotonic() >= turn_ends_s:
                runs.hand_back(going)
                return
            going = self._run_step(flow, going)

    def _run_step(self, flow: Workflow, leased: Leased) -> Leased | None:
        """One step, and its outcome in the row. None when this turn is over. Raises LeaseLost."""
        told = registry.Run(leased.id, leased.input, leased.cursor, leased.attempt, leased.done, self._context)
        try:
            database.connection()
            following = flow.step(told)
            if following is None:
                runs.complete(leased)
                return None
            return runs.advance(
                leased, flow.lease_s, following.cursor, done=following.done, total=following.total, message=following.message,
                effect=following.effect,
            )
        except LeaseLost:
            raise
        except Exception as error:
            _put_off_or_fail(flow, leased, error)
            return None


def _put_off_or_fail(flow: Workflow, leased: Leased, error: Exception) -> None:
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, database.DRIVER_ERRORS):
        database.hang_up()      # the connection may be what is broken
        database.connection()
    if not _may_heal(flow, error):
        log.error("run %d of %s failed", leased.id, flow.name, exc_info=error)
        runs.fail(leased, reason)
    elif leased.attempt > flow.retries:
        log.error("run %d of %s failed after %d attempts: %s", leased.id, flow.name, leased.attempt, reason)
        runs.fail(leased, f"gave up after {leased.attempt} attempts: {reason}")
    else:
        delay_s = backoff_s(flow, leased.attempt)
        log.warning("run %d of %s is tried again in %.1f s: %s", leased.id, flow.name, delay_s, reason)
        runs.retry(leased, reason, delay_s)


def _may_heal(flow: Workflow, error: Exception) -> bool:
    if isinstance(error, S3Error):
        return error.status in MAY_HEAL or isinstance(error, flow.retry_on)
    return isinstance(error, (*flow.retry_on, *database.DRIVER_ERRORS))


def backoff_s(flow: Workflow, attempt: int) -> float:
    """Seconds until the attempt after this one: doubled each time, a quarter more or less so that runs do not march in step."""
    exponent = min(attempt - 1, 30)
    return min(flow.backoff_s * 2.0**exponent, runs.LONGEST_DELAY_S) * random.uniform(0.75, 1.25)
