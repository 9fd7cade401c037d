"""Starting a run and watching it, for the command line and scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from shared import queue
from shared.meta import runs
from shared.meta.database import session
from shared.meta.runs import Progress
from workflows import registry

LOOK_S = 0.2


def start(name: str, input: dict[str, Any] | None = None) -> int:
    """Start a workflow and return the run's id. One with the same input that is not finished yet is joined instead.

    Works without a queue too: the scheduler finds the run. Raises LookupError for a name nobody declared.
    """
    flow = registry.find(name)
    subject = json.dumps(input, sort_keys=True) if input else ""
    with session():
        run_id = runs.enqueue(flow.name, input, subject, again=False)
    queue.flush()       # a script may end right after this
    return run_id


def watch(run_id: int, look_s: float = LOOK_S) -> Iterator[Progress]:
    """Yield how far the run is, every ``look_s`` seconds until it is finished. Raises LookupError when there is no such run."""
    while True:
        with session():
            seen = runs.progress(run_id)
        if seen is None:
            raise LookupError(f"there is no run {run_id}")
        yield seen
        if seen.is_finished:
            return
        time.sleep(look_s)
