"""Bring the full-text index of objects up to date."""

from __future__ import annotations

from shared.meta import search
from workflows.registry import Next, Run, workflow

PAGE = 50      # SQLite has one writer: a page holds it for about 40 ms


@workflow("index_search", every_s=300)
def index_search(run: Run) -> Next | None:
    """Follow the changes that triggers noted, a page in each step, in the transaction that stores the cursor.

    Whoever searches does some of it too, so a step that is repeated, or comes late, finds less to do.
    """
    if not search.is_behind():
        return None
    done = run.done + PAGE
    return Next({"pages": done // PAGE}, done, None, f"about {done} changes followed", _follow)


def _follow() -> None:
    search.catch_up(PAGE)
