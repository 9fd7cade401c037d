"""Bodies go once, straight to their sink; whatever goes wrong is answered, and nothing stays behind."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time

import pytest
from wire_app import eventually

HEAD = "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\n{}\r\n\r\n"
GET = "GET /small HTTP/1.1\nHost: x"


def put(path: str, *headers: str) -> bytes:
    return HEAD.format(path, "\r\n".join(headers)).encode()


def chunked(body: bytes, size: int, extension: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n\r\n"


def aws(body: bytes, size: int, signature: bool = False, trailer: bytes = b"") -> bytes:
    sign = b";chunk-signature=" + b"ab" * 32 if signature else b""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    data = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), sign, piece) for piece in pieces)
    return data + b"0" + sign + b"\r\n" + trailer + b"\r\n"


@pytest.mark.parametrize("size", [16385, 262144, 262145, 3_000_000])
def test_a_large_body_reaches_its_sink_byte_exact_in_the_io_thread(server, size):
    body = os.urandom(size)
    client = server.connect()
    facts = client.send(put("/a", f"Content-Length: {size}") + body).reply().json
    assert (facts["size"], facts["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    assert facts["thread"].startswith("slow")
    assert server.app.sinks[0].threads == {"io"}
    assert client.ask(GET).status == 200


def test_the_admission_chooses_the_lane(server):
    facts = server.connect().send(put("/fast", "Content-Length: 20000") + b"x" * 20000).reply().json
    assert facts["thread"].startswith("fast")


@pytest.mark.parametrize("extension", [b"", b";a=b", b' ;q="\xe4 x"'])
def test_chunked_transfer_coding(server, extension):
    body = os.urandom(100_000)
    client = server.connect()
    for size in (100_000, 7_777):
        facts = client.send(put("/a", "Transfer-Encoding: Chunked") + chunked(body, size, extension)).reply().json
        assert facts["sha256"] == hashlib.sha256(body).hexdigest()
    client.send(put("/a", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n")
    assert client.reply().json["read"] == 5
    assert client.send(put("/a", "Transfer-Encoding: chunked") + b"0\r\n\r\n").reply().json["read"] == 0
    assert client.ask(GET).status == 200


def test_chunked_byte_by_byte(server):
    client = server.connect()
    client.send(put("/a", "Transfer-Encoding: chunked"))
    for byte in b"5;a=b\r\nhello\r\n00001\r\n!\r\n0\r\nA: b\r\n\r\n":
        client.send(bytes([byte]))
    assert client.reply().json["read"] == 6


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n", b"5\nhello\r\n", b"-5\r\nhello", b"5\r\nhelloXX", b"5\r\nhello\n", b"\r\n", b"0x5\r\nhello\r\n", b"5;\x01\r\nhello\r\n",
        b"1" * 17 + b"\r\n", b"5" * 2000, b"0\r\nA: b\n\r\n", b"0\r\n" + b"A: b\r\n" * 5000, b"1\r\nx\r\n" * 5000,
    ],
)  # fmt: skip
def test_malformed_chunked_coding_is_refused(server, body):
    client = server.connect()
    client.send(put("/a", "Transfer-Encoding: chunked") + body)
    answer = client.reply()
    assert (answer.code, answer.get("Connection")) == ("InvalidRequest", "close")
    assert server.nothing_staged()


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_aws_chunked_inside_either(server, coding):
    body = os.urandom(200_000)
    encoded = aws(body, 65536, True, b"x-amz-checksum-crc32:AAAA\r\nx-amz-trailer-signature:cd\r\n")
    headers = ["X-Amz-Content-SHA256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length: 200000"]
    client = server.connect()
    if coding == "length":
        client.send(put("/a", *headers, f"Content-Length: {len(encoded)}") + encoded)
    else:
        client.send(put("/a", *headers, "Transfer-Encoding: chunked") + chunked(encoded, 5000))
    facts = client.reply().json
    assert (facts["size"], facts["sha256"]) == (200_000, hashlib.sha256(body).hexdigest())
    assert facts["chunks"] == [[65536, "ab" * 32]] * 3 + [[200_000 - 3 * 65536, "ab" * 32], [0, "ab" * 32]]
    assert facts["trailers"] == [["x-amz-checksum-crc32", "AAAA"], ["x-amz-trailer-signature", "cd"]]
    assert client.ask(GET).status == 200


@pytest.mark.parametrize(
    ("encoded", "decoded", "code"),
    [
        (aws(b"x" * 20000, 8191), 20000, "InvalidChunkSizeError"),
        (aws(b"x" * 100, 1), 100, "InvalidChunkSizeError"),
        (aws(b"x" * 20000, 10000), 20001, "IncompleteBody"),
        (aws(b"x" * 20000, 10000), 19999, "IncompleteBody"),
        (b"2710\r\n" + b"x" * 10000 + b"\r\n", 10000, "IncompleteBody"),
        (aws(b"x" * 10, 10) + b"more", 10, "InvalidRequest"),
        (b"no chunk", 10, "IncompleteBody"),
        (b"no chunk\r\n", 10, "InvalidRequest"),
        (aws(b"x" * 10, 10, trailer=b"bad trailer\r\n"), 10, "MalformedTrailerError"),
        (b"", 10, "IncompleteBody"),
    ],
)
def test_bad_aws_chunked_bodies(server, encoded, decoded, code):
    client = server.connect()
    headers = [f"X-Amz-Decoded-Content-Length: {decoded}", f"Content-Length: {len(encoded)}"]
    client.send(put("/a", "X-Amz-Content-SHA256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", *headers) + encoded)
    answer = client.reply()
    assert (answer.code, answer.get("Connection")) == (code, "close")
    assert client.closed()
    assert server.nothing_staged()
    assert server.app.sinks[0].discards


def test_many_signed_chunks_spill_and_leave_no_descriptor(server):
    before = len(os.listdir("/proc/self/fd"))
    body = b"z" * (8192 * 3000)
    encoded = aws(body, 8192, True)
    client = server.connect()
    sha = "X-Amz-Content-SHA256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    facts = client.send(put("/a", sha, f"Content-Length: {len(encoded)}") + encoded).reply().json
    assert len(facts["chunks"]) == 3001
    client.send(put("/a", sha, f"Content-Length: {len(encoded)}") + encoded[: len(encoded) // 2])
    client.socket.close()
    assert server.nothing_staged()
    assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (errno.ENOSPC, "InsufficientStorage", 507),
        (errno.EDQUOT, "InsufficientStorage", 507),
        (errno.EROFS, "ServiceUnavailable", 503),
        (errno.EIO, "InternalError", 500),
    ],
)
def test_a_sink_that_fails_is_answered_through_the_application(server, number, code, status):
    client = server.connect()
    client.send(put("/a", "Content-Length: 600000", "X-Fail-At: 300000", f"X-Fail-Errno: {number}") + b"x" * 600_000)
    answer = client.reply()
    assert (answer.code, answer.status, answer.get("Connection")) == (code, status, "close")
    assert server.app.bodies[0].error.code == code
    assert server.nothing_staged()
    assert server.connect().ask(GET).status == 200


def test_a_sink_with_a_bug_is_an_internal_error(server):
    client = server.connect()
    client.send(put("/a", "Content-Length: 20000", "X-Fail-At: 100", "X-Fail-How: bug") + b"x" * 20_000)
    assert client.reply().code == "InternalError"
    assert server.nothing_staged()


def test_an_application_with_a_bug_is_an_internal_error_and_leaves_nothing(server):
    client = server.connect()
    assert client.send(put("/crash", "Content-Length: 20000") + b"x" * 20_000).reply().code == "InternalError"
    assert server.nothing_staged()
    assert client.ask(GET).status == 200


@pytest.mark.parametrize("sent", [0, 1, 200_000])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_aborted_uploads_leave_no_file_and_no_descriptor(server, how, sent):
    for _ in range(5):
        client = server.connect()
        client.send(put("/a", "Content-Length: 1000000") + b"x" * sent)
        if how == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how == "half":
            client.socket.shutdown(socket.SHUT_WR)
            assert client.reply().code == "IncompleteBody"
            assert client.closed()
        client.socket.close()
    assert server.nothing_staged()
    assert eventually(lambda: not server.server._channels())


def test_an_upload_that_is_whole_when_the_client_leaves_is_answered_and_leaves_nothing(server):
    client = server.connect()
    client.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n" + put("/a", "Content-Length: 20000") + b"x" * 20_000)
    time.sleep(0.1)
    client.socket.close()
    server.app.hold.set()
    assert eventually(lambda: not server.server._channels())
    assert server.nothing_staged()


def test_a_half_closed_client_still_gets_its_answer(server):
    for request in (b"GET /slow?0.2 HTTP/1.1\r\nHost: x\r\n\r\n", put("/a", "Content-Length: 20000") + b"x" * 20_000):
        client = server.connect()
        client.send(request)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.reply().status == 200
        assert client.closed()


def test_a_half_closed_small_body_is_incomplete(server):
    client = server.connect()
    client.send(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.reply().code == "IncompleteBody"
    assert client.closed()
    assert server.app.bodies == []


def test_a_body_that_stops_coming_times_out(start):
    server = start(body_idle_s=0.4)
    client = server.connect()
    client.send(put("/a", "Content-Length: 1000000"))
    for _ in range(6):  # longer than the deadline, but never idle
        time.sleep(0.1)
        client.send(b"x" * 1000)
    answer = client.reply()
    assert (answer.status, answer.code, answer.get("Connection")) == (400, "RequestTimeout", "close")
    assert server.nothing_staged()
    assert client.closed()


def test_a_small_body_has_a_deadline_that_dripping_does_not_extend(start):
    server = start(body_idle_s=0.4)
    client = server.connect()
    client.send(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(5):
        client.send(b"x")
        time.sleep(0.1)
    assert client.reply().code == "RequestTimeout"


def test_the_idle_deadline_does_not_run_while_the_application_works(start):
    server = start(body_idle_s=0.2, header_deadline_s=0.2, idle_s=0.3)
    assert server.connect().ask("GET /slow?0.8 HTTP/1.1\nHost: x").status == 200


def test_a_chunked_body_over_the_limit_is_refused(start):
    server = start(max_body_bytes=100_000)
    client = server.connect()
    client.send(put("/a", "Transfer-Encoding: chunked") + chunked(b"x" * 100_001, 50_000))
    assert client.reply().code == "EntityTooLarge"
    assert server.nothing_staged()
    client = server.connect()
    assert client.send(put("/a", "Transfer-Encoding: chunked") + chunked(b"x" * 100_000, 50_000)).reply().status == 200


def test_small_documents_may_come_through_the_gate_into_memory(server):
    client = server.connect()
    assert client.send(put("/memory", "Transfer-Encoding: chunked") + chunked(b"x" * 60_000, 9_999)).reply().json["read"] == 60_000
    assert client.send(put("/memory", "Content-Length: 65537") + b"x" * 65_537).reply().code == "MaxMessageLengthExceeded"
