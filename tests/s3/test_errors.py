"""Every refusal is an S3 error document with a request id that leads to its log line; nothing internal or secret is in either."""

from __future__ import annotations

import http.client
import json
import re
import socket

import pytest

from tests.s3.raw import Raw, read_answer

REFUSALS = {
    "no such bucket": ("GET", "/no-such-bucket/k", [], b"", {}),
    "no such key": ("GET", "/{bucket}/missing", [], b"", {}),
    "bad name": ("PUT", "/Bad_Name", [], b"", {}),
    "anonymous": ("GET", "/{bucket}", [], b"", {"sign": False}),
    "not built": ("GET", "/{bucket}?lifecycle", [], b"", {}),
    "method": ("PATCH", "/{bucket}", [], b"", {}),
    "uri": ("GET", "/{bucket}/%ff", [], b"", {}),
    "xml": ("POST", "/{bucket}?delete", [("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")], b"", {}),
    "digest": ("PUT", "/{bucket}/k", [("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")], b"x", {}),
    "header": ("PUT", "/{bucket}/k", [("x-amz-mfa", "123456 1")], b"x", {}),
    "big digest": ("PUT", "/{bucket}/k", [("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")], b"x" * 200_000, {}),
    "clock": ("GET", "/{bucket}", [], b"", {"at_s": 1e9}),
    "argument": ("GET", "/{bucket}?max-keys=x", [], b"", {}),
    "long key": ("PUT", "/{bucket}/" + "k" * 1025, [], b"x", {}),
    "key": ("GET", "/{bucket}/%3C%26%22%27%3E%0A", [], b"", {}),
    "length": ("PUT", "/{bucket}/k", [], b"", {"length": None}),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_an_error_document_is_whole(raw: Raw, bucket, what):
    method, target, headers, body, how = REFUSALS[what]
    answer = raw(method, target.format(bucket=bucket), headers, body, **how)
    assert 400 <= answer.status < 600 and answer.headers["content-type"] == "application/xml", answer
    assert answer.xml.tag == "Error"
    told = {name: answer.xml.findtext(name) for name in ("Code", "Message", "Resource", "RequestId", "HostId")}
    assert all(told.values()), told
    assert told["RequestId"] == answer.headers["x-amz-request-id"] and re.fullmatch(r"[0-9A-F]{16}", told["RequestId"])
    assert told["HostId"] == answer.headers["x-amz-id-2"]
    assert not re.search(rb"Traceback|\.py\b|sqlite|peewee|/home/|/tmp/", answer.body), answer
    line = raw.server.logged(told["RequestId"])
    assert (line["status"], line["code"], line["method"]) == (answer.status, told["Code"], method)


@pytest.mark.parametrize("what", [name for name in REFUSALS if REFUSALS[name][0] == "GET" and "?" not in REFUSALS[name][1]])
def test_head_gets_the_same_status_without_a_body(raw: Raw, bucket, what):
    _, target, headers, body, how = REFUSALS[what]
    target = target.format(bucket=bucket)
    got, head = raw("GET", target, headers, body, **how), raw("HEAD", target, headers, body, **how)
    assert (head.status, head.body) == (got.status, b"") and head.headers["x-amz-request-id"]


def test_a_success_has_a_request_id_and_a_log_line(raw: Raw, bucket):
    answer = raw("PUT", f"/{bucket}/some%20key", body=b"12345")
    line = raw.server.logged(answer.headers["x-amz-request-id"])
    assert (line["status"], line["operation"], line["bucket"], line["key"], line["bytes_in"]) == (200, "PutObject", bucket, "some key", 5)
    assert line["access_key"] == raw.access_key and line["remote"] == "127.0.0.1" and line["code"] is None
    got = raw("GET", f"/{bucket}/some%20key")
    assert raw.server.logged(got.headers["x-amz-request-id"])["bytes_out"] == 5
    assert got.headers["x-amz-request-id"] != answer.headers["x-amz-request-id"]


def test_no_secret_is_in_the_log(server, raw: Raw, s3, bucket):
    import requests

    for version in ("s3v4", "s3"):
        link = server.client(signature_version=version).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        signature = re.search(r"Signature=([^&]+)", link)[1]
        found = requests.get(link, timeout=10)
        line = server.logged(found.headers["x-amz-request-id"])
        assert signature not in json.dumps(line) and "REDACTED" in line["path"]
    raw("GET", f"/{bucket}/k?X-Amz-Security-Token=very-secret-token")
    assert b"very-secret-token" not in server.log.read_bytes()
    assert server.secret_key.encode() not in server.log.read_bytes()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 300_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=range(10),
)
def test_what_is_not_http_gets_a_clear_error_and_the_server_lives_on(raw: Raw, s3, bucket, request_bytes):
    with socket.create_connection(raw.server.address, 10) as connection:
        try:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = read_answer(connection)
        except (ConnectionError, http.client.BadStatusLine):
            answer = None
    if answer is not None:
        assert 400 <= answer.status < 600 and answer.code, answer
    s3.head_bucket(Bucket=bucket)


def test_many_headers_are_refused_or_served_but_never_crash(raw: Raw, bucket):
    answer = raw("GET", f"/{bucket}", [(f"x-other-{number}", "v") for number in range(2000)])
    assert answer.status in (200, 400, 413, 431), answer


def test_an_absolute_target_is_understood(raw: Raw, bucket):
    headers = raw.signed("GET", f"/{bucket}")
    assert raw.send("GET", f"http://{raw.server.host}/{bucket}", headers).status in (200, 400, 403)


def test_probes_answer_without_a_signature(raw: Raw):
    for path in ("/healthz", "/readyz", "/minio/health/live", "/minio/health/ready", "/health", "/ready"):
        for method in ("GET", "HEAD"):
            answer = raw(method, path, [("Host", "anything.example.com")], sign=False)
            assert answer.status == 200, (path, answer)
