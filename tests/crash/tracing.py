"""System calls of a running process, as strace sees them, in the order in which they began and ended."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CALLS = "fsync,fdatasync,rename,renameat,renameat2,write,pwrite64,writev,sendto,sendmsg,unlink,unlinkat,mkdirat,mkdir,openat,ftruncate"
ATTACH_TIMEOUT_S = 10

_LINE = re.compile(r"^(\d+) +(.*)$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")


class CannotTrace(Exception):
    """strace is missing, or not allowed to attach."""


@dataclass
class Call:
    """One call: ``began`` and ``ended`` are places in the order of all events; ``text`` has the arguments, with paths of descriptors."""

    name: str
    text: str
    began: int
    ended: int

    @property
    def failed(self) -> bool:
        """True when it returned an error."""
        return " = -1 " in self.text


class Trace:
    """Calls collected while a block ran."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def calls(self) -> list[Call]:
        """All of them, in the order in which they began."""
        out: list[Call] = []
        open_calls: dict[str, Call] = {}
        for number, line in enumerate(self._path.read_text(errors="replace").splitlines()):
            found = _LINE.match(line)
            if not found:
                continue
            thread, text = found[1], found[2]
            if resumed := _RESUMED.match(text):
                if (call := open_calls.pop(thread, None)) is not None:
                    call.text += resumed[2]
                    call.ended = number
                continue
            name = text.partition("(")[0]
            if not name.isidentifier():
                continue
            call = Call(name, text.removesuffix(" <unfinished ...>"), number, number)
            out.append(call)
            if text.endswith("<unfinished ...>"):
                call.ended = 10**9
                open_calls[thread] = call
        return out

    def find(self, names: str, pattern: str = "", after: Call | None = None) -> Call:
        """The first call of one of these names whose text matches, and that began after another one ended. Raises AssertionError."""
        wanted = names.split("|")
        for call in self.calls():
            if call.name in wanted and re.search(pattern, call.text) and not call.failed and (after is None or call.began > after.ended):
                return call
        listed = "\n".join(call.text[:160] for call in self.calls() if call.name != "openat")
        raise AssertionError(f"no {names} of {pattern!r} after {after.text[:100] if after else 'the start'} in:\n{listed}")

    def count(self, names: str, pattern: str = "") -> int:
        """How many calls of these names match."""
        return sum(call.name in names.split("|") and bool(re.search(pattern, call.text)) for call in self.calls())


@contextmanager
def traced(pid: int, out: Path, until: Callable[[Trace], bool], within_s: float = 10) -> Iterator[Trace]:
    """Trace a process with all its threads while the block runs, and after it until ``until`` holds. Raises CannotTrace."""
    program = shutil.which("strace")
    if program is None:
        raise CannotTrace("strace is not installed")
    tracer = subprocess.Popen(
        [program, "-f", "-y", "-s", "96", "-e", f"trace={CALLS}", "-o", str(out), "-p", str(pid)], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    try:
        first = tracer.stderr.readline()
        if "attached" not in first:
            raise CannotTrace(first.strip())
        time.sleep(0.2)     # it attaches to one thread after the other
        trace = Trace(out)
        yield trace
        deadline = time.monotonic() + within_s
        while not until(trace) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.stderr.close()
        tracer.wait(ATTACH_TIMEOUT_S)
