"""Forget finished runs after a month."""

from __future__ import annotations

from functools import partial

from shared.clock import now_ms
from shared.meta import runs
from workflows.registry import Next, Run, workflow

KEPT_MS = 30 * 86_400_000
PAGE_ROWS = 100


@workflow("prune_runs", every_s=86_400)
def prune_runs(run: Run) -> Next | None:
    """Remove runs that finished more than 30 days ago, 100 a step."""
    old = runs.finished_before(now_ms() - KEPT_MS, PAGE_ROWS)
    if not old:
        return None
    done = run.done + len(old)
    return Next({}, done, message=f"{done} runs removed", effect=partial(runs.forget, old))
