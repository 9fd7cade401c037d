"""The I/O loop's poll(): asks only those connections whose answer may have changed, so a thousand idle ones cost nothing."""

from __future__ import annotations

import select
from typing import Any

from waitress import wasyncore

_READ = select.POLLIN  # without POLLPRI: nobody reads urgent bytes, and the poll would come back for one for ever


class Watch:
    """What wasyncore.poll2 does, without asking every member of ``map`` before every poll. For the I/O thread only.

    Asked are: who had an event, who is ``busy`` (a worker may change it), who was announced by ``ask``. Members without ``busy``
    (listeners, triggers) are asked every time.
    """

    def __init__(self, map: dict[int, Any]) -> None:
        self._map = map
        self._poll = select.poll()
        self._flags: dict[int, int] = {}
        self._ask: set[int] = set()

    def ask(self, fd: int) -> None:
        """The state behind ``fd`` changed, or it is new."""
        self._ask.add(fd)

    def ask_all(self) -> None:
        """Ask everybody: now and then, and when the server is about to end."""
        self._ask.update(self._map)

    def forget(self, fd: int) -> None:
        """``fd`` is about to be closed; its number may come back for something else."""
        if self._flags.pop(fd, 0):
            self._poll.unregister(fd)

    def turn(self, timeout_s: float) -> None:
        """Wait for events at most ``timeout_s``, and have their members deal with them."""
        asked, self._ask = self._ask, set()
        for fd in asked:
            self._refresh(fd)
        for fd, flags in self._poll.poll(timeout_s * 1000):
            self._ask.add(fd)
            if (item := self._map.get(fd)) is not None:
                wasyncore.readwrite(item, flags)

    def _refresh(self, fd: int) -> None:
        item = self._map.get(fd)
        if item is None:
            self.forget(fd)
            return
        if getattr(item, "busy", True):  # looked at first: a worker publishes everything else before it ends
            self._ask.add(fd)
        flags = _READ if item.readable() else 0
        if not item.accepting and item.writable():
            flags |= select.POLLOUT
        if not flags:
            self.forget(fd)
        elif self._flags.get(fd) != flags:
            self._flags[fd] = flags
            self._poll.register(fd, flags)
