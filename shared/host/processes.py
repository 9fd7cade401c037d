"""The supervisor: starts the processes of the manifest on shared sockets, keeps them running, and stops them all."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.host.manifest import Process

FIRST_DELAY_S = 0.1         # before a dead process is started again; doubles up to LAST_DELAY_S
LAST_DELAY_S = 5.0
HEALTHY_S = 10.0            # a process that lived this long starts again without having to wait longer than the first delay
DESPAIR = 1                 # exit code of a server that could not start

log = logging.getLogger("maxiofs.processes")


class Launch(NamedTuple):
    """What a child is started with; the descriptors have the same numbers in the child."""

    process: Process
    slot: str
    listen_fds: tuple[int, ...]
    life_fd: int            # see child.follow_parent
    ready_fd: int           # see child.announce_ready


@dataclass(eq=False)
class _Child:
    process: Process
    slot: str
    running: subprocess.Popen[bytes] | None = None
    ready_fd: int = -1
    ready: bool = False
    replaced: bool = False          # ended on purpose: start the next one at once
    started_s: float = 0.0
    start_at_s: float | None = None     # when to start it again
    kill_at_s: float | None = None      # when its patience ends
    delay_s: float = field(default=FIRST_DELAY_S)


class Supervisor:
    """Runs the children until told to stop. Use from the main thread; it takes over the signals.

    SIGTERM, SIGINT: children stop accepting and finish what they do; after ``drain_timeout_s`` they are killed. A second
    one kills at once. SIGHUP: children are replaced one by one, so that they read their settings again; the addresses
    stay. When started from a terminal SIGHUP means that it is closing: stop.
    """

    def __init__(self, processes: Iterable[Process], listeners: Mapping[str, list[socket.socket]], *, auto: int,
                 command: Callable[[Launch], list[str]], environ: Mapping[str, str] | None = None, drain_timeout_s: float = 30,
                 on_ready: Callable[[], None] = lambda: None, on_death: Callable[[str], None] = lambda slot: None) -> None:
        self._children = [_Child(process, slot) for process in processes for slot in process.slots(auto)]
        self._listeners = listeners
        self._command = command
        self._environ = environ
        self._drain_timeout_s = drain_timeout_s
        self._on_ready: Callable[[], None] | None = on_ready
        self._on_death = on_death
        self._to_replace: list[_Child] = []
        self._stopping = False
        self._exit_code = 0
        self._hangup_stops = os.isatty(0)
        self._events = selectors.DefaultSelector()
        self._life = os.pipe()      # children read; it ends when this process does

    def run(self) -> int:
        """Start everything; return the exit code once everything has ended. No child is left, whatever happens."""
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        self._events.register(wake, selectors.EVENT_READ)
        handled = [number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
                   if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM]     # nohup ignores SIGHUP
        before = {number: signal.signal(number, lambda *_: None) for number in handled}
        previous_waker = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        try:
            for child in self._children:
                self._start(child)
            while not (self._stopping and not self._alive()):
                self._turn(wake)
            return self._exit_code
        finally:
            self._kill_all()
            signal.set_wakeup_fd(previous_waker)
            for number, handler in before.items():
                signal.signal(number, handler)
            for fd in (wake, waker, *self._life):
                os.close(fd)
            self._events.close()

    def _turn(self, wake: int) -> None:
        """Wait for something to happen, then deal with it."""
        for key, _ in self._events.select(self._timeout_s()):
            if key.data is not None:
                self._hear(key.data)
            else:
                for number in os.read(wake, 4096):
                    self._signal(number)
        for child in self._children:
            if child.running and child.running.poll() is not None:
                self._ended(child, child.running.returncode)
        now_s = time.monotonic()
        for child in self._children:
            if child.start_at_s is not None and child.start_at_s <= now_s and not self._stopping:
                self._start(child)
            if child.running and child.kill_at_s is not None and child.kill_at_s <= now_s:
                log.warning("%s did not finish within %s s and is killed", child.slot, self._drain_timeout_s)
                child.kill_at_s = None
                child.running.kill()
        self._replace_next()

    def _timeout_s(self) -> float | None:
        moments = [child.start_at_s for child in self._children if not self._stopping]
        moments += [child.kill_at_s for child in self._children]
        due_s = min((moment for moment in moments if moment is not None), default=None)
        return None if due_s is None else max(0.0, due_s - time.monotonic())

    def _start(self, child: _Child) -> None:
        child.ready_fd, child_end = os.pipe()
        listen_fds = tuple(listener.fileno() for listener in self._listeners.get(child.process.listener, ()))
        launch = Launch(child.process, child.slot, listen_fds, self._life[0], child_end)
        child.started_s, child.start_at_s, child.kill_at_s = time.monotonic(), None, None
        child.ready = child.replaced = False
        os.set_blocking(child.ready_fd, False)
        self._events.register(child.ready_fd, selectors.EVENT_READ, child)
        try:
            child.running = subprocess.Popen(
                self._command(launch), env=self._environ, stdin=subprocess.DEVNULL, process_group=0,     # no Ctrl-C for children
                pass_fds=(*listen_fds, launch.life_fd, launch.ready_fd))
        except OSError as error:        # out of memory or descriptors: that may pass
            log.error("%s cannot be started: %s", child.slot, error)
            self._deafen(child)
            self._start_later(child)
        finally:
            os.close(child_end)

    def _hear(self, child: _Child) -> None:
        """The child wrote to its ready pipe, or closed it."""
        child.ready = self._said_ready(child)
        self._deafen(child)
        if self._on_ready and all(one.ready for one in self._children) and not self._stopping:
            announce, self._on_ready = self._on_ready, None
            announce()

    def _said_ready(self, child: _Child) -> bool:
        try:
            return child.ready_fd >= 0 and os.read(child.ready_fd, 1) != b""
        except BlockingIOError:
            return False

    def _deafen(self, child: _Child) -> None:
        if child.ready_fd >= 0:
            self._events.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = -1

    def _ended(self, child: _Child, code: int) -> None:
        was_ready = child.ready or self._said_ready(child)
        self._deafen(child)
        child.running, child.kill_at_s, child.ready = None, None, False
        self._on_death(child.slot)
        if self._stopping:
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if self._on_ready and not was_ready:        # the server never came up: say so and give up, do not try for ever
            log.error("%s %s before it was ready; stopping", child.slot, how)
            self._exit_code = code if code in (2, 3) else DESPAIR
            self._stop()
            return
        if child.replaced:
            child.start_at_s = time.monotonic()
            return
        if time.monotonic() - child.started_s >= HEALTHY_S:
            child.delay_s = FIRST_DELAY_S
        log.warning("%s %s; starting it again in %.1f s", child.slot, how, child.delay_s)
        self._start_later(child)

    def _start_later(self, child: _Child) -> None:
        child.start_at_s = time.monotonic() + child.delay_s
        child.delay_s = min(LAST_DELAY_S, child.delay_s * 2)

    def _signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and self._hangup_stops):
            if self._stopping:
                self._kill_all()
            else:
                self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            log.warning("replacing all processes, one by one")
            self._to_replace = list(self._children)

    def _replace_next(self) -> None:
        """While replacing: once everything is ready, ask the next child to end."""
        if self._stopping or not self._to_replace or not all(child.ready for child in self._children):
            return
        child = self._to_replace.pop(0)
        child.replaced, child.ready = True, False
        self._terminate(child)

    def _stop(self) -> None:
        self._stopping = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.close()        # or the backlog would go on taking connections that nobody answers
        for child in self._children:
            self._terminate(child)

    def _terminate(self, child: _Child) -> None:
        if child.running:
            child.kill_at_s = time.monotonic() + self._drain_timeout_s
            child.running.terminate()

    def _alive(self) -> list[_Child]:
        return [child for child in self._children if child.running]

    def _kill_all(self) -> None:
        for child in self._alive():
            assert child.running
            child.running.kill()
            child.running.wait()


def module_command(launch: Launch) -> list[str]:
    """The command line of a real child: ``maxiofs functions|workflows|scheduler`` with its descriptors."""
    command = [sys.executable, "-P", "-m", "scripts.cli", launch.process.kind]
    if launch.process.kind == "functions":
        command += ["--process", launch.process.name]
    for fd in launch.listen_fds:
        command += ["--fd", str(fd)]
    return [*command, "--slot", launch.slot, "--life-fd", str(launch.life_fd), "--ready-fd", str(launch.ready_fd),
            "--parent-pid", str(os.getpid())]
