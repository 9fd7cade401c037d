"""A small application and raw sockets to try the host with."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shared.errors import AccessDenied, S3Error
from shared.host.contract import Admission, Body, Lane, MemorySink, Refusal, TakesLonger
from shared.request import Reply, Request


class FileSink:
    """Staging as the disk engine does it: a named file and a descriptor."""

    def __init__(self, folder: Path, fail_at: int | None, error: Exception | None) -> None:
        self.path = folder / uuid.uuid4().hex
        self.fd = os.open(self.path, os.O_CREAT | os.O_RDWR)
        self.size, self.fail_at, self.error, self.discards = 0, fail_at, error, 0
        self.threads: set[str] = set()

    def write(self, data: memoryview) -> None:
        self.threads.add(threading.current_thread().name)
        if self.fail_at is not None and self.size + len(data) > self.fail_at:
            raise self.error or OSError(28, "No space left on device")
        self.size += os.write(self.fd, data)

    def discard(self) -> None:
        self.discards += 1
        if self.fd >= 0:
            os.close(self.fd)
            self.path.unlink()
            self.fd = -1

    def read(self) -> bytes:
        return os.pread(self.fd, self.size, 0)


class Pattern(io.RawIOBase):
    """``size`` bytes made on the fly, counting what is asked for; fails at ``fail_at``, ends at ``end_at``."""

    def __init__(self, size: int, fail_at: int | None = None, end_at: int | None = None) -> None:
        self.size, self.position, self.total, self.fail_at = size, 0, 0, fail_at
        self.end = size if end_at is None else end_at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = (0, self.position, self.size)[whence] + offset
        return self.position

    def read(self, count: int = -1) -> bytes:
        if self.fail_at is not None and self.position >= self.fail_at:
            raise OSError(5, "Input/output error")
        count = min(count if count >= 0 else self.size, self.end - self.position)
        self.position += count
        self.total += count
        return b"x" * count


class App:
    """Answers by the path; remembers what it was asked."""

    def __init__(self, folder: Path, reads: Lane = "fast") -> None:
        self.folder, self.reads = folder, reads
        self.admitted: list[str] = []
        self.refused: list[tuple[Request | None, S3Error]] = []
        self.bodies: list[Body] = []
        self.sinks: list[FileSink] = []
        self.files: list[Pattern] = []
        self.hold = threading.Event()
        self.hold_gate = threading.Event()

    def lane(self, request: Request) -> Lane:
        return "slow" if request.target.startswith("/slow") else self.reads

    def refuse(self, request: Request | None, error: S3Error) -> Reply:
        self.refused.append((request, error))
        return Reply(error.status, [("Content-Type", "application/xml")], f"<Error><Code>{error.code}</Code></Error>".encode())

    def admit(self, request: Request) -> Admission | Refusal:
        self.admitted.append(request.target)
        if request.target.startswith("/gate-hold"):
            self.hold_gate.wait(20)
        if request.target.startswith("/gate-crash"):
            raise RuntimeError("admit failed")
        if "authorization" not in request.lower:
            return Refusal(self.refuse(request, AccessDenied()))
        decoded = request.header("x-amz-decoded-content-length")
        streaming = request.header("x-amz-content-sha256") or ""
        fail_at = request.header("x-fail-at")
        sink: Any = MemorySink(65536) if request.target.startswith("/memory") else self._sink(fail_at, request)
        return Admission(
            sink,
            aws_chunked=streaming.startswith("STREAMING-"),
            signed_chunks="HMAC" in streaming,
            trailers=streaming.endswith("-TRAILER"),
            decoded_length=int(decoded) if decoded else None,
            lane="fast" if request.target.startswith("/fast") else "slow",
        )

    def _sink(self, fail_at: str | None, request: Request) -> FileSink:
        error = RuntimeError("a bug") if request.header("x-fail-how") == "bug" else None
        if (number := request.header("x-fail-errno")) is not None:
            error = OSError(int(number), "failed")  # type: ignore[assignment]
        self.sinks.append(FileSink(self.folder, int(fail_at) if fail_at else None, error))
        return self.sinks[-1]

    def respond(self, request: Request, admission: Admission | None, body: Body) -> Reply:
        self.bodies.append(body)
        if body.error is not None:
            return self.refuse(request, body.error)
        if request.method == "PUT":
            return self._stored(request, body)
        path, _, query = request.target.partition("?")
        return getattr(self, "get_" + path[1:].replace("-", "_"), self.get_headers)(request, query)

    def _stored(self, request: Request, body: Body) -> Reply:
        if request.target.startswith("/crash"):
            raise RuntimeError("respond failed")
        data = body.sink.read() if isinstance(body.sink, FileSink) else body.data
        chunks = [(length, sign.hex() if sign else None) for length, sign in body.chunks] if body.chunks is not None else None
        if body.sink is not None:
            body.sink.discard()
        facts = {
            "size": body.size, "read": len(data), "sha256": hashlib.sha256(data).hexdigest(), "trailers": body.trailers,
            "chunks": chunks, "thread": threading.current_thread().name,
        }  # fmt: skip
        return Reply(200, [("ETag", '"e"')], json.dumps(facts).encode())

    def get_headers(self, request: Request, query: str) -> Reply:
        facts = {"method": request.method, "target": request.target, "headers": request.headers, "peer": request.peer}
        facts["thread"] = threading.current_thread().name
        return Reply(200, [("Content-Type", "application/json")], json.dumps(facts).encode())

    def get_longer(self, request: Request, query: str) -> Reply:
        if not request.may_wait:
            raise TakesLonger
        return Reply(200, [], threading.current_thread().name.encode())

    def get_small(self, request: Request, query: str) -> Reply:
        return Reply(200, [("ETag", '"abc"'), ("x-amz-meta-Foo_bar", "Value")], b"small")

    def get_head(self, request: Request, query: str) -> Reply:
        return Reply(200, [("Content-Length", "12345"), ("ETag", '"abc"')])

    def get_empty(self, request: Request, query: str) -> Reply:
        return Reply(204)

    def get_same(self, request: Request, query: str) -> Reply:
        return Reply(304, [("ETag", '"abc"')])

    def get_bad_header(self, request: Request, query: str) -> Reply:
        return Reply(200, [("x-amz-meta-a", "b\r\nSet-Cookie: c")], b"x")

    def get_hop(self, request: Request, query: str) -> Reply:
        return Reply(200, [("Connection", "upgrade"), ("Transfer-Encoding", "chunked"), ("X-A", "b")], b"x")

    def get_slow(self, request: Request, query: str) -> Reply:
        time.sleep(float(query or 2))
        return Reply(200, [], threading.current_thread().name.encode())

    def get_hold(self, request: Request, query: str) -> Reply:
        self.hold.wait(20)
        return Reply(200, [], b"held")

    def get_file(self, request: Request, query: str) -> Reply:
        size, *more = (int(number) if number else None for number in query.split(","))
        self.files.append(Pattern(size or 0, *more))
        return Reply(200, [], self.files[-1], size)  # type: ignore[arg-type]


class Client:
    """A raw socket that reads whole replies."""

    def __init__(self, port: int, rcvbuf: int | None = None) -> None:
        self.socket = socket.socket()
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> Client:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def reply(self, head: bool = False) -> Answer:
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(f"closed after {self.buffer!r}")
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        answer = Answer(text.decode("latin-1"))
        length = 0 if head or answer.status in (100, 204, 304) else int(answer.get("Content-Length") or 0)
        while len(self.buffer) < length:
            if not self._more():
                raise EOFError(f"body closed after {len(self.buffer)} of {length}")
        answer.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return answer

    def ask(self, request: str, body: bytes = b"") -> Answer:
        return self.send(request.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body).reply()

    def closed(self, within_s: float = 5.0) -> bool:
        """Whether the server closes, and sends nothing more."""
        self.socket.settimeout(within_s)
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


class Answer:
    def __init__(self, text: str) -> None:
        line, *rest = text.split("\r\n")
        assert line.startswith("HTTP/1."), f"not a reply, but {text!r}"
        self.status = int(line.split(" ")[1])
        self.headers = [tuple(pair.split(": ", 1)) for pair in rest]
        self.body = b""

    def get(self, name: str) -> str | None:
        """The value of the header spelt exactly so."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


class Running(SimpleNamespace):
    """A server in a thread of this process, its application and its folder."""

    def connect(self, rcvbuf: int | None = None) -> Client:
        client = Client(self.port, rcvbuf)
        self.clients.append(client)
        return client

    def staged(self) -> tuple[int, int]:
        """Files in the staging folder, and descriptors of this process that point into it."""
        links = [self._link(fd) for fd in os.listdir("/proc/self/fd")]
        return len(os.listdir(self.folder)), sum(str(self.folder) in link for link in links)

    def nothing_staged(self, within_s: float = 3.0) -> bool:
        return eventually(lambda: self.staged() == (0, 0), within_s)

    @staticmethod
    def _link(fd: str) -> str:
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return ""


def eventually(check: Callable[[], Any], within_s: float = 3.0) -> bool:
    end = time.monotonic() + within_s
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
