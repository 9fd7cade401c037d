"""The access log: one line per request, without secrets, that no client can forge."""

import io
import json
import logging
import os
import threading

import pytest

from shared import access_log
from shared.access_log import AccessLog, redact
from shared.request import Request


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def lines(pipe, form, *requests, **fields):
    log = AccessLog(form, pipe[1])
    for request in requests:
        log.write(request, **{"status": 200, "duration_s": 0.0015, **fields})
    return os.read(pipe[0], 1 << 20).decode("ascii").splitlines(keepends=True)


@pytest.mark.parametrize("target, shown", [
    ("/b/k", "/b/k"),
    ("/b?list-type=2&continuation-token=abc", "/b?list-type=2&continuation-token=abc"),
    ("/b/k?X-Amz-Credential=AKIA/20260101/r/s3/aws4_request&X-Amz-Signature=abcdef",
     "/b/k?X-Amz-Credential=AKIA/20260101/r/s3/aws4_request&X-Amz-Signature=REDACTED"),
    ("/b/k?AWSAccessKeyId=AKIA&Signature=s%2Be%3D&Expires=1", "/b/k?AWSAccessKeyId=AKIA&Signature=REDACTED&Expires=1"),
    ("/b/k?x-amz-security-token=t&X-AMZ-SIGNATURE=s", "/b/k?x-amz-security-token=REDACTED&X-AMZ-SIGNATURE=REDACTED"),
    ("/b/k?X%2DAmz%2DSignature=s", "/b/k?X%2DAmz%2DSignature=REDACTED"),
    ("/b/k?a=1;Signature=s", "/b/k?a=1;Signature=REDACTED"),
    ("/b/k?x-amz-server-side-encryption-customer-key=k", "/b/k?x-amz-server-side-encryption-customer-key=REDACTED"),
    ("/login?password=p&token=t", "/login?password=REDACTED&token=REDACTED"),
    ("http://me:word@host/b?x=1", "http://REDACTED@host/b?x=1"),
    ("/b/k?Signature", "/b/k?Signature"),
    ("/b/?", "/b/?"),
])
def test_secrets_in_the_target_are_redacted(target, shown):
    assert redact(target) == shown


def test_a_json_line_has_every_field(pipe):
    request = Request("GET", "/b/k?Signature=s", [("User-Agent", "aws-cli/2"), ("Authorization", "AWS4 secret")], peer="10.0.0.9")
    [line] = lines(pipe, "json", request, operation="GetObject", bucket="b", key="k ü".encode(), code="NoSuchKey", access_key="AKIA",
                   bytes_in=1, bytes_out=2)
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "request_id": request.id, "remote": "10.0.0.9", "method": "GET", "path": "/b/k?Signature=REDACTED", "operation": "GetObject",
        "bucket": "b", "key": "k ü", "status": 200, "code": "NoSuchKey", "bytes_in": 1, "bytes_out": 2, "duration_ms": 1.5,
        "access_key": "AKIA", "user_agent": "aws-cli/2"}


def test_the_address_a_trusted_proxy_told_is_logged(pipe):
    [line] = lines(pipe, "json", Request("GET", "/", []), remote="203.0.113.7")
    assert json.loads(line)["remote"] == "203.0.113.7"


@pytest.mark.parametrize("form", ["json", "text"])
def test_control_characters_cannot_forge_a_line(pipe, form):
    request = Request("GE\nT", "/b/\r\nk\x1b[2J\x00\x7f\x85", [("User-Agent", 'a"\n{"status":200}\x9b')], peer="1.2.3.4")
    written = lines(pipe, form, request, key="\n\x1b\u2028\x7f".encode() + b"\xff", operation="GetObject", bucket="b\n")
    assert len(written) == 1
    assert all(" " <= character <= "~" for character in written[0].removesuffix("\n"))


def test_a_text_line_has_the_same_facts(pipe):
    [line] = lines(pipe, "text", Request("GET", "/b/k", [("User-Agent", "x y")]), operation="GetObject", bucket="b", key=b"k")
    assert ' GET /b/k GetObject b "k" 200 - 0 0 1.5ms ' in line and line.endswith('"x y"\n')


@pytest.mark.parametrize(("form", "shown"), [("json", '"reason":"statement \\"a\\" denies"}\n'), ("text", ' "statement \\"a\\" denies"\n')])
def test_why_it_was_refused_is_the_last_fact(pipe, form, shown):
    [line] = lines(pipe, form, Request("GET", "/", []), status=403, reason='statement "a" denies')
    assert line.endswith(shown)
    [line] = lines(pipe, form, Request("GET", "/", []))
    assert "reason" not in line


def test_a_request_that_could_not_be_parsed_is_logged_too(pipe):
    [line] = lines(pipe, "json", None, id="0123456789ABCDEF", code="InvalidRequest")
    assert json.loads(line)["request_id"] == "0123456789ABCDEF"


def test_endless_headers_do_not_make_endless_lines(pipe):
    [line] = lines(pipe, "json", Request("GET", "/" + "a" * 60000, [("User-Agent", "b" * 60000)]))
    assert len(line) < 4000


def test_nobody_reading_does_not_fail_requests():
    read_end, write_end = os.pipe()
    os.close(read_end)
    AccessLog("json", write_end).write(Request("GET", "/", []), status=200, duration_s=0)
    os.close(write_end)
    AccessLog("json", write_end).write(Request("GET", "/", []), status=200, duration_s=0)


def test_lines_of_many_threads_do_not_mix(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        log = AccessLog("json", file.fileno())
        threads = [threading.Thread(target=lambda: [log.write(Request("GET", "/" + "k" * 900, []), status=200, duration_s=0)
                                                    for _ in range(50)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 400


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    yield root
    root.handlers[:], root.level, logging.raiseExceptions = before
    logging.captureWarnings(False)


def test_warnings_carry_the_request_id(root_logger):
    stream = io.StringIO()
    access_log.configure("json", stream)
    token = access_log.request_id.set("ABCD")
    try:
        logging.getLogger("maxiofs.x").warning("could not %s\nreally", "x")
        logging.getLogger("maxiofs.x").info("not shown")
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("maxiofs.x").exception("failed")
    finally:
        access_log.request_id.reset(token)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["logger"], first["message"], first["request_id"]) == (
        "warning", "maxiofs.x", "could not x\nreally", "ABCD")
    assert "ValueError: why" in second["trace"]


def test_text_warnings_stay_on_one_line(root_logger):
    stream = io.StringIO()
    access_log.configure("text", stream)
    logging.getLogger("maxiofs.x").error("a\nb\x1b")
    assert stream.getvalue().count("\n") == 1 and r"a\nb\x1b" in stream.getvalue()


def test_time_is_rfc_3339_in_utc():
    assert access_log.timestamp(1764000000.0625) == "2025-11-24T16:00:00.062Z"
    assert access_log.timestamp(0.999) == "1970-01-01T00:00:00.999Z"
