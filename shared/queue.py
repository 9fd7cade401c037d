"""The queue is a doorbell: one task, ``ring(run_id)``, with no truth in it. Lost rings are rung again by the scheduler."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any
from urllib.parse import urlsplit

from huey import PostgresHuey, RedisHuey, SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer

log = logging.getLogger(__name__)

NAME = "maxiofs"
MOST_WAITING = 10_000       # rings kept in memory while the queue can't be reached; more are dropped


class _Plain(Serializer):  # type: ignore[misc]
    """Messages as JSON: who can write to the queue must not be able to run code, as with huey's pickles."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(data).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(*json.loads(data))


class Doorbell:
    """Passes rings to huey from a thread of its own.

    So whoever rings never waits for the queue: not a request, and not the machine-wide write lock, which is still held when
    callbacks run after a commit. ``answer`` is set by the process that works the runs.
    """

    def __init__(self, url: str, data_dir: Path) -> None:
        self.answer: Callable[[int], None] | None = None
        self._url = url
        self._data_dir = data_dir
        self._opening = threading.Lock()
        self._huey: Any = None
        self._task: Any = None
        self._rings: Queue[int | None] = Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._is_down = False

    @property
    def huey(self) -> Any:
        """The huey instance, opened at first use. Raises what the driver raises when the queue can't be reached."""
        with self._opening:
            if self._huey is None:
                huey = _open(self._url, self._data_dir)

                def ring(run_id: int) -> None:
                    if self.answer is not None:
                        self.answer(run_id)

                # Registered as "shared.queue.ring", for ever: a consumer drops messages whose name it does not know.
                self._task = huey.task(name="ring")(ring)
                self._huey = huey
            return self._huey

    def ring(self, run_id: int) -> None:
        """Ring for a run. Returns at once and never raises."""
        try:
            self._rings.put_nowait(run_id)
            if self._thread is None:
                with self._opening:
                    if self._thread is None:
                        self._thread = threading.Thread(target=self._pass_on, name="doorbell", daemon=True)
                        self._thread.start()
        except Full:
            self._note(f"{MOST_WAITING} rings are waiting")
        except Exception as error:      # no thread to be had: the run is committed, and the scheduler finds it
            self._note(str(error))

    def waiting(self) -> int:
        """Rings nobody has answered yet; 0 when the queue can't be asked."""
        try:
            count: int = self.huey.storage.queue_size()
            return count + self._rings.qsize()
        except Exception:
            return 0

    def flush(self, timeout_s: float) -> bool:
        """Wait until every ring was passed on or given up. False when ``timeout_s`` was not enough."""
        with self._rings.all_tasks_done:
            return self._rings.all_tasks_done.wait_for(lambda: not self._rings.unfinished_tasks, timeout_s)

    def close(self, timeout_s: float = 2) -> None:
        """Pass on what is waiting, then close the queue."""
        if self._thread is not None:
            self.flush(timeout_s)
            self._make_room()
            self._rings.put_nowait(None)
            self._thread.join(timeout_s)
        if self._huey is not None:
            self._huey.storage.close()

    def _make_room(self) -> None:
        try:
            while self._rings.full():
                self._rings.get_nowait()
                self._rings.task_done()
        except Empty:
            pass

    def _pass_on(self) -> None:
        while (run_id := self._rings.get()) is not None:
            try:
                _ = self.huey
                self._task(run_id)
                self._is_down = False
            except Exception as error:
                self._note(str(error))
            finally:
                self._rings.task_done()
        self._rings.task_done()

    def _note(self, reason: str) -> None:
        """Log the beginning of an outage, not every ring in it."""
        if not self._is_down:
            self._is_down = True
            log.warning("the queue can't be rung, runs start later: %s", reason)


def _open(url: str, data_dir: Path) -> Any:
    """Make the huey instance for ``url`` (empty: a SQLite file in the data directory)."""
    options: dict[str, Any] = {"name": NAME, "results": False, "serializer": _Plain()}
    scheme = urlsplit(url).scheme
    if scheme in ("", "sqlite"):
        path = Path(urlsplit(url).path) if scheme else data_dir / "queue.db"
        path.touch(mode=0o600)
        path.chmod(0o600)
        return SqliteHuey(filename=str(path), **options)
    if scheme in ("redis", "rediss"):
        return RedisHuey(url=url, **options)
    if scheme in ("postgresql", "postgres"):
        return PostgresHuey(dsn=url, **options)
    raise ValueError(f"the queue URL {scheme}:// is not supported: use redis://, postgresql:// or sqlite:///")


_bell: Doorbell | None = None


def configure(url: str, data_dir: Path) -> Doorbell:
    """Choose the queue of this process and return it; opens nothing yet. An earlier one is closed."""
    global _bell
    close()
    _bell = Doorbell(url, data_dir)
    return _bell


def doorbell() -> Doorbell:
    """The queue of this process. Raises RuntimeError before ``configure``."""
    if _bell is None:
        raise RuntimeError("no queue was configured in this process")
    return _bell


def ring(run_id: int) -> None:
    """Ring for a run. Returns at once and never raises; without a queue the scheduler finds the run by itself."""
    if _bell is not None:
        _bell.ring(run_id)


def flush(timeout_s: float = 2) -> bool:
    """Wait until the rings of this process were passed on: before a short-lived process ends."""
    return _bell is None or _bell.flush(timeout_s)


def close() -> None:
    """Close the queue of this process, if there is one."""
    global _bell
    if _bell is not None:
        _bell.close()
        _bell = None
