"""Recording: requests put events into memory, one thread of each process writes them down.

So no request waits for another file's lock. A process that is killed loses the events of the last moments; what does not fit into memory is
counted, and the count becomes an event.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from shared import dynamic
from shared.audit.event import FAILED, Event
from shared.audit.store import Store
from shared.auth.sealing import MasterKey
from shared.clock import now_ms
from shared.errors import S3Error
from shared.meta import database
from shared.settings import Settings

MOST_WAITING = 10_000       # events in memory
BATCH_EVENTS = 500          # written in one transaction
GATHER_S = 0.1              # how long the first of a batch waits for others
RETRY_S = 1.0               # pause after a failure
ALWAYS = ("setting", "audit_")      # what these begin with is recorded whatever is switched off

PASSING = (S3Error, OSError, *database.DRIVER_ERRORS)     # recording goes on when it is over

log = logging.getLogger("maxiofs.audit")


class Recorder:
    """The queue and the thread of one process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lost = 0
        self._waiting: deque[Event] = deque()
        self._unwritten = 0
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._failing = False

    def put(self, event: Event) -> None:
        """Take an event. Returns at once and never raises; drops it, counted, when MOST_WAITING are waiting."""
        with self._change:
            if self._unwritten >= MOST_WAITING or self._closing:
                if not self.lost:
                    log.error("audit events are lost: %d are waiting to be written", self._unwritten)
                self.lost += 1
                return
            self._waiting.append(event if event.at_ms else event._replace(at_ms=now_ms()))
            self._unwritten += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put is written. False when ``timeout_s`` was not enough."""
        with self._change:
            return self._change.wait_for(lambda: not self._unwritten, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Write what is waiting, end the thread, close the store."""
        if not self.flush(timeout_s):
            log.error("audit events are lost: %d were not written when the process ended", self._unwritten)
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self.store.close()

    def _write(self) -> None:
        while batch := self._next_batch():
            lost = self.lost
            if lost:
                batch.append(Event("audit_events_lost", "system", status=FAILED, details={"count": lost}, at_ms=now_ms()))
            if (written := self._appended(batch)) is not None:
                with self._change:
                    events = len(batch) - bool(lost)
                    self._unwritten -= events
                    self.lost += -lost if written else events
                    self._change.notify_all()

    def _next_batch(self) -> list[Event]:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
        if not self._closing:
            time.sleep(GATHER_S)
        with self._change:
            return [self._waiting.popleft() for _ in range(min(BATCH_EVENTS, len(self._waiting)))]

    def _appended(self, batch: list[Event]) -> bool | None:
        """Try until it is written, or never can be (False); while the process ends, once (None when that was in vain)."""
        while True:
            try:
                self.store.append(batch)
                if self._failing:
                    log.warning("the audit log is written again")
                self._failing = False
                return True
            except PASSING as error:
                if not self._failing:
                    log.error("the audit log cannot be written, events are waiting in memory: %s", error)
                self._failing = True
            except Exception:       # a bug, which would be there again at the next attempt
                log.exception("%d audit events are lost: they cannot be written", len(batch))
                return False
            if self._closing:
                return None
            time.sleep(RETRY_S)


_recorder: Recorder | None = None
_missed = 0


def configure(settings: Settings) -> None:
    """Choose the audit log of this process; opens no connection yet. An earlier one is closed."""
    global _recorder
    close()
    key = MasterKey.load_or_create(settings.data_dir / "master.key", settings.master_key or None).derive(b"audit")
    _recorder = Recorder(Store(settings.database_url, settings.data_dir, key))


def store() -> Store:
    """The audit log of this process. Raises RuntimeError before ``configure``."""
    if _recorder is None:
        raise RuntimeError("no audit log was configured in this process")
    return _recorder.store


def record(event: Event) -> None:
    """Record an event of the console, the admin API or a command, unless that is switched off. Never waits for the log, never raises."""
    if event.event_type.startswith(ALWAYS) or (_is_on("audit.enabled") and _is_on("audit.log_console_operations")):
        write(event)


def write(event: Event) -> None:
    """Record an event, whatever is switched on or off. Never waits, never raises."""
    global _missed
    if _recorder is not None:
        _recorder.put(event)
        return
    if not _missed:
        log.warning("an event is not audited, since this process has no audit log: %s", event.event_type)
    _missed += 1


def _is_on(name: str) -> bool:
    try:
        return bool(dynamic.get(name))
    except Exception as error:      # the metadata database is away: an event more is better than one that is missing
        if not isinstance(error, database.DRIVER_ERRORS):
            log.debug("setting %s cannot be read: %s", name, error)
        return True


def flush(timeout_s: float = 5) -> bool:
    """Wait until the events of this process are written. False when ``timeout_s`` was not enough."""
    return _recorder is None or _recorder.flush(timeout_s)


def close(timeout_s: float = 5) -> None:
    """Write what is waiting and close the audit log of this process, if there is one."""
    global _recorder
    if _recorder is not None:
        _recorder.close(timeout_s)
        _recorder = None
