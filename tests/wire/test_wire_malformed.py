"""Requests that are wrong or ambiguous: an S3 error from the application's renderer, and the connection ends."""

from __future__ import annotations

import time

import pytest
from wire_app import eventually

from shared.errors import S3Error

HOST = "Host: x\n"


def wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1")


BAD = {
    "nonsense": ("hello\n\n", "BadRequest"),
    "binary": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "BadRequest"),
    "http 0.9": ("GET /\n\n", "BadRequest"),
    "http 2": (f"GET / HTTP/2.0\n{HOST}\n", "BadRequest"),
    "lower-case method": (f"get / HTTP/1.1\n{HOST}\n", "BadRequest"),
    "space in target": (f"GET /a b HTTP/1.1\n{HOST}\n", "BadRequest"),
    "control in target": (f"GET /a\x01b HTTP/1.1\n{HOST}\n", "BadRequest"),
    "no colon": (f"GET / HTTP/1.1\n{HOST}nonsense\n\n", "BadRequest"),
    "space before colon": (f"GET / HTTP/1.1\n{HOST}A : b\n\n", "BadRequest"),
    "no name": (f"GET / HTTP/1.1\n{HOST}: b\n\n", "BadRequest"),
    "folded line": (f"GET / HTTP/1.1\n{HOST}A: b\n c\n\n", "BadRequest"),
    "fold first": (f"GET / HTTP/1.1\n A: b\n{HOST}\n", "BadRequest"),
    "nul in value": (f"GET / HTTP/1.1\n{HOST}A: b\x00c\n\n", "BadRequest"),
    "escape in value": (f"GET / HTTP/1.1\n{HOST}A: b\x1bc\n\n", "BadRequest"),
    "delete in value": (f"GET / HTTP/1.1\n{HOST}A: b\x7fc\n\n", "BadRequest"),
    "control in name": (f"GET / HTTP/1.1\n{HOST}A\x01: b\n\n", "BadRequest"),
    "bare CR": (f"GET / HTTP/1.1\n{HOST}A: b\rc\n\n", "BadRequest"),
    "no host": ("GET / HTTP/1.1\n\n", "BadRequest"),
    "two hosts": (f"GET / HTTP/1.1\n{HOST}hOST: y\n\n", "BadRequest"),
    "same host twice": (f"GET / HTTP/1.1\n{HOST}{HOST}\n", "BadRequest"),
    "negative length": (f"PUT / HTTP/1.1\n{HOST}Content-Length: -1\n\n", "InvalidRequest"),
    "signed length": (f"PUT / HTTP/1.1\n{HOST}Content-Length: +1\n\n", "InvalidRequest"),
    "hexadecimal length": (f"PUT / HTTP/1.1\n{HOST}Content-Length: 0x10\n\n", "InvalidRequest"),
    "spaced length": (f"PUT / HTTP/1.1\n{HOST}Content-Length: 1 0\n\n", "InvalidRequest"),
    "empty length": (f"PUT / HTTP/1.1\n{HOST}Content-Length: \n\n", "InvalidRequest"),
    "foreign digits": (f"PUT / HTTP/1.1\n{HOST}Content-Length: \xb2\n\n", "InvalidRequest"),
    "two lengths": (f"PUT / HTTP/1.1\n{HOST}Content-Length: 1\nContent-Length: 2\n\n", "InvalidRequest"),
    "two lengths in one": (f"PUT / HTTP/1.1\n{HOST}Content-Length: 1, 2\n\n", "InvalidRequest"),
    "huge length": (f"PUT / HTTP/1.1\n{HOST}Content-Length: {'9' * 5000}\n\n", "EntityTooLarge"),
    "over 5 GiB": (f"PUT / HTTP/1.1\n{HOST}Content-Length: {(5 << 30) + 1}\n\n", "EntityTooLarge"),
    "over 5 GiB, waiting": (f"PUT / HTTP/1.1\n{HOST}Expect: 100-continue\nContent-Length: {6 << 30}\n\n", "EntityTooLarge"),
    "over 5 GiB, decoded": (
        f"PUT / HTTP/1.1\n{HOST}Content-Length: 100\nX-Amz-Content-Sha256: STREAMING-X\nX-Amz-Decoded-Content-Length: {6 << 30}\n\n",
        "EntityTooLarge",
    ),
    "length and chunked": (f"PUT / HTTP/1.1\n{HOST}Content-Length: 1\nTransfer-Encoding: chunked\n\n", "InvalidRequest"),
    "chunked in 1.0": (f"PUT / HTTP/1.0\n{HOST}Transfer-Encoding: chunked\n\n", "InvalidRequest"),
    "gzip coding": (f"PUT / HTTP/1.1\n{HOST}Transfer-Encoding: gzip, chunked\n\n", "NotImplemented"),
    "chunked twice": (f"PUT / HTTP/1.1\n{HOST}Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n", "NotImplemented"),
    "odd chunked": (f"PUT / HTTP/1.1\n{HOST}Transfer-Encoding: \x0bchunked\n\n", "BadRequest"),
    "empty coding": (f"PUT / HTTP/1.1\n{HOST}Transfer-Encoding:\n\n", "NotImplemented"),
    "header too long": (f"GET / HTTP/1.1\n{HOST}A: {'b' * 40000}\n\n", "RequestHeaderSectionTooLarge"),
    "target too long": (f"GET /{'b' * 40000} HTTP/1.1\n{HOST}\n", "RequestHeaderSectionTooLarge"),
    "too many headers": (f"GET / HTTP/1.1\n{HOST}{'a: b' * 9000}\n\n", "RequestHeaderSectionTooLarge"),
    "endless header": ("A" * 70000, "RequestHeaderSectionTooLarge"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_answered_once_in_s3_xml_and_the_connection_ends(server, case):
    text, code = BAD[case]
    client = server.connect()
    client.send(wire(text) + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = client.reply()
    assert answer.code == code
    assert answer.status == (501 if code == "NotImplemented" else 400)
    assert (answer.get("Connection"), answer.get("Content-Type")) == ("close", "application/xml")
    assert client.closed()
    assert server.app.admitted == server.app.bodies == []
    assert [type(error) for _, error in server.app.refused] and isinstance(server.app.refused[0][1], S3Error)


def test_the_application_sees_as_much_of_a_bad_request_as_could_be_read(server):
    server.connect().send(wire(f"GET /a HTTP/1.1\n{HOST}bad\n\n")).reply()
    server.connect().send(b"bad\r\n\r\n").reply()
    (request, _), (nothing, _) = server.app.refused
    assert (request.method, request.target, request.peer) == ("GET", "/a", "127.0.0.1")
    assert nothing is None


def test_the_same_length_twice_is_one_length(server):
    client = server.connect()
    assert client.ask(f"PUT /a HTTP/1.1\n{HOST}Content-Length: 3\nContent-Length: 3", b"abc").json["read"] == 3
    assert client.ask(f"GET /small HTTP/1.1\n{HOST.strip()}").status == 200


def test_other_expectations_are_ignored(server):
    assert server.connect().ask(f"PUT /a HTTP/1.1\n{HOST}Expect: 200-ok\nContent-Length: 3", b"abc").json["read"] == 3


def test_a_header_section_just_below_the_limit_passes(server):
    line = f"GET /small HTTP/1.1\n{HOST}A: "
    assert server.connect().ask(line + "b" * (32768 - len(wire(line)))).status == 200


def test_slow_loris_is_answered_and_closed_and_others_are_served(start):
    server = start(header_deadline_s=0.4)
    client = server.connect()
    began = time.monotonic()
    client.send(b"GET / HTTP/1.1\r\n")
    for _ in range(3):
        time.sleep(0.1)
        client.send(b"A: b\r\n")
    assert client.reply().code == "RequestTimeout"
    assert client.closed()
    assert 0.3 < time.monotonic() - began < 1.5


def test_connecting_and_saying_nothing_is_closed_silently(start):
    server = start(header_deadline_s=0.3)
    assert server.connect().closed(2)
    assert server.app.refused == []


def test_an_idle_connection_outlives_the_header_deadline_and_ends_with_its_own(start):
    server = start(header_deadline_s=0.2, idle_s=0.9)
    client = server.connect()
    assert client.ask(f"GET /small HTTP/1.1\n{HOST.strip()}").status == 200
    time.sleep(0.5)
    assert client.ask(f"GET /small HTTP/1.1\n{HOST.strip()}").status == 200
    assert client.closed(3)
    assert server.app.refused == []


def test_a_client_that_leaves_within_a_header_is_forgotten(server):
    for part in (b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n"):
        client = server.connect()
        client.send(part)
        client.socket.close()
    listener = server.server._listeners[0]
    assert eventually(lambda: not listener.active_channels)
    assert server.app.refused == []
