"""A whole server for tests: the real ``up`` on free ports, with its own data folder; leaves no process behind."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import requests
from botocore.client import BaseClient
from botocore.config import Config

from shared.host.child import end_with_starter

ROOT = Path(__file__).resolve().parent.parent
ACCESS_KEY = "AKIATESTROOT00000000"
SECRET_KEY = "test/root+secret/key0000000000000000000w"
REGION = "us-east-1"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 45
MOST_CLIENTS = 50       # that are kept to be asked for again; tests make thousands of people, each with a client


class LeftBehind(AssertionError):
    """Processes of a server lived on after it ended."""


class RunningServer:
    """The server as a person starts it, for as long as the ``with`` block.

    ``environ`` adds settings (MAXIOFS_…), ``data_dir`` keeps the data after the block. Standard output (access log) and errors go to
    ``log``. Leaving the block sends SIGTERM to ``up`` and raises LeftBehind when anything that it started is still there.
    """

    def __init__(
        self,
        *,
        database_url: str = "",
        processes: int = 2,
        environ: Mapping[str, str] | None = None,
        data_dir: Path | None = None,
        listen: str = "127.0.0.1:0",
    ) -> None:
        self._own_folder = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="maxiofs-test-"))
        self.log = self.data_dir.with_name(self.data_dir.name + ".log")
        self.access_key, self.secret_key, self.region = ACCESS_KEY, SECRET_KEY, REGION
        self.url = self.console_url = ""
        self._listen = listen
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, BaseClient] = {}
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MAXIOFS_", "AWS_"))}
        self._environ = ours | {
            "MAXIOFS_ROOT_ACCESS_KEY": ACCESS_KEY,
            "MAXIOFS_ROOT_SECRET_KEY": SECRET_KEY,
            "MAXIOFS_PROCESSES": str(processes),
            "MAXIOFS_DRAIN_TIMEOUT_S": "10",
            **({"MAXIOFS_DATABASE_URL": database_url} if database_url else {}),
            **(environ or {}),
        }

    @property
    def host(self) -> str:
        """host:port of the S3 API."""
        return urlsplit(self.url).netloc

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect a socket."""
        parts = urlsplit(self.url)
        return str(parts.hostname), parts.port or 80

    @property
    def pid(self) -> int:
        """The process id of ``up``."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> RunningServer:
        try:
            self.start()
        except BaseException:
            self.kill()
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._remove()

    def _remove(self) -> None:
        if self._own_folder:
            shutil.rmtree(self.data_dir, ignore_errors=True)
            self.log.unlink(missing_ok=True)

    def start(self) -> None:
        """Start it and wait until it is ready to serve. Raises RuntimeError with its log when it is not.

        It ends when the thread that calls this does, so that tests which are killed leave no server behind.
        """
        command = [
            sys.executable,
            "-m",
            "scripts.cli",
            "up",
            "--data-dir",
            str(self.data_dir),
            "--listen",
            self._listen,
            "--console-listen",
            "127.0.0.1:0",
            "--json",
        ]
        offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_starter,
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        ready: dict[str, Any] | None = None
        while ready is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start:\n" + self.log.read_text(errors="replace")[-8000:])
            time.sleep(0.02)
            ready = next((line for line in self._json_lines(offset) if line.get("event") == "ready"), None)
        self.url, self.console_url = ready["s3_url"], ready["console_url"]
        self._wait_until_ready(deadline)
        assert self.pid in self.processes(), "the check for processes left behind would see nothing"

    def _wait_until_ready(self, deadline: float) -> None:
        local = self.url if urlsplit(self.url).hostname == "127.0.0.1" else self.console_url
        while True:
            try:
                if requests.get(local + "/readyz", timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError("the server never became ready:\n" + self.log.read_text(errors="replace")[-8000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end and wait. Raises LeftBehind when a process stays."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LeftBehind(f"up did not end within {STOP_TIMEOUT_S} s of SIGTERM:\n{self._tail()}") from None
        self._process = None
        deadline = time.monotonic() + 3
        while left := self.processes():
            if time.monotonic() > deadline:
                self.kill()
                raise LeftBehind(f"processes {left} outlived up:\n{self._tail()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill every process of this server with SIGKILL, now."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def processes(self) -> list[int]:
        """The ids of the living processes that work on this data folder."""
        mark = str(self.data_dir).encode()
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                if (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                words = (folder / "cmdline").read_bytes().split(b"\0") + (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark in words or b"MAXIOFS_DATA_DIR=" + mark in words:
                found.append(int(folder.name))
        return found

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def _json_lines(self, offset: int = 0) -> list[dict[str, Any]]:
        lines = []
        with self.log.open("rb") as log:
            log.seek(offset)
            for line in log:
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    lines.append(json.loads(line))
        return lines

    def logged(self, request_id: str, within_s: float = 2.0) -> dict[str, Any]:
        """The access line of a request. Raises LookupError when none appears."""
        deadline = time.monotonic() + within_s
        while True:
            with self.log.open("rb") as log:
                for line in log:
                    if request_id.encode() in line and b'"status"' in line:
                        found: dict[str, Any] = json.loads(line)
                        return found
            if time.monotonic() > deadline:
                raise LookupError(f"no line for request {request_id}")
            time.sleep(0.02)

    def client(
        self,
        service: str = "s3",
        *,
        endpoint: str = "",
        verify: str | bool = True,
        anonymous: bool = False,
        credentials: tuple[str, str] | None = None,
        **config: Any,
    ) -> BaseClient:
        """A boto3 client as a user would make it, path style, Signature Version 4, no retries unless ``config`` says otherwise."""
        asked = repr((service, endpoint or self.url, verify, anonymous, credentials, self.region, config))
        if (known := self._clients.pop(asked, None)) is not None:
            self._clients[asked] = known        # the last one to go
            return known
        access_key, secret_key = credentials or (self.access_key, self.secret_key)
        if anonymous:
            from botocore import UNSIGNED

            config["signature_version"] = UNSIGNED
        config.setdefault("signature_version", "s3v4")
        config.setdefault("retries", {"total_max_attempts": 1})
        config.setdefault("max_pool_connections", 40)
        config.setdefault("s3", {"addressing_style": "path"})
        config.setdefault("read_timeout", 60)
        with _making_a_client:
            made: BaseClient = _session().client(
                service, endpoint_url=endpoint or self.url, verify=verify, config=Config(**config), region_name=self.region,
                aws_access_key_id=access_key, aws_secret_access_key=secret_key,
            )  # fmt: skip
        self._clients[asked] = made
        for oldest in list(self._clients)[:-MOST_CLIENTS]:
            self._clients.pop(oldest, None)
        return made


_making_a_client = threading.Lock()     # a session may not be used by several threads


@functools.cache
def _session() -> boto3.session.Session:
    """One for all clients: each session reads the service models anew, which takes 12 MB and a third of a second."""
    return boto3.session.Session()
