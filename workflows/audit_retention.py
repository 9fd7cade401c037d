"""Forget audit events that are too old."""

from __future__ import annotations

from shared import audit, dynamic
from shared.audit.recorder import store
from shared.clock import now_ms
from workflows.registry import Next, Run, workflow

DAY_MS = 86_400_000
PAGE_ROWS = 1_000
MOST_DAYS = 31


@workflow("audit_retention", every_s=86_400)
def audit_retention(run: Run) -> Next | None:
    """Remove audit events older than the setting audit.retention_days, 1,000 a step; the log is as verifiable as before.

    A run removes no more than MOST_DAYS of the log, oldest first: a clock that leaps ahead by years must not cost the whole log before
    somebody sees it. The log may be another database than the run's, so a crash may remove a page that the run does not count. 0 days:
    nothing is removed.
    """
    days = dynamic.get("audit.retention_days")
    if not days:
        return None
    before_ms = run.cursor["before_ms"] if run.cursor else _reach(now_ms() - days * DAY_MS)
    removed = store().prune(before_ms, PAGE_ROWS)
    if removed:
        done = run.done + removed
        return Next({"before_ms": before_ms}, done, message=f"{done} events removed")
    if run.done:
        audit.record(audit.Event("audit_pruned", "system", action="delete", details={"removed": run.done, "retention_days": days}))
    return None


def _reach(before_ms: int) -> int:
    """How far this run goes."""
    oldest_ms = store().oldest_ms()
    return before_ms if oldest_ms is None else min(before_ms, oldest_ms + MOST_DAYS * DAY_MS)
