"""Runs of workflows: the rows that say what is to be done, who is at it and how far it is. Queues only ring about them."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from peewee import Case

from shared import queue
from shared.clock import now_ms
from shared.errors import ServiceUnavailable
from shared.meta.database import transaction
from shared.meta.models import INSTALLATION, Run, db

# AGAIN is a run that has begun and was enqueued once more: what it is about changed behind its back, so it starts over when done.
QUEUED, RUNNING, AGAIN, DONE, FAILED, CANCELLED = "queued", "running", "again", "done", "failed", "cancelled"
LONGEST_DELAY_S = 3600      # no retry is put off for longer
MESSAGE_CHARS = 500
_key: Any = Run._meta.primary_key     # Run.id: peewee adds it unseen by type checkers
_JOIN_ATTEMPTS = 10         # the run to be joined may finish between two statements on PostgreSQL


class LeaseLost(Exception):
    """The run was cancelled, or its lease expired and somebody else has it: stop, and write nothing."""


@dataclass(frozen=True)
class Leased:
    """A run while it is ours. ``attempt`` counts from 1: how often the step at this cursor has been tried, this time included."""

    id: int
    workflow: str
    input: dict[str, Any]
    cursor: dict[str, Any] | None
    attempt: int
    done: int
    holder: str


class Progress(NamedTuple):
    """How far a run is: ``done`` of ``total`` (None: not known), in a state of this module, with a line for people."""

    done: int
    total: int | None
    state: str
    message: str | None

    @property
    def is_finished(self) -> bool:
        """True when nothing more will happen."""
        return self.state in (DONE, FAILED, CANCELLED)


class RunInfo(NamedTuple):
    """A run, finished or not. It belongs to the tenant that its input names, else to the installation."""

    id: int
    workflow: str
    tenant_id: int
    progress: Progress
    created_ms: int
    finished_ms: int | None


class Due(NamedTuple):
    """A run that nobody is at although its time has come."""

    id: int
    due_ms: int
    lease_until_ms: int | None


def enqueue(workflow: str, input: Mapping[str, Any] | None = None, subject: str = "", *, again: bool = True) -> int:
    """Insert a run in the caller's transaction, ring after its commit, and return the run's id.

    While a run of the same workflow and subject is unfinished, that one's id is returned; its input stays. When it has begun
    already it starts over after its end, because it may have passed what the caller is about to commit; not so with
    ``again=False``.
    """
    now = now_ms()
    given = json.dumps(input or {}, sort_keys=True)
    row = {Run.workflow: workflow, Run.subject: subject, Run.input: given, Run.due_ms: now, Run.created_ms: now}
    with transaction():
        for _ in range(_JOIN_ATTEMPTS):
            rows = list(Run.insert(row).on_conflict_ignore().returning(_key).tuples().execute())
            if found := rows or _join(workflow, subject, again):
                run_id: int = found[0][0]
                db.after_commit(partial(queue.ring, run_id))
                return run_id
        raise ServiceUnavailable


def _join(workflow: str, subject: str, again: bool) -> list[Any]:
    """Find the unfinished run and lock its row: a runner can't take it before it can see what the caller commits."""
    begun = (Run.state == RUNNING) | Run.cursor.is_null(False)
    state = Case(None, [(begun, AGAIN)], Run.state) if again else Run.state
    query = Run.update(state=state).where((Run.workflow == workflow) & (Run.subject == subject) & Run.finished_ms.is_null())
    return list(query.returning(_key).tuples().execute())


def workflow_of(run_id: int) -> str | None:
    """The workflow of an unfinished run; None when there is no such run."""
    row = Run.select(Run.workflow).where((_key == run_id) & Run.finished_ms.is_null()).tuples().first()
    return row[0] if row else None


def lease(run_id: int, lease_s: float) -> Leased | None:
    """Take a run that is due for ``lease_s`` seconds. None when it is finished, not due, or somebody is at it.

    A lease that ends further away than twice its length was made before the clock was set back, and does not count.
    """
    now, lease_ms = now_ms(), int(lease_s * 1000)
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"     # new for each lease: it fences off earlier ones
    free = Run.lease_until_ms.is_null() | (Run.lease_until_ms <= now) | (Run.lease_until_ms > now + 2 * lease_ms)
    values = {
        Run.state: Case(None, [(Run.state == AGAIN, AGAIN)], RUNNING), Run.leased_by: holder, Run.lease_until_ms: now + lease_ms,
        Run.attempts: Run.attempts + 1,
    }
    columns = (_key, Run.workflow, Run.input, Run.cursor, Run.attempts, Run.done)
    with transaction():
        query = Run.update(values).where((_key == run_id) & Run.finished_ms.is_null() & _time_has_come(now) & free)
        rows = list(query.returning(*columns).tuples().execute())
    if not rows:
        return None
    id_, workflow, given, cursor, attempts, done = rows[0]
    return Leased(id_, workflow, json.loads(given), json.loads(cursor) if cursor else None, attempts, done, holder)


def _time_has_come(now: int) -> Any:
    """Due; or put off for longer than anything ever is, which means that the clock was set back since."""
    return (Run.due_ms <= now) | (Run.due_ms > now + 2 * LONGEST_DELAY_S * 1000)


def _write(leased: Leased, **values: Any) -> None:
    """Change the row of a run if the lease still stands. Raises LeaseLost."""
    if Run.update(**values).where((_key == leased.id) & (Run.leased_by == leased.holder)).execute() != 1:
        raise LeaseLost(f"run {leased.id} is no longer ours")


def renew(leased: Leased, lease_s: float) -> None:
    """Keep the run for ``lease_s`` more seconds, from inside a step that takes long. Raises LeaseLost."""
    with transaction():
        _write(leased, lease_until_ms=now_ms() + int(lease_s * 1000))


def advance(
    leased: Leased, lease_s: float, cursor: dict[str, Any], *, done: int, total: int | None = None, message: str | None = None,
    effect: Callable[[], None] | None = None,
) -> Leased:
    """Store where the run is, and do ``effect`` in the same transaction; the lease is renewed. Raises LeaseLost, and then does neither."""
    with transaction():
        _write(
            leased, cursor=json.dumps(cursor), done=done, total=total, message=_line(message), attempts=1,
            lease_until_ms=now_ms() + int(lease_s * 1000),
        )
        if effect is not None:
            effect()
    return replace(leased, cursor=cursor, done=done, attempt=1)


def hand_back(leased: Leased) -> None:
    """Let somebody else go on from the cursor, at once. Not counted as an attempt. Raises LeaseLost."""
    with transaction():
        _write(leased, state=_parked(), due_ms=now_ms(), attempts=leased.attempt - 1, leased_by=None, lease_until_ms=None)
        db.after_commit(partial(queue.ring, leased.id))


def retry(leased: Leased, message: str, delay_s: float) -> None:
    """Try the step at the cursor again after ``delay_s`` seconds, at most LONGEST_DELAY_S. Raises LeaseLost."""
    due_ms = now_ms() + int(min(delay_s, LONGEST_DELAY_S) * 1000)
    with transaction():
        _write(leased, state=_parked(), due_ms=due_ms, message=_line(message), leased_by=None, lease_until_ms=None)


def _parked() -> Any:
    return Case(None, [(Run.state == AGAIN, AGAIN)], QUEUED)


def complete(leased: Leased) -> None:
    """End the run; or start it over when it was enqueued again meanwhile. Raises LeaseLost."""
    _end(leased, state=DONE)


def fail(leased: Leased, message: str) -> None:
    """End the run for good, with the reason in one line; or start it over when it was enqueued again meanwhile. Raises LeaseLost."""
    _end(leased, state=FAILED, message=_line(message))


def _end(leased: Leased, **values: Any) -> None:
    now = now_ms()
    free: dict[str, Any] = {"leased_by": None, "lease_until_ms": None}
    with transaction():
        ours = (_key == leased.id) & (Run.leased_by == leased.holder)
        if not Run.update(finished_ms=now, **values, **free).where(ours & (Run.state == RUNNING)).execute():
            _write(leased, state=QUEUED, cursor=None, done=0, total=None, attempts=0, due_ms=now, **free)
            db.after_commit(partial(queue.ring, leased.id))


def cancel(run_id: int) -> bool:
    """End an unfinished run. A step under way can't store its outcome any more. False when the run was finished already."""
    with transaction():
        query = Run.update(state=CANCELLED, finished_ms=now_ms(), leased_by=None, lease_until_ms=None)
        return bool(query.where((_key == run_id) & Run.finished_ms.is_null()).execute())


def find(run_id: int) -> RunInfo | None:
    """Find a run; None when there is no such run, or it was forgotten. Reads one row."""
    columns = (Run.workflow, Run.input, Run.done, Run.total, Run.state, Run.message, Run.created_ms, Run.finished_ms)
    row = Run.select(*columns).where(_key == run_id).tuples().first()
    if row is None:
        return None
    workflow, given, done, total, state, message, created_ms, finished_ms = row
    tenant_id = json.loads(given).get("tenant")
    return RunInfo(
        run_id, workflow, tenant_id if isinstance(tenant_id, int) else INSTALLATION,
        Progress(done, total, RUNNING if state == AGAIN else state, message), created_ms, finished_ms)


def progress(run_id: int) -> Progress | None:
    """How far a run is; None when there is no such run. Reads one row."""
    found = find(run_id)
    return found.progress if found else None


def due(lease_s: Mapping[str, float], limit: int = 1000) -> list[Due]:
    """Runs that are due and that nobody is at, longest due first. ``lease_s`` gives the lease lengths of the known workflows."""
    now = now_ms()
    query = Run.select(_key, Run.due_ms, Run.lease_until_ms, Run.workflow).where(
        Run.workflow.in_(list(lease_s)) & Run.finished_ms.is_null() & _time_has_come(now)
    )
    rows: Any = query.order_by(Run.due_ms).limit(limit).tuples()
    return [
        Due(run_id, due_ms, until) for run_id, due_ms, until, workflow in rows
        if until is None or not now < until <= now + 2 * lease_s[workflow] * 1000
    ]


def finished_before(moment_ms: int, limit: int) -> list[int]:
    """Runs that finished before a moment, at most ``limit``."""
    rows: Any = Run.select(_key).where(Run.finished_ms < moment_ms).limit(limit).tuples()
    return [run_id for (run_id,) in rows]


def forget(run_ids: list[int]) -> None:
    """Remove the rows of finished runs."""
    with transaction():
        Run.delete().where(_key.in_(run_ids) & Run.finished_ms.is_null(False)).execute()


def _line(message: str | None) -> str | None:
    """The first line, cut to what a table can show."""
    return message.strip().partition("\n")[0][:MESSAGE_CHARS] if message else None
