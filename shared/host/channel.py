"""One connection: reads, gates, answers in order, and ends without leaving anything behind."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel

from shared.errors import IncompleteBody, InternalError, RequestTimeout
from shared.host.contract import Admission, Lane, Refusal, TakesLonger
from shared.host.gate import Gate
from shared.host.outbox import BLOCK_BYTES, BodyFailed, BytesBuffer, FileBuffer
from shared.host.parser import S3Parser
from shared.host.task import S3Task, close

HEAD_BYTES = 65536  # read at once while no body is expected: what a stranger can make a gated connection hold
MOST_WAITING = 16  # requests of a connection taken apart while an earlier one is answered; the rest stays bytes, 100 times smaller
FLUSH_BYTES = 1 << 20  # sent to one client before the others get their turn

log = logging.getLogger("maxiofs.host")


class S3Channel(HTTPChannel):  # type: ignore[misc]
    """A client's connection. Input is handled in the I/O thread only; ``service`` and ``send_reply`` run in worker threads, or
    in the I/O thread for a request of the lane ``now`` that is alone on its connection.

    ``requests`` (complete, to be answered in order) and ``request`` (arriving) belong to ``requests_lock``, output to
    ``outbuf_lock``. Times are on the monotonic clock.
    """

    parser_class, error_task_class = S3Parser, S3Task
    request: S3Parser | None = None
    requests: list[S3Parser]
    sendbuf_len: int = BLOCK_BYTES

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.held = b""  # arrived behind the head of a gated request, or behind MOST_WAITING requests
        self.ended = False  # the client sends no more
        self.linger_until_s = 0.0  # > 0: the reply is out, the rest of a refused body is thrown away until then
        self.linger_left = server.limits.linger_bytes
        self.must_linger = False
        self.waits_for_client = False  # the next of ``requests`` is answered when the client has taken what was sent
        super().__init__(server, sock, addr, adj, map=map)
        self.task_class = server.task_class
        self.sendbuf_len = min(self.sendbuf_len, BLOCK_BYTES)
        self.requests_lock = threading.RLock()  # sending 100-continue may find the client gone and close
        self.creation_time = self.last_activity = time.monotonic()
        self.used = False

    # ---- the I/O thread ------------------------------------------------------------------------------------------------------

    @property
    def lane(self) -> Lane:
        """The lane of the request that is next to be answered."""
        return self.requests[0].lane if self.requests else "fast"

    @property
    def busy(self) -> bool:
        """Whether a worker may be changing this connection."""
        return bool(self.requests)

    def add_channel(self, map: Any = None) -> None:
        super().add_channel(map)
        self.server.watch.ask(self._fileno)

    def del_channel(self, map: Any = None) -> None:
        self.server.watch.forget(self._fileno)
        super().del_channel(map)

    def readable(self) -> bool:
        if self.linger_until_s:
            return True
        gated = self.request is not None and self.request.gated
        busy = gated or self.held or self.requests or self.total_outbufs_len
        return not (busy or self.ended or self.will_close or self.close_when_flushed)

    def handle_read(self) -> None:
        try:
            data = self._receive()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.handle_close()
            return
        if self.linger_until_s:
            self.linger_left -= len(data)
            if not data or self.linger_left <= 0:
                self.handle_close()
        elif data:
            self.last_activity = time.monotonic()
            self.received(data)
        else:
            self._end_of_input()

    def _receive(self) -> bytes | memoryview:
        if self.request is None or self.request.intake is None:
            return bytes(self.socket.recv(HEAD_BYTES))
        scratch: memoryview = self.server.scratch
        return scratch[: self.socket.recv_into(scratch)]

    def received(self, data: bytes | memoryview) -> None:
        """Use what the client sent: it may be part of a request or several of them."""
        with self.requests_lock:
            self._consume(data)

    def _listens(self) -> bool:
        """Whether what arrives is still wanted."""
        return self.connected and not (self.will_close or self.close_when_flushed)

    def _consume(self, data: bytes | memoryview) -> None:
        while data and self._listens():
            if self.request is None:
                if len(self.requests) >= MOST_WAITING:
                    self.held = bytes(data)
                    return
                self.request = S3Parser(self.adj, self.server.limits, self.addr[0])
            parser = self.request
            data = data[parser.received(data) :]
            if parser.gated:
                self.held = bytes(data)
                self._ask_gate()
                return
            if parser.completed:
                self._enqueue(parser, alone=not data)
                if parser.close_after:
                    return

    def _enqueue(self, parser: S3Parser, *, alone: bool = False) -> None:
        """Have a complete request answered; ``alone`` says that nothing is known to follow it."""
        self.request = None
        if parser.empty:
            return
        self.used = True
        if parser.error is None and parser.admission is None and parser.request is not None:
            parser.lane = self.server.app.lane(parser.request)
        self.requests.append(parser)
        if len(self.requests) > 1:
            return
        if parser.lane == "now" and alone and parser.intake is None and not self.total_outbufs_len:
            assert parser.request is not None
            parser.request.may_wait = False
            self.service()
            self.handle_write()
        else:
            self._answer_next()

    def _ask_gate(self) -> None:
        """Replies stay in order: the gate is asked when every earlier request is answered."""
        parser = self.request
        if parser is not None and parser.request is not None and parser.gated and not parser.asked and not self.requests:
            parser.asked = True
            self.server.add_task(Gate(self, parser, parser.request))

    def pass_gate(self, parser: S3Parser, outcome: Admission | Refusal) -> None:
        """Act on the application's decision: receive the body, or step over it, or answer and close."""
        with self.requests_lock:
            if self.request is not parser or not self.connected:  # the client left meanwhile
                if isinstance(outcome, Admission):
                    outcome.sink.discard()
                else:
                    close(outcome.reply)
                return
            self.last_activity = time.monotonic()
            self.server.watch.ask(self._fileno)
            held, self.held = self.held, b""
            if isinstance(outcome, Refusal):
                whole = parser.admission is None and parser.length is not None and len(held) >= parser.length
                parser.refuse(outcome, whole)
                held = held[parser.length :] if whole else b""
            elif parser.admission is not None:
                parser.go_on(outcome)
            else:
                parser.admit(outcome)
                if parser.wants_continue and not held and not parser.completed:
                    self.send_continue()
            if parser.completed:
                self._enqueue(parser)
            self._consume(held)

    def send_continue(self) -> None:
        """Ask for the body. As waitress does it, but without a word to the request: the client may be gone, and the request with it."""
        payload = b"HTTP/1.1 100 Continue\r\n\r\n"
        with self.outbuf_lock:
            self.outbufs[-1].append(payload)
            self.total_outbufs_len += len(payload)
            self._flush_some()

    def go_on(self) -> None:
        """Use what was held back while requests were waiting."""
        with self.requests_lock:
            if self.connected and self.request is None and not self.requests:
                held, self.held = self.held, b""
                self.server.watch.ask(self._fileno)
                self.received(held)

    def _end_of_input(self) -> None:
        """The client closed its sending side. A body that was cut off is answered, for the client may still listen."""
        self.ended = True
        with self.requests_lock:
            parser = self.request
            if parser is not None and parser.headers_finished:
                parser.fail(IncompleteBody())
                self._enqueue(parser)
                return
        self.handle_close()

    def handle_write(self) -> None:
        if self.total_outbufs_len and self.outbuf_lock.acquire(False):
            try:
                self._flush_exception(self._flush_some)
                if self.total_outbufs_len < self.adj.outbuf_high_watermark:
                    self.outbuf_lock.notify()
            finally:
                self.outbuf_lock.release()
        if self.close_when_flushed and not self.total_outbufs_len and not self.will_close:
            self._close_or_linger()
        elif self.will_close:
            self.handle_close()
        elif self.requests and not self.total_outbufs_len:
            with self.requests_lock:
                if self.waits_for_client:
                    self._answer_next()

    def _close_or_linger(self) -> None:
        """Closing with unread input resets the connection, and the client may lose the reply: read a little first."""
        self.close_when_flushed = False
        if not self.must_linger or self.ended or not self.connected:
            self.handle_close()
            return
        self.linger_until_s = time.monotonic() + self.server.limits.linger_s
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def check_deadlines(self, now_s: float) -> None:
        """Close or answer a connection that takes too long; called every tick."""
        limits, parser = self.server.limits, self.request
        if self.linger_until_s:
            if now_s >= self.linger_until_s:
                self.handle_close()
        elif now_s - self.last_activity > limits.idle_s and (self.total_outbufs_len or not self._busy()):
            self.handle_close()
        elif self._busy():
            return
        elif parser is None:
            if not self.used and now_s - self.creation_time > limits.header_deadline_s:
                self.handle_close()
        elif self.total_outbufs_len:  # not read meanwhile, so nothing the client is to blame for
            parser.started_s = now_s
        elif now_s > self._deadline_s(parser):
            with self.requests_lock:
                parser.fail(RequestTimeout())
                self._enqueue(parser)

    def _busy(self) -> bool:
        return bool(self.requests) or (self.request is not None and self.request.gated)

    def _deadline_s(self, parser: S3Parser) -> float:
        limits = self.server.limits
        if not parser.headers_finished:
            return float(parser.started_s + limits.header_deadline_s)
        since_s = parser.started_s if parser.admission is None else self.last_activity
        return float(since_s + limits.body_idle_s)

    def close_if_idle(self) -> None:
        """Close when nothing is going on and nothing has arrived that was not read yet."""
        if self.request is None and not (self.requests or self.held or self.total_outbufs_len or self.linger_until_s):
            try:
                self.socket.recv(1, socket.MSG_PEEK)
            except OSError:
                self.handle_close()

    def handle_close(self) -> None:
        """Close for good: whatever was received of an unfinished request is discarded."""
        super().handle_close()
        with self.requests_lock:
            parser, self.request, self.held = self.request, None, b""
            if parser is not None:
                parser.close()
            if self.waits_for_client:  # no worker has them, and none will
                self._drop_requests()

    # ---- worker threads, and the I/O thread for the lane "now" ---------------------------------------------------------------

    def service(self) -> None:
        """Answer the first of ``requests``."""
        parser = self.requests[0]
        self.must_linger = parser.close_after
        try:
            keeps = self._answer(parser)
        except TakesLonger:
            assert parser.request is not None
            parser.request.may_wait = True
            self.server.add_task(self)
            return
        self.last_activity = time.monotonic()
        with self.requests_lock:
            if keeps:
                parser.close()
                self.requests.pop(0)
                self._answer_next()
            else:
                self.close_when_flushed = True
                self._drop_requests()
            if self.connected and keeps:
                self._ask_gate()
            held_back = bool(self.held) and self.request is None and not self.requests
        if held_back:       # outside the lock: the I/O thread holds its own while it waits for this one
            self.server.call_soon(self.go_on)
        if self.connected:
            self.server.pull_trigger()

    def _answer(self, parser: S3Parser) -> bool:
        """Send the reply on its way; whether the connection goes on after it."""
        if not self.connected:
            return False
        task = (self.error_task_class if parser.error else self.task_class)(self, parser)
        try:
            task.service()
        except TakesLonger:
            raise
        except ClientDisconnected:
            return False
        except Exception:
            log.exception("cannot answer %s", parser.path)
            if not task.wrote_header and parser.error is None:
                parser.error, parser.connection_close = InternalError(), True
                self._answer(parser)
            return False
        return not task.close_on_finish

    def _answer_next(self) -> None:
        """Have the next request answered, but never before the client took the reply in front of it.

        Replies that wait for a client hold files and blocks; and a worker that waited for one would be lost to everybody else.
        """
        self.waits_for_client = bool(self.requests) and self.total_outbufs_len > 0
        if self.connected and self.requests and not self.waits_for_client:
            self.server.add_task(self)

    def _drop_requests(self) -> None:
        for parser in self.requests:
            parser.close()
        self.requests, self.waits_for_client = [], False

    def send_reply(self, head: bytes, body: FileBuffer | None = None) -> None:
        """Queue a reply; ``body`` is closed in the end. Raises ClientDisconnected.

        The I/O thread sends it: a worker that sends too fights with it over the interpreter lock, at half the replies per second.
        """
        with self.outbuf_lock:
            if not self.connected:
                if body is not None:
                    body.close()
                raise ClientDisconnected
            spare = self.outbufs.pop() if not self.outbufs[-1] else type(self.outbufs[-1])(self.adj.outbuf_overflow)
            self.outbufs += [BytesBuffer(head), spare] if body is None else [BytesBuffer(head), body, spare]
            self.last_activity = time.monotonic()
            self.total_outbufs_len += len(head) + (0 if body is None else body.remain)

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send at most FLUSH_BYTES; whether anything was sent. Raises OSError, BodyFailed, or what a body's file raises."""
        sent = 0
        while True:
            while not len(self.outbufs[0]) and len(self.outbufs) > 1:
                self.outbufs.pop(0).close()
            outbuf = self.outbufs[0]
            if not len(outbuf) or sent >= FLUSH_BYTES:
                break
            block = outbuf.get(self.sendbuf_len)
            if not block:
                raise BodyFailed(f"the body ended {len(outbuf)} bytes early")
            count = self.send(block, do_close=do_close)
            if not count:
                break
            outbuf.skip(count, True)
            sent += count
            self.total_outbufs_len -= count
        if sent:
            self.last_activity = time.monotonic()
        return sent > 0

    def _flush_exception(self, flush: Any, do_close: bool = True) -> tuple[bool, bool]:
        try:
            return flush(do_close=do_close), False
        except Exception:
            log.exception("a reply broke off")
            self.will_close = True
            return False, True

    def cancel(self) -> None:
        """The server ends before these requests were answered."""
        with self.requests_lock:
            self._drop_requests()
        super().cancel()
