"""A separate process that makes load: what wrk cannot (HEAD, huge bodies, clients that hang), and obstore's operations.

It reads one JSON line that says what to do, says "ready", waits for a line, works, and prints one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.benchmark.endpoints import ROOT, Endpoint
from scripts.benchmark.sample import Sample, of_latencies

BLOCK_BYTES = 1 << 20
MULTIPART_CHUNK_BYTES = 8 << 20

Outcome = tuple[list[float], float, int]        # latencies in seconds, payload bytes, errors


class Worker:
    """The other end: start it, let it go, take what it measured."""

    def __init__(self, job: str, **spec: Any) -> None:
        command = [sys.executable, "-P", "-m", "scripts.benchmark.load"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(json.dumps({"job": job, **spec}))
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def go(self) -> Worker:
        """Begin."""
        self._say("go")
        return self

    def result(self) -> dict[str, Any]:
        """Wait for the end. Raises RuntimeError when the process failed."""
        assert self._process.stdout is not None
        text = self._process.stdout.read()
        if self._process.wait() or not text:
            raise RuntimeError("a load process failed; its errors are above")
        return dict(json.loads(text))

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._process.kill()
        self._process.wait()


def drive(workers: Sequence[Worker]) -> Sample:
    """Let all workers go at once and add up what they measured."""
    for worker in workers:
        worker.go()
    results = [worker.result() for worker in workers]
    latencies = [latency for result in results for latency in result["latencies_s"]]
    seconds = max(result["seconds"] for result in results)
    return of_latencies(latencies, seconds, sum(result["bytes"] for result in results), sum(result["errors"] for result in results))


# --- in the worker process ---------------------------------------------------------------------------------------------------


def heads(url: str, targets: list[str], connections: int, seconds: float) -> Outcome:
    """HEAD requests on ``connections`` kept-alive connections, the next one as soon as a reply is here."""
    address = urlsplit(url)
    requests = [f"HEAD {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode() for target in targets]
    latencies: list[float] = []
    errors = at = 0
    events = selectors.DefaultSelector()
    end = time.perf_counter() + seconds
    for _ in range(connections):
        connection = socket.create_connection((address.hostname, address.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(requests[at % len(requests)])
        at += 1
        events.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
    while (now := time.perf_counter()) < end and events.get_map():
        for key, _ in events.select(0.1):
            connection = key.fileobj  # type: ignore[assignment]
            data = connection.recv(65536)
            key.data[1] += data
            if not data:
                errors += 1
                events.unregister(connection)
            elif key.data[1].endswith(b"\r\n\r\n"):
                now = time.perf_counter()
                latencies.append(now - key.data[0])
                errors += not key.data[1].startswith(b"HTTP/1.1 2")
                connection.sendall(requests[at % len(requests)])
                at += 1
                key.data[:] = [now, b""]
    return latencies, 0, errors


def uploads(url: str, targets: list[str], path: str, repeat: bool, seconds: float) -> Outcome:
    """One PUT of the file at a time on each of ``targets``, all at once; again until ``seconds`` have passed when ``repeat``."""
    size = Path(path).stat().st_size

    def one(target: str) -> int:
        with _connected(url) as connection, open(path, "rb") as file:
            connection.sendall(_head("PUT", url, target, f"Content-Length: {size}\r\n"))
            connection.sendfile(file)
            _check(connection.recv(65536))
        return size

    return _each(targets, one, seconds if repeat else 0)


def downloads(url: str, targets: list[str], repeat: bool, seconds: float) -> Outcome:
    """One GET at a time on each of ``targets``, all at once; the bytes are thrown away."""

    def one(target: str) -> int:
        buffer, got = bytearray(BLOCK_BYTES), 0
        with _connected(url) as connection:
            connection.sendall(_head("GET", url, target, "Connection: close\r\n"))
            while count := connection.recv_into(buffer):
                if not got:
                    _check(bytes(buffer[:64]))
                got += count
        return got

    return _each(targets, one, seconds if repeat else 0)


def hangs(url: str, targets: list[str], seconds: float) -> Outcome:
    """A GET on each of ``targets`` that reads 4 KiB of the reply and then nothing more for ``seconds``."""
    connections = [_connected(url) for _ in targets]
    for connection, target in zip(connections, targets, strict=True):
        connection.sendall(_head("GET", url, target))
        _check(connection.recv(4096))
    time.sleep(seconds)
    return [], 0, 0


def clients(*, endpoint: dict[str, Any], bucket: str, operation: str, keys: list[str], size: int, threads: int, tag: str,
            seconds: float) -> Outcome:
    """``threads`` threads of obstore, each doing one operation after the other."""
    import obstore

    store = Endpoint(**endpoint).store(bucket)
    data = os.urandom(size) if operation in ("put", "multipart", "mixed") else b""

    def get(key: str, _: str) -> int:
        return sum(len(chunk) for chunk in obstore.get(store, key).stream(min_chunk_size=BLOCK_BYTES))

    def put(_: str, fresh: str) -> int:
        obstore.put(store, fresh, data, use_multipart=False)
        return size

    def multipart(_: str, fresh: str) -> int:
        obstore.put(store, fresh, data, use_multipart=True, chunk_size=MULTIPART_CHUNK_BYTES, max_concurrency=4)
        return size

    def copy(key: str, fresh: str) -> int:
        obstore.copy(store, key, fresh)
        return 0

    def mixed(key: str, fresh: str) -> int:
        return get(key, fresh) if random.random() < 0.7 else put(key, fresh)

    action: Callable[[str, str], int] = {"get": get, "put": put, "multipart": multipart, "copy": copy, "mixed": mixed}[operation]

    def one(thread: str) -> int:
        return action(random.choice(keys) if keys else "", f"{tag}-{thread}-{random.randrange(4)}")

    return _each([str(thread) for thread in range(threads)], one, seconds)


def _each(items: Iterable[str], one: Callable[[str], int], seconds: float) -> Outcome:
    """``one`` for each item in a thread of its own, at least once and until ``seconds`` have passed."""
    latencies: list[float] = []
    sizes: list[int] = []
    errors: list[str] = []
    end = time.perf_counter() + seconds

    def run(item: str) -> None:
        while True:
            begun = time.perf_counter()
            try:
                sizes.append(one(item))
            except Exception as error:      # counted, and the first one is shown
                errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.05)
            latencies.append(time.perf_counter() - begun)
            if time.perf_counter() >= end:
                return

    threads = [threading.Thread(target=run, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        print(f"{len(errors)} errors, the first: {errors[0][:300]}", file=sys.stderr)
    return latencies, sum(sizes), len(errors)


def _connected(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=600)


def _head(method: str, url: str, target: str, more: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n{more}\r\n".encode()


def _check(reply: bytes) -> None:
    if not reply.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
        raise RuntimeError(f"answered {reply[:300]!r}")


JOBS: dict[str, Callable[..., Outcome]] = {"heads": heads, "uploads": uploads, "downloads": downloads, "hangs": hangs, "clients": clients}


def main() -> None:
    """Do what standard input says."""
    spec = json.loads(sys.stdin.readline())
    job = JOBS[spec.pop("job")]
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    begun = time.perf_counter()
    latencies, payload_bytes, errors = job(**spec)
    print(json.dumps({"latencies_s": latencies, "bytes": payload_bytes, "errors": errors, "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
