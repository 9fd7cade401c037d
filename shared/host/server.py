"""The server: listening sockets, the I/O loop, deadlines, and an orderly end."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from shared.host.channel import S3Channel
from shared.host.contract import Application, Limits
from shared.host.lanes import Lanes
from shared.host.outbox import BLOCK_BYTES
from shared.host.task import FixedHeaders, S3Task
from shared.host.watch import Watch

IDENT = "MaxIOFS"
CONNECTION_LIMIT = 1000
TICK_S = 0.5
PAUSE_S = 0.0001        # after accepting, for each connection already held: so that the emptier process takes the next one
MOST_PAUSE_S = 0.001

log = logging.getLogger("maxiofs.host")


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket. To its channels it is the server: what they need is reachable from here in one step."""

    channel_class = S3Channel

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.limits, self.app, self.scratch = server.limits, server.app, server.scratch
        self.fixed_headers, self.task_class = server.fixed_headers, server.task_class
        self.add_task, self.call_soon, self.watch = server.lanes.add_task, server.call_soon, server.watch
        self.owner = server
        self.pause_until_s = 0.0
        application = getattr(server.app, "wsgi", None)
        where = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(application, server.map, True, sock, server.lanes, server.adj, where, bind_socket=False)

    @property
    def stopping(self) -> bool:
        return self.owner.stopping

    def pull_trigger(self) -> None:
        """Have the I/O thread look at its channels again, which it does anyway when it is the one that asks."""
        if not self.owner.in_io_thread():
            self.owner.wake()

    def maintenance(self, now: float) -> None:
        """Nothing: the server's tick does it."""

    def readable(self) -> bool:
        return super().readable() and time.monotonic() >= self.pause_until_s

    def accept(self) -> Any:
        try:
            accepted = super().accept()
            if accepted is not None and self.owner.shares_sockets:
                self.pause_until_s = time.monotonic() + min(MOST_PAUSE_S, PAUSE_S * len(self.owner.map))
            return accepted
        except OSError as error:  # out of descriptors: the connection stays in the queue, trying again at once would spin
            log.error("cannot accept a connection: %s", error)
            self.pause_until_s = time.monotonic() + 1.0
            return None

    def stop(self) -> None:
        """Close the socket; the trigger stays, replies still need it."""
        wasyncore.dispatcher.close(self)


class Server:
    """One process's share of the listeners. Only ``run`` blocks; ``stop_accepting`` may be called from a signal handler.

    ``shares_sockets`` says that other processes accept on the same sockets, and that connections should spread over them.
    """

    shares_sockets = False

    def __init__(self, app: Application, sockets: list[socket.socket], *, lanes: Lanes, limits: Limits, connection_limit: int) -> None:
        self.app, self.lanes, self.limits = app, lanes, limits
        self.task_class = getattr(app, "task_class", S3Task)
        self.map: dict[int, Any] = {}
        self.watch = Watch(self.map)
        self.scratch = memoryview(bytearray(BLOCK_BYTES))  # every body is received through it: only in the I/O thread
        self.fixed_headers = FixedHeaders(IDENT)
        self.stopping = False
        self._deadline_s = float("inf")
        self._woken = self._closed = False
        self._thread_id = 0
        self._finished = threading.Event()
        self._drained = False
        self.adj = Adjustments(
            ident=IDENT, connection_limit=connection_limit, clear_untrusted_proxy_headers=False,
            log_socket_errors=False, channel_request_lookahead=0, recv_bytes=BLOCK_BYTES,
        )
        self._listeners = [_Listener(self, sock) for sock in sockets]
        self._trigger = self._listeners[0].trigger
        shortest_s = min(limits.header_deadline_s, limits.body_idle_s, limits.linger_s, limits.idle_s)
        self._tick_s = min(TICK_S, shortest_s / 4)

    @property
    def ports(self) -> list[int]:
        """The TCP ports served, in the order of the sockets given."""
        return [int(listener.effective_port) for listener in self._listeners]

    def run(self) -> bool:
        """Serve until stopped; whether every request begun by then was answered. Cleans up also on SystemExit."""
        next_tick_s, self._thread_id = 0.0, threading.get_ident()
        self.watch.ask_all()
        try:
            while not self._ended():
                self._woken = False  # before the channels are asked: a later wake interrupts the poll
                self.watch.turn(self._until_next_accept_s())
                now_s = time.monotonic()
                if now_s >= next_tick_s or self.stopping:
                    next_tick_s = now_s + self._tick_s
                    self._tick(now_s)
                    self.watch.ask_all()
        finally:
            self._close()
        return self._drained

    def _until_next_accept_s(self) -> float:
        """How long the poll may wait: until a listener that looks away looks again, else until the next tick."""
        pauses = [listener.pause_until_s for listener in self._listeners if listener.pause_until_s]
        if not pauses:
            return self._tick_s
        left_s = min(pauses) - time.monotonic()
        if left_s <= 0:
            for listener in self._listeners:
                listener.pause_until_s = listener.pause_until_s if listener.pause_until_s > time.monotonic() else 0.0
        return min(self._tick_s, max(left_s, 0.0))

    def stop_accepting(self) -> None:
        """Close the listeners and idle connections; what was begun is answered, then ``run`` returns. From any thread, signal-safe."""
        self.stopping = True
        self.wake()

    def drain(self, timeout_s: float) -> bool:
        """Stop, and end after ``timeout_s`` at the latest; whether all was answered.

        Waits for the end, unless the loop does not run or runs in this very thread (a signal handler): ``run`` gives the answer then.
        """
        self._deadline_s = time.monotonic() + timeout_s
        self.stop_accepting()
        if self._thread_id == 0 or self.in_io_thread():
            return False
        self._finished.wait(timeout_s + 10)
        return self._drained

    def in_io_thread(self) -> bool:
        """Whether the caller is the thread that runs the loop."""
        return threading.get_ident() == self._thread_id

    def wake(self) -> None:
        """Have the loop look again. From any thread or signal handler."""
        if not (self._woken or self._closed):
            self._woken = True
            try:
                self._trigger._physical_pull()
            except OSError:  # the server is closed
                pass

    def call_soon(self, call: Callable[[], object]) -> None:
        """Run ``call`` in the I/O thread. Must not be called from a signal handler, nor by ``call`` itself."""

        def guarded() -> None:
            try:
                call()
            except Exception:
                log.exception("the I/O thread failed")

        with self._trigger.lock:
            closed = self._closed
            if not closed:
                self._trigger.thunks.append(guarded)
        if closed:  # a decision that took longer than the server lived: its sink must still be discarded
            guarded()
        else:
            self._woken = False  # a wake that is under way may be past the calls it was for
            self.wake()

    def _channels(self) -> list[S3Channel]:
        return [item for item in self.map.values() if isinstance(item, S3Channel)]

    def _ended(self) -> bool:
        if not self.stopping:
            return False
        self._drained = not self._channels()
        return self._drained or time.monotonic() >= self._deadline_s

    def _tick(self, now_s: float) -> None:
        for listener in self._listeners if self.stopping else []:
            if listener.socket is not None:
                listener.stop()
        for channel in self._channels():
            try:
                channel.check_deadlines(now_s)
                if self.stopping and channel.connected:
                    channel.close_if_idle()
            except Exception:
                log.exception("cannot look after %r", channel)
                channel.handle_close()

    def _close(self) -> None:
        for listener in self._listeners:
            listener.stop()
        for channel in self._channels():
            channel.handle_close()
        self.lanes.shutdown(timeout_s=5.0 if not self._drained else 1.0)
        with self._trigger.lock:
            calls, self._trigger.thunks = self._trigger.thunks, []
            self._closed = True
        for call in calls:  # admissions that came too late discard their sinks
            call()
        for listener in self._listeners:
            listener.trigger.close()
        self._finished.set()


def create_server(
    app: Application,
    sockets: list[socket.socket],
    *,
    fast: int = 2,
    write: int = 8,
    slow: int = 16,
    inline_bytes: int = 16384,
    limits: Limits | None = None,
    connection_limit: int = CONNECTION_LIMIT,
    shares_sockets: bool = False,
) -> Server:
    """Serve ``app`` on bound TCP sockets, with so many worker threads in each lane.

    ``limits`` overrides ``inline_bytes`` (bodies above it go through the gate). An app with a ``wsgi`` attribute, such as
    WsgiApplication, is an ordinary WSGI application.
    """
    limits = limits or Limits(inline_bytes=inline_bytes)
    server = Server(app, sockets, lanes=Lanes(fast, write, slow), limits=limits, connection_limit=connection_limit)
    server.shares_sockets = shares_sockets
    return server
