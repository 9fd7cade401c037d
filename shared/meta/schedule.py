"""What runs by itself, when it last did, and who alone may start it: leases by name."""

from __future__ import annotations

from typing import Any

from shared.clock import now_ms
from shared.meta.database import transaction
from shared.meta.models import Lease, Schedule
from shared.meta.runs import enqueue


def take_lease(name: str, holder: str, lease_s: float) -> bool:
    """Take or renew a lease for ``lease_s`` seconds; False while another holder has it.

    A lease that ends further away than twice its length was made before the clock was set back, and is taken over.
    """
    now, lease_ms = now_ms(), int(lease_s * 1000)
    row = Lease.select(Lease.holder, Lease.until_ms).where(Lease.name == name).tuples().first()
    if row is not None and row[0] != holder and now < row[1] <= now + 2 * lease_ms:
        return False
    with transaction():
        if row is None:
            inserted = Lease.insert(name=name, holder=holder, until_ms=now + lease_ms).on_conflict_ignore().returning(Lease.name)
            return bool(list(inserted.tuples().execute()))
        unchanged = (Lease.name == name) & (Lease.holder == row[0]) & (Lease.until_ms == row[1])
        return bool(Lease.update(holder=holder, until_ms=now + lease_ms).where(unchanged).execute())


def release_lease(name: str, holder: str) -> None:
    """Let the next one in at once, if the lease is still this holder's."""
    with transaction():
        Lease.update(until_ms=0).where((Lease.name == name) & (Lease.holder == holder)).execute()


def last_runs() -> dict[str, int]:
    """When each workflow last ran by itself, in UTC milliseconds."""
    rows: Any = Schedule.select(Schedule.workflow, Schedule.last_run_ms).tuples()
    return dict(rows)


def is_due(last_run_ms: int | None, every_s: float) -> bool:
    """Never ran, or not for ``every_s`` seconds; or ran in a future that the clock has since been set back from."""
    if last_run_ms is None:
        return True
    now, every_ms = now_ms(), int(every_s * 1000)
    return now >= last_run_ms + every_ms or last_run_ms > now + every_ms


def mark(name: str) -> None:
    """Remember that ``name`` ran now; in the caller's transaction."""
    now = now_ms()
    row = Schedule.insert(workflow=name, last_run_ms=now)
    with transaction():
        row.on_conflict(conflict_target=[Schedule.workflow], update={Schedule.last_run_ms: now}).execute()


def enqueue_due(workflow: str, every_s: float, lease_name: str, holder: str) -> int | None:
    """Insert a due run of a workflow and remember the time, in one transaction, if the lease is still this holder's.

    Returns the run's id; None when it is not due (any more) or the lease is somebody else's. Two schedulers never both act: each
    locks the lease row before it looks.
    """
    with transaction():
        ours = (Lease.name == lease_name) & (Lease.holder == holder) & (Lease.until_ms > 0)
        if not Lease.update(holder=holder).where(ours).execute():
            return None
        row = Schedule.select(Schedule.last_run_ms).where(Schedule.workflow == workflow).tuples().first()
        if not is_due(row[0] if row else None, every_s):
            return None
        mark(workflow)
        return enqueue(workflow, again=False)
