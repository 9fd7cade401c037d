"""Forget finished runs after a month."""

from __future__ import annotations

from functools import partial
from typing import Any

from shared.clock import now_ms
from shared.meta import models
from workflows.registry import Next, Run, workflow

KEPT_MS = 30 * 86_400_000
PAGE_ROWS = 100


@workflow("prune_runs", every_s=86_400)
def prune_runs(run: Run) -> Next | None:
    """Remove runs that finished more than 30 days ago, 100 a step."""
    rows: Any = models.Run.select(models.Run.id).where(models.Run.finished_ms < now_ms() - KEPT_MS).limit(PAGE_ROWS).tuples()
    old = [run_id for (run_id,) in rows]
    if not old:
        return None
    done = run.done + len(old)
    return Next({}, done, message=f"{done} runs removed", effect=partial(_remove, old))


def _remove(run_ids: list[int]) -> None:
    models.Run.delete().where(models.Run.id.in_(run_ids)).execute()
