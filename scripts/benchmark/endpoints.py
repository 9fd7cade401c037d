"""The servers under test: ones that run already, and our own, started as a person starts it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from obstore.store import S3Store

from scripts.benchmark.sample import Sample
from shared.host.child import end_with_starter

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 45
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Endpoint:
    """A server, and who we are to it. ``pids`` are the processes that answer, when they are ours to look at."""

    name: str
    url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    pids: list[int] = field(default_factory=list)
    log: Path | None = None
    supervisor: int = 0

    def store(self, bucket: str) -> S3Store:
        """An obstore client for one bucket."""
        return S3Store(
            bucket, endpoint=self.url, access_key_id=self.access_key, secret_access_key=self.secret_key, region=self.region,
            client_options={"allow_http": True, "timeout": "600s"}, unsigned_payload=True,
        )  # fmt: skip

    def presigned(self, method: Any, bucket: str, keys: list[str]) -> list[str]:
        """Request targets, presigned for a day."""
        urls = obstore.sign(self.store(bucket), method, keys, timedelta(hours=23))
        return [target_of(url) for url in urls]

    def presigned_query(self, path: str, query: str) -> str:
        """A GET target with a query of its own (encoded), presigned for a day."""
        request = AWSRequest("GET", f"{self.url}{path}?{query}")
        S3SigV4QueryAuth(Credentials(self.access_key, self.secret_key), "s3", self.region, expires=82800).add_auth(request)
        return target_of(request.url)

    def as_client(self) -> dict[str, str]:
        """What another process needs to use this server."""
        return {"name": self.name, "url": self.url, "access_key": self.access_key, "secret_key": self.secret_key, "region": self.region}

    def ask(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> tuple[bytes, float]:
        """One signed request on a connection of its own; returns (body, seconds). Raises RuntimeError unless it is answered 2xx."""
        signed = AWSRequest(method, self.url + target, headers=dict(headers or {}), data=body)
        _Unsigned(Credentials(self.access_key, self.secret_key), "s3", self.region).add_auth(signed)
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=600)
        try:
            connection.connect()
            begun = time.perf_counter()
            connection.request(method, target, body=body or None, headers=dict(signed.headers.items()))
            reply = connection.getresponse()
            data = reply.read()
            took_s = time.perf_counter() - begun
        finally:
            connection.close()
        if reply.status >= 300:
            raise RuntimeError(f"{self.name}: {method} {target} was answered {reply.status}: {data[:500]!r}")
        return data, took_s

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket unless we have it."""
        try:
            self.ask("PUT", f"/{bucket}")
        except RuntimeError as error:
            if "BucketAlreadyOwnedByYou" not in str(error):
                raise


class _Unsigned(S3SigV4Auth):
    def payload(self, request: Any) -> str:
        return "UNSIGNED-PAYLOAD"


def target_of(url: str) -> str:
    """The path and query of a URL, as they stand in the request line."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def costed(pids: list[int], measure: Callable[[], Sample]) -> Sample:
    """Measure, and add what the server's processes used for it; nothing when they are not ours to look at."""
    before = [cpu_s(pid) for pid in pids]
    sample = measure()
    used_s = [cpu_s(pid) - earlier_s for pid, earlier_s in zip(pids, before, strict=True)]
    if sum(used_s) and sample.requests:
        sample.cpu_us, sample.busiest = sum(used_s) / sample.requests * 1e6, max(used_s) / sum(used_s)
    return sample


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process now, its anonymous share, and the most it ever was; 10**6 bytes."""
    names = {"VmRSS": "rss", "RssAnon": "anonymous", "VmHWM": "peak"}
    pairs = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {names[name]: int(value.split()[0]) * 1024 / 1e6 for name, value in pairs if name in names}


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder on the disk of the checkout, where a server would keep its data; removed after."""
    parent = ROOT / "bench-results"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class OwnServer:
    """Our server on a free port with its own data folder, for as long as the ``with`` block."""

    def __init__(self, data_dir: Path, processes: int, **settings: str) -> None:
        self._data_dir, self._log = data_dir, data_dir.with_name(data_dir.name + ".log")
        self._command = [
            sys.executable, "-P", "-m", "scripts.cli", "up", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0",
            "--console-listen", "127.0.0.1:0", "--processes", str(processes), "--json",
        ]  # fmt: skip
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MAXIOFS_", "AWS_"))}
        self._key, self._secret = "AKIABENCHMARK0000000", "benchmark-secret-key-of-one-run-0000000w"
        self._environ = ours | {"MAXIOFS_ROOT_ACCESS_KEY": self._key, "MAXIOFS_ROOT_SECRET_KEY": self._secret, **settings}
        self._up: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Endpoint:
        offset = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._up = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=end_with_starter,        # noqa: PLW1509  # one call to the kernel, which takes no lock
            )  # fmt: skip
        try:
            url = self._wait_until_ready(offset)
        except BaseException:
            self.__exit__()
            raise
        return Endpoint("MaxIOFS", url, self._key, self._secret, pids=self._answering(), log=self._log, supervisor=self._up.pid)

    def __exit__(self, *_: object) -> None:
        up = self._up
        if up is None:
            return
        up.send_signal(signal.SIGTERM)
        try:
            up.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            up.kill()       # its children follow it
            up.wait()

    def _wait_until_ready(self, offset: int) -> str:
        assert self._up is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._up.poll() is None:
            with self._log.open("rb") as log:
                log.seek(offset)
                for line in log:
                    if b'"ready"' in line and line.endswith(b"}\n"):
                        return str(json.loads(line)["s3_url"])
            time.sleep(0.05)
        raise RuntimeError("the server did not start:\n" + self._log.read_text(errors="replace")[-4000:])

    def _answering(self) -> list[int]:
        """The processes that answer S3 requests."""
        assert self._up is not None
        return [pid for pid in children(self._up.pid) if b"\0s3\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def server_pids(endpoint: Endpoint) -> list[int]:
    """Every process of our own server."""
    return [endpoint.supervisor, *children(endpoint.supervisor)]
