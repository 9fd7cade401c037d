"""Two lanes of worker threads: short requests never wait behind long ones."""

from __future__ import annotations

import logging
import threading
from typing import Any

from waitress.task import ThreadedTaskDispatcher

logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is normal here, and one line for each task is not


class _Lane(ThreadedTaskDispatcher):  # type: ignore[misc]
    def __init__(self, name: str, threads: int) -> None:
        super().__init__()
        self.name = name
        self.set_thread_count(threads)

    def start_new_thread(self, target: Any, thread_no: int) -> None:
        threading.Thread(target=target, args=(thread_no,), name=f"{self.name}-{thread_no}", daemon=True).start()


class Lanes:
    """The threads that run tasks. A task with a true ``slow`` goes to the slow lane."""

    def __init__(self, fast: int, slow: int) -> None:
        self._fast, self._slow = _Lane("fast", fast), _Lane("slow", slow)

    def add_task(self, task: Any) -> None:
        (self._slow if task.slow else self._fast).add_task(task)

    def shutdown(self, timeout_s: float) -> None:
        """Let running tasks finish for ``timeout_s`` in each lane, cancel those that wait."""
        self._fast.shutdown(timeout=timeout_s)
        self._slow.shutdown(timeout=timeout_s)
