"""The gate: the application decides before the first byte of a body is taken."""

from __future__ import annotations

import socket
import time

import pytest
from wire_app import eventually

PUT = "PUT {} HTTP/1.1\nHost: x\nContent-Length: {}"
SIGNED = "\nAuthorization: a"
EXPECT = "\nExpect: 100-continue"
GET = "GET /small HTTP/1.1\nHost: x"


def head(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode() + b"\r\n\r\n"


def test_a_waiting_client_is_refused_before_it_sends_anything(server):
    client = server.connect()
    answer = client.send(head(PUT.format("/a", 123) + EXPECT)).reply()
    assert (answer.status, answer.code, answer.get("Connection")) == (403, "AccessDenied", "close")
    assert client.closed()
    assert server.app.sinks == []


def test_a_waiting_client_is_told_to_continue(server):
    client = server.connect()
    for size in (1, 16384, 300_000):
        assert client.send(head(PUT.format("/a", size) + EXPECT + SIGNED)).reply().status == 100
        assert client.send(b"x" * size).reply().json["read"] == size
    assert client.ask(GET).status == 200
    assert len(server.app.admitted) == 3


def test_continue_is_not_sent_to_who_does_not_wait(server):
    client = server.connect()
    assert client.send(head(PUT.format("/a", 3) + EXPECT + SIGNED) + b"abc").reply().status == 200
    client = server.connect()
    assert client.ask("PUT /a HTTP/1.0\nContent-Length: 3\nExpect: 100-continue", b"abc").status == 200


def test_waiting_without_a_body_is_no_reason_for_the_gate(server):
    client = server.connect()
    assert client.ask(PUT.format("/a", 0) + EXPECT).json["read"] == 0
    assert client.ask(GET).status == 200
    assert server.app.admitted == []


@pytest.mark.parametrize(
    ("headers", "gated"),
    [
        ("Content-Length: 16384", False),
        ("Content-Length: 16385", True),
        ("Transfer-Encoding: chunked", True),
        ("Content-Length: 10\nX-Amz-Content-SHA256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", True),
        ("Content-Length: 10\nX-Amz-Content-SHA256: UNSIGNED-PAYLOAD", False),
    ],
)
def test_who_passes_the_gate(server, headers, gated):
    server.connect().send(head(f"PUT /a HTTP/1.1\nHost: x\n{headers}") + b"x" * 10)
    assert eventually(lambda: server.app.admitted, 1.0 if gated else 0.2) is gated


def test_nothing_is_read_while_the_application_decides(server):
    client = server.connect()
    client.send(head(PUT.format("/gate-hold", 32 << 20) + SIGNED))
    assert eventually(lambda: server.app.admitted)
    client.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.send(b"x" * (32 << 20))  # far more than the kernel's buffers take
    assert server.app.sinks == []
    assert server.connect().ask(GET).status == 200


def test_no_byte_of_an_unauthenticated_body_reaches_staging(server):
    client = server.connect()
    client.send(head(PUT.format("/a", 500_000)) + b"x" * 500_000)
    answer = client.reply()
    assert (answer.code, answer.get("Connection")) == ("AccessDenied", "close")
    assert client.closed()
    assert server.app.sinks == []


def test_a_refused_body_is_drained_so_that_the_client_sees_why(server):
    client = server.connect()
    client.send(head(PUT.format("/a", 1_000_000)))
    time.sleep(0.1)  # the reply is out before the body begins
    client.send(b"x" * 1_000_000)
    assert client.reply().code == "AccessDenied"


def test_the_drain_ends_after_its_bytes(start):
    server = start(linger_bytes=200_000)
    client = server.connect()
    client.send(head(PUT.format("/a", 1 << 30)))
    assert client.reply().status == 403
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            client.send(b"x" * 65536)
            time.sleep(0.001)


def test_the_drain_ends_after_its_time(server):
    client = server.connect()
    client.send(head(PUT.format("/a", 1 << 30)))
    assert client.reply().status == 403
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        while True:
            client.send(b"x")
            time.sleep(0.02)
    assert 1.0 < time.monotonic() - began < 3.5
    assert not server.server._channels()


def test_a_refused_body_that_is_here_already_keeps_the_connection(start):
    server = start(inline_bytes=100)
    client = server.connect()
    client.send(head(PUT.format("/a", 5000)) + b"x" * 5000 + head(GET))
    answer = client.reply()
    assert (answer.code, answer.get("Connection")) == ("AccessDenied", None)
    assert client.reply().body == b"small"


def test_pipelined_and_kept_alive_requests_around_gated_ones(server):
    client = server.connect()
    big = head(PUT.format("/a", 20_000) + SIGNED) + b"y" * 20_000
    client.send(head(GET) + big + head(GET) + big + head("GET /slow?0.1 HTTP/1.1\nHost: x") + big)
    assert client.reply().body == b"small"
    assert client.reply().json["read"] == 20_000
    assert client.reply().body == b"small"
    assert client.reply().json["read"] == 20_000
    assert client.reply().body.startswith(b"slow")
    assert client.reply().json["read"] == 20_000


def test_continue_waits_for_the_replies_before_it(server):
    client = server.connect()
    client.send(head("GET /slow?0.3 HTTP/1.1\nHost: x") + head(PUT.format("/a", 5) + SIGNED + EXPECT))
    assert client.reply().body.startswith(b"slow")
    assert client.reply().status == 100
    assert client.send(b"abcde").reply().json["read"] == 5


def test_a_gate_that_crashes_is_an_internal_error(server):
    client = server.connect()
    assert client.ask(PUT.format("/gate-crash", 20_000) + EXPECT).code == "InternalError"


def test_leaving_while_the_application_decides_leaves_nothing(server):
    client = server.connect()
    client.send(head(PUT.format("/gate-hold", 20_000) + SIGNED) + b"x" * 5_000)
    assert eventually(lambda: server.app.admitted)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    server.app.hold_gate.set()
    assert eventually(lambda: server.app.sinks)
    assert server.nothing_staged()


def test_uploads_and_their_decisions_do_not_hold_the_fast_lane(start):
    server = start(fast=1, slow=1)
    for _ in range(20):
        server.connect().send(head(PUT.format("/a", 50_000_000) + SIGNED) + b"x" * 1000)
    assert eventually(lambda: len(server.app.sinks) == 20)
    began = time.perf_counter()
    assert server.connect().ask(GET).status == 200
    assert time.perf_counter() - began < 0.1


def test_a_client_that_resets_while_it_is_asked_to_continue(server, caplog):
    for _ in range(5):
        server.app.hold_gate.clear()
        client = server.connect()
        client.send("PUT /gate-hold HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert eventually(lambda: server.app.admitted)
        server.app.admitted.clear()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        server.app.hold_gate.set()
        assert eventually(lambda: not server.server._channels())
    assert server.nothing_staged()
    assert not [record for record in caplog.records if record.exc_info]
