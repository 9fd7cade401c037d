"""A child's side of the supervisor: say when ready, and never outlive the parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

ORPHAN_GRACE_S = 2.0        # what requests in flight get when the supervisor was killed; a new one may be waiting for the port
_PR_SET_PDEATHSIG = 1       # prctl(2)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None      # loaded here: between fork and exec is no place to


def end_with_starter() -> None:
    """Have the kernel send this process SIGTERM when the thread that started it ends. Only Linux knows how; elsewhere this does nothing.

    It holds over exec, so tests and benchmarks give it to what they start as ``preexec_fn``: a starter that is killed leaves no server.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def follow_parent(life_fd: int, parent_pid: int) -> None:
    """End this process when its supervisor ends, however that happened (also kill -9).

    ``life_fd`` is the reading end of a pipe that only the supervisor holds open. The kernel's parent-death signal starts
    the drain at once on Linux; the pipe works everywhere, and does not depend on this process handling a signal.
    """
    end_with_starter()
    if os.getppid() != parent_pid:      # it died before the line above
        os._exit(1)
    threading.Thread(target=_watch, args=(life_fd,), name="life", daemon=True).start()


def _watch(life_fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(life_fd, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_GRACE_S)
    os._exit(1)


def announce_ready(ready_fd: int) -> None:
    """Tell the supervisor that this process can do its work. Harmless when nobody listens."""
    with contextlib.suppress(OSError):
        os.write(ready_fd, b"1")
        os.close(ready_fd)
