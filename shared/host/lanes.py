"""Lanes of worker threads: reads never wait behind writes, and neither behind what takes long."""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from typing import Any

from waitress.task import ThreadedTaskDispatcher

from shared.host.contract import Lane

logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is normal here, and one line for each task is not


SLOW_NICENESS = 10      # 15 measured no better; more would starve uploads while short requests keep the cores busy


class _Lane(ThreadedTaskDispatcher):  # type: ignore[misc]
    def __init__(self, name: str, threads: int) -> None:
        super().__init__()
        self.name = name
        self.set_thread_count(threads)

    def start_new_thread(self, target: Any, thread_no: int) -> None:
        if self.name == "slow":
            target = _yielding(target)
        threading.Thread(target=target, args=(thread_no,), name=f"{self.name}-{thread_no}", daemon=True).start()


def _yielding(target: Any) -> Any:
    """Have a thread give way to those that answer short requests: hashing gigabytes takes every core there is."""

    def run(thread_no: int) -> None:
        if sys.platform == "linux":     # only there a priority belongs to a thread and not to its process
            thread = threading.get_native_id()
            with suppress(OSError):     # a sandbox may forbid it
                os.setpriority(os.PRIO_PROCESS, thread, max(SLOW_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
        target(thread_no)

    return run


class Lanes:
    """The threads that run tasks. A task says by its ``lane`` which of them answers it."""

    def __init__(self, fast: int, write: int, slow: int) -> None:
        self._lanes = {"fast": _Lane("fast", fast), "write": _Lane("write", write), "slow": _Lane("slow", slow)}

    def add_task(self, task: Any) -> None:
        lane: Lane = task.lane
        self._lanes["fast" if lane == "now" else lane].add_task(task)     # what could not be answered at once is a read like others

    def shutdown(self, timeout_s: float) -> None:
        """Let running tasks finish for ``timeout_s`` in each lane, cancel those that wait."""
        for lane in self._lanes.values():
            lane.shutdown(timeout=timeout_s)
