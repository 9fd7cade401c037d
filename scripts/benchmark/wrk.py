"""Small requests by wrk: presigned targets from a file, sent by a Lua script."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.benchmark.sample import Sample

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 16


class WrkMissing(Exception):
    """wrk is not installed."""


def require() -> str:
    """The path of wrk. Raises WrkMissing with the line to type."""
    found = shutil.which("wrk")
    if found is None:
        raise WrkMissing("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    return found


def drive(
    url: str, requests: Sequence[str], seconds: float, *, payload: bytes = b"", size_bytes: int = 0, connections: int = CONNECTIONS,
    once: bool = False, until: Callable[[], object] | None = None,
) -> Sample:  # fmt: skip
    """Send ``requests`` ("METHOD /target") in their order for ``seconds``, again from the start unless ``once``.

    With ``until`` it ends as soon as that returns. ``size_bytes`` is how many bytes of objects one request moves. HEAD does not work
    with wrk: it waits for the announced body.
    """
    with TemporaryDirectory() as folder:
        listed, body = Path(folder, "requests"), Path(folder, "payload")
        listed.write_text("\n".join(requests) + "\n")
        body.write_bytes(payload)
        command = [
            require(), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "-s", str(SCRIPT), url, "--",
            str(listed), str(body) if payload else "-", "once" if once else "loop",
        ]  # fmt: skip
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if until is not None:
                until()
                running.send_signal(signal.SIGINT)
            output, errors = running.communicate(timeout=seconds + 120)
        except BaseException:
            running.kill()
            running.wait()
            raise
    found = output.partition("RESULT ")[2]
    if running.returncode or not found:
        raise RuntimeError(f"wrk failed: {errors or output}")
    result = json.loads(found)
    return Sample(
        result["requests"], result["seconds"], result["requests"] * size_bytes, result["p50_ms"], result["p99_ms"], result["errors"]
    )
