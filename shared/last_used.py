"""When access keys were used last: kept in memory by the requests, written by a thread of its own once a minute."""

from __future__ import annotations

import logging
import threading
import time

from shared.meta import database, people

INTERVAL_S = 60

log = logging.getLogger("maxiofs.last_used")


class LastUsed:
    """The uses of one process. A process that is killed forgets those of its last minute."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._used: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def note(self, access_key: str, now_ms: int) -> None:
        """Remember that a key was used; costs a request next to nothing and never waits for the database."""
        self._used[access_key] = now_ms
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._interval_s)
            self.flush()

    def flush(self) -> None:
        """Write what was noted; one write for each key and minute, whichever process it is. What cannot be written is forgotten."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            with database.session():
                people.note_use(used, int(self._interval_s * 1000))
        except Exception as error:      # the next minute brings newer ones
            log.warning("the last uses of %d access keys were not written: %s", len(used), error)
