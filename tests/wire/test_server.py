"""The host on the wire: names, keep-alive, order, slow readers, lanes, limits, an orderly end."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from wire_app import App, Client, eventually

from shared.host.contract import Limits
from shared.host.server import create_server

GET = "GET {} HTTP/1.1\nHost: x"


def test_request_header_names_and_values_arrive_as_sent(server):
    client = server.connect()
    facts = client.ask("GET /a HTTP/1.1\nhOST: x\nx-amz-meta-under_score:  a  b \t\nX-Amz-Meta-Two: 1\nx-amz-meta-two: \xe9").json
    assert facts["headers"] == [
        ["hOST", "x"], ["x-amz-meta-under_score", "a  b"], ["X-Amz-Meta-Two", "1"], ["x-amz-meta-two", "\xe9"]
    ]  # fmt: skip


def test_reply_header_names_leave_as_written(server):
    answer = server.connect().ask(GET.format("/small"))
    assert answer.get("ETag") == '"abc"'
    assert answer.get("x-amz-meta-Foo_bar") == "Value"
    assert answer.get("Server") == "MaxIOFS"
    assert answer.get("Date")
    assert answer.get("Connection") is None


@pytest.mark.parametrize(("path", "status"), [("/empty", 204), ("/same", 304)])
def test_replies_without_a_body_keep_the_connection(server, path, status):
    client = server.connect()
    answer = client.ask(GET.format(path))
    assert (answer.status, answer.get("Content-Length"), answer.get("Connection")) == (status, None, None)
    assert client.ask(GET.format("/small")).body == b"small"


def test_head_announces_what_get_would_send_and_keeps_the_connection(server):
    client = server.connect()
    answer = client.send(b"HEAD /head HTTP/1.1\r\nHost: x\r\n\r\n").reply(head=True)
    assert answer.get("Content-Length") == "12345"
    answer = client.send(b"HEAD /file?100 HTTP/1.1\r\nHost: x\r\n\r\n").reply(head=True)
    assert answer.get("Content-Length") == "100"
    assert server.app.files[0].closed
    assert client.ask(GET.format("/small")).body == b"small"


@pytest.mark.parametrize("target", ["//b//k%2Fz", "/b/../c/./d", "/b/k+%2B?a=%zz&b", "http://other/b/k", "/b/\xc3\xa9", "*", "/#f"])
def test_the_target_is_never_normalised(server, target):
    assert server.connect().ask(GET.format(target)).json["target"] == target


def test_http_1_0_and_connection_close(server):
    client = server.connect()
    answer = client.ask("GET /small HTTP/1.0\nConnection: keep-alive")
    assert answer.get("Connection") == "Keep-Alive"
    assert client.ask("GET /small HTTP/1.0").get("Connection") == "close"
    assert client.closed()
    client = server.connect()
    assert client.ask(GET.format("/small") + "\nConnection: TE, close").get("Connection") == "close"
    assert client.closed()


def test_line_breaks_in_a_reply_header_become_an_internal_error(server):
    answer = server.connect().ask(GET.format("/bad-header"))
    assert (answer.status, answer.code) == (500, "InternalError")
    assert answer.get("Set-Cookie") is None


def test_the_application_has_no_say_about_the_connection(server):
    client = server.connect()
    answer = client.ask(GET.format("/hop"))
    assert (answer.get("Connection"), answer.get("Transfer-Encoding"), answer.get("X-A")) == (None, None, "b")
    assert client.ask(GET.format("/small")).status == 200


def test_pipelined_requests_are_answered_in_order(server):
    client = server.connect()
    targets = [f"/{'slow' if number == 0 else 'a'}?{'0.2' if number == 0 else number}" for number in range(50)]
    client.send("".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n" for target in targets))
    assert client.reply().body.startswith(b"slow-")
    assert [client.reply().json["target"] for _ in targets[1:]] == targets[1:]


def test_small_bodies_and_stray_line_ends_between_requests(server):
    client = server.connect()
    for body in (b"", b"x", b"\r\n\r\n", b"y" * 16384):
        facts = client.ask(f"PUT /a HTTP/1.1\nHost: x\nContent-Length: {len(body)}", body + b"\r\n").json
        assert (facts["read"], facts["thread"][:4]) == (len(body), "fast")
    assert server.app.admitted == []


def test_a_request_that_arrives_byte_by_byte(server):
    client = server.connect()
    for byte in b"\r\nPUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc":
        client.send(bytes([byte]))
    assert client.reply().json["read"] == 3


def test_fast_requests_do_not_wait_behind_slow_ones(start):
    server = start(fast=1, slow=6)
    for _ in range(6):
        server.connect().send(b"GET /slow?2 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.2)
    began = time.perf_counter()
    assert server.connect().ask(GET.format("/small")).body == b"small"
    assert time.perf_counter() - began < 0.1


def test_short_reads_are_answered_by_the_io_thread_when_they_are_alone(server):
    client = server.connect()
    expected = "io" if server.app.reads == "now" else "fast-0"
    assert client.ask(GET.format("/a")).json["thread"][:6] in (expected, "fast-1")
    one = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(2 * one)
    assert [client.reply().json["thread"][:4] for _ in range(2)] == ["fast", "fast"]      # several get their turn like others
    client.send("GET /slow?0.2 HTTP/1.1\r\nHost: x\r\n\r\n" + one)
    assert client.reply().body.startswith(b"slow-")
    assert client.reply().json["thread"] != "io"


def test_what_takes_longer_than_it_seemed_goes_to_a_worker(server):
    client = server.connect()
    for _ in range(3):
        assert client.ask(GET.format("/longer")).body.startswith(b"fast-")
    assert client.ask(GET.format("/a")).status == 200


def test_an_urgent_byte_does_not_keep_the_io_thread_busy(server):
    client = server.connect()
    time.sleep(0.1)
    before = time.process_time()
    client.socket.send(b"x", socket.MSG_OOB)
    time.sleep(0.5)
    assert time.process_time() - before < 0.2


def test_pipelined_requests_wait_until_the_client_takes_the_reply_before_them(start):
    """And no worker waits with them."""
    server = start(fast=1)
    client = server.connect(rcvbuf=32768)
    for _ in range(20):
        client.send(f"GET /file?{8 << 20} HTTP/1.1\r\nHost: x\r\n\r\n")      # more than the kernel takes
    time.sleep(0.3)
    assert len(server.app.files) == 1
    assert server.connect().ask(GET.format("/small")).body == b"small"
    assert [len(client.reply().body) for _ in range(20)] == 20 * [8 << 20]


def test_a_client_that_leaves_while_requests_wait_for_it(server):
    client = server.connect(rcvbuf=32768)
    client.send(4 * f"GET /file?{8 << 20} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert eventually(lambda: len(server.app.files) == 1)
    client.socket.close()
    assert eventually(lambda: not server.server._channels())
    assert len(server.app.files) == 1


def test_slow_readers_hold_no_thread_and_nothing_is_read_twice(start):
    server = start(fast=2, slow=1)
    size = 16 << 20
    slow = [server.connect(rcvbuf=32768) for _ in range(8)]
    for client in slow:
        client.send(f"GET /file?{size} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert eventually(lambda: len(server.app.files) == 8)
    began = time.perf_counter()
    assert server.connect().ask(GET.format("/small")).body == b"small"
    assert time.perf_counter() - began < 0.2
    for client in slow:
        assert len(client.reply().body) == size
    assert [file.total for file in server.app.files] == [size] * 8
    assert eventually(lambda: all(file.closed for file in server.app.files))


@pytest.mark.parametrize("how", ["4000000,2000000", "4000000,,2000000"])
def test_a_reply_whose_file_fails_breaks_off_unpadded(server, how):
    client = server.connect()
    client.send(f"GET /file?{how} HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises((EOFError, ConnectionError)):
        client.reply()
    assert len(client.buffer) < 2_300_000
    assert set(client.buffer) <= {ord("x")}
    assert eventually(lambda: server.app.files[0].closed)
    assert server.connect().ask(GET.format("/small")).status == 200


@pytest.mark.parametrize("how", ["4000000,0", "4000000,,0"])
def test_a_reply_whose_file_fails_at_once_is_an_internal_error(server, how):
    client = server.connect()
    assert client.ask(GET.format(f"/file?{how}")).code == "InternalError"
    assert server.app.files[0].closed
    assert client.ask(GET.format("/small")).status == 200


def test_a_reader_who_leaves_closes_the_file(server):
    client = server.connect(rcvbuf=32768)
    client.send(b"GET /file?64000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert eventually(lambda: server.app.files)
    client.socket.close()
    assert eventually(lambda: server.app.files[0].closed)


def test_a_reader_who_stops_reading_is_closed(start):
    server = start(idle_s=0.4)
    client = server.connect(rcvbuf=32768)
    client.send(b"GET /file?64000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert eventually(lambda: server.app.files and server.app.files[0].closed)


def test_the_connection_limit_delays_and_does_not_refuse(start):
    server = start(connection_limit=4)  # the listener and its trigger count too
    first, second, third = (server.connect() for _ in range(3))
    assert first.ask(GET.format("/small")).status == second.ask(GET.format("/small")).status == 200
    third.send(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n").socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        third.reply()
    first.socket.close()
    third.socket.settimeout(5)
    assert third.reply().status == 200


def test_hundreds_of_connections_at_once(start):
    server = start()
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.port)) for _ in range(400)]  # not above 1,024 descriptors, where many machines stop
        for client in clients:
            client.send(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all(client.reply().body == b"small" for client in clients)


def test_two_servers_share_one_socket_and_one_may_leave(start, tmp_path):
    server = start()
    sock = next(iter(server.server._listeners)).socket.dup()
    second = create_server(server.app, [sock], fast=1, slow=1)
    thread = threading.Thread(target=second.run, daemon=True)
    thread.start()
    assert all(server.connect().ask(GET.format("/small")).status == 200 for _ in range(20))
    assert second.drain(5)
    thread.join(5)
    assert all(server.connect().ask(GET.format("/small")).status == 200 for _ in range(20))


def test_several_sockets_are_served_by_one_server(start):
    server = start()
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    both = create_server(server.app, socks, fast=1, slow=1)
    threading.Thread(target=both.run, daemon=True).start()
    for port in both.ports:
        with Client(port) as client:
            assert client.ask(GET.format("/small")).body == b"small"
    assert both.drain(5)


def test_draining_answers_what_was_begun_and_closes_the_rest(server):
    idle, busy, late = server.connect(), server.connect(), server.connect()
    assert idle.ask(GET.format("/small")).status == 200
    busy.send(b"GET /slow?0.7 HTTP/1.1\r\nHost: x\r\n\r\n")
    late.send(b"PUT /a HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nContent-Length: 20000\r\n\r\n" + b"x" * 10000)
    time.sleep(0.2)
    server.server.stop_accepting()
    assert idle.closed()
    with pytest.raises(ConnectionRefusedError):
        Client(server.port)
    answer = late.send(b"x" * 10000).reply()
    assert (answer.json["read"], answer.get("Connection")) == (20000, "close")
    answer = busy.reply()
    assert (answer.status, answer.get("Connection")) == (200, "close")
    assert server.server.drain(5)
    server.thread.join(5)
    assert not server.thread.is_alive()
    assert server.staged() == (0, 0)


def test_draining_gives_up_after_its_timeout_and_leaves_nothing(server):
    client = server.connect()
    client.send(b"PUT /a HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nContent-Length: 20000\r\n\r\n" + b"x" * 10000)
    assert eventually(lambda: server.staged() == (1, 1))
    began = time.perf_counter()
    assert server.server.drain(0.5) is False
    assert time.perf_counter() - began < 3
    assert server.staged() == (0, 0)


def test_an_upload_at_the_gate_when_the_server_ends_leaves_nothing(server):
    server.connect().send(b"PUT /gate-hold HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nContent-Length: 20000\r\n\r\n")
    assert eventually(lambda: server.app.admitted)
    threading.Timer(1.0, server.app.hold_gate.set).start()
    assert server.server.drain(0.3) is False
    assert server.staged() == (0, 0)
    assert len(server.app.sinks) == 1


def test_limits_are_the_documented_ones():
    limits = Limits()
    assert (limits.inline_bytes, limits.header_deadline_s, limits.body_idle_s) == (16384, 30, 60)
    assert (limits.linger_bytes, limits.linger_s, limits.max_body_bytes) == (1 << 20, 2, 5 << 30)


SCRIPT = """
import signal, socket, sys, pathlib
sys.path[:0] = sys.argv[1:3]
from wire_app import App
from shared.host.server import create_server
sock = socket.create_server(("127.0.0.1", 0))
server = create_server(App(pathlib.Path(sys.argv[3])), [sock], fast=1, slow=2)
signal.signal(signal.SIGTERM, lambda *_: server.drain(5))
print(server.ports[0], flush=True)
sys.exit(0 if server.run() else 3)
"""


def test_a_signal_handler_may_drain(tmp_path):
    here = Path(__file__).parent
    command = [sys.executable, "-c", SCRIPT, str(here.parent.parent), str(here), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        with Client(int(process.stdout.readline())) as busy, Client(busy.socket.getpeername()[1]) as idle:
            assert idle.ask(GET.format("/small")).status == 200
            busy.send(b"GET /slow?0.7 HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)
            process.terminate()
            assert idle.closed()
            answer = busy.reply()
            assert (answer.status, answer.get("Connection")) == (200, "close")
        assert process.wait(5) == 0


def test_many_idle_connections_do_not_slow_the_others(start):
    server = start()
    client = server.connect()

    def best_s() -> float:
        times = []
        for _ in range(200):
            began = time.perf_counter()
            client.ask(GET.format("/small"))
            times.append(time.perf_counter() - began)
        return min(times)

    alone = best_s()
    for _ in range(400):
        server.connect()
    assert best_s() < 3 * alone + 0.0005


def test_connections_spread_over_the_processes_that_share_a_socket(tmp_path):
    """Whoever accepted last looks away for a moment, longer the more connections it holds."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=64)
    apps = [App(tmp_path), App(tmp_path)]
    servers = [create_server(app, [sock.dup()], fast=1, write=1, slow=1, shares_sockets=True) for app in apps]
    threads = [threading.Thread(target=server.run, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    clients = [socket.create_connection(sock.getsockname()) for _ in range(40)]
    try:
        for client in clients:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        shares = [len(server._channels()) for server in servers]
        assert sum(shares) == 40
        assert min(shares) >= 8, shares
    finally:
        for client in clients:
            client.close()
        for server in servers:
            server.drain(2)
        sock.close()


def test_a_call_into_the_io_thread_is_not_forgotten_when_it_comes_between_two_waits(start, monkeypatch):
    """Behind what the last wake was about, and before the flag that one is under way was taken back."""
    server = start().server
    called, done, tick = threading.Event(), threading.Event(), server._tick

    def tick_and_call(now_s: float) -> None:
        tick(now_s)
        if server._woken and not called.is_set():
            called.set()
            server.call_soon(done.set)

    monkeypatch.setattr(server, "_tick", tick_and_call)
    while not called.wait(0.01):
        server.wake()
    assert done.wait(2)
