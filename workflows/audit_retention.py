"""Forget audit events that are too old."""

from __future__ import annotations

from shared import audit, dynamic
from shared.audit.recorder import store
from shared.clock import now_ms
from workflows.registry import Next, Run, workflow

DAY_MS = 86_400_000
PAGE_ROWS = 1_000


@workflow("audit_retention", every_s=86_400)
def audit_retention(run: Run) -> Next | None:
    """Remove audit events older than the setting audit.retention_days, 1,000 a step; the log is as verifiable as before.

    The log may be another database than the run's, so a crash may remove a page that the run does not count. 0 days: nothing is removed.
    """
    days = dynamic.get("audit.retention_days")
    removed = store().prune(now_ms() - days * DAY_MS, PAGE_ROWS) if days else 0
    if removed:
        done = run.done + removed
        return Next({}, done, message=f"{done} events removed")
    if run.done:
        audit.record(audit.Event("audit_pruned", "system", action="delete", details={"removed": run.done, "retention_days": days}))
    return None
