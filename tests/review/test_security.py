"""What a stranger, or somebody who holds no more than a link, could do to the server: each was possible once."""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from waitress.adjustments import Adjustments

from functions.s3 import object_delete
from shared import app, settings
from shared.access_log import redact
from shared.auth import claims, engine
from shared.errors import InvalidArgument
from shared.host.parser import S3Parser
from shared.meta import database, objects, people
from shared.protocol import target
from shared.protocol.metadata import system_headers, user_metadata
from shared.protocol.ranges import parse_range
from shared.registry import load
from tests.engines import postgres_server
from tests.running import RunningServer
from tests.s3.raw import UNSIGNED, Raw, read_answer

SOON_S = 0.5        # what took minutes takes milliseconds; the rest is for a busy machine


@pytest.fixture(scope="module")
def raw(server: RunningServer) -> Raw:
    return Raw(server)


def took(call: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def presigned(
    server: RunningServer, method: str, path: str, extra: dict[str, str], *, key: tuple[str, str] | None = None, ago_s: int = 0,
) -> str:
    """A target whose query carries ``extra`` under its signature, whatever it is."""
    access_key, secret = key or (server.access_key, server.secret_key)
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - ago_s))
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{access_key}/{scope}", "X-Amz-Date": now, "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host", **extra,
    }
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
    canonical = "\n".join([method, path, pairs, f"host:{server.host}", "", "host", UNSIGNED])
    signing = b"AWS4" + secret.encode()
    for word in scope.split("/"):
        signing = hmac.digest(signing, word.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return f"{path}?{pairs}&X-Amz-Signature={hmac.digest(signing, text.encode(), 'sha256').hex()}"


# ---- time and memory --------------------------------------------------------------------------------------------------------------


def test_blanks_in_a_range_cost_nothing():
    blanks = " " * 15_000
    assert took(parse_range, f"bytes={blanks}-{blanks}x", 10) < SOON_S
    assert took(parse_range, f"{blanks}bytes{blanks}=x", 10) < SOON_S
    assert parse_range(" Bytes = 1 - 2 ", 10) == (1, 2)
    assert parse_range("bytes=-3", 10) == (7, 9)


@pytest.mark.parametrize("word", ["secret", "password", "authorization", "signature", "token", "customer-key"])
def test_hiding_secrets_in_a_hostile_query_costs_nothing(word):
    count = 30_000 // len(word)
    for query in (word * count, word * count + "=x", f"{word}&" * count, f"{word}=" * count):
        assert took(redact, "/?" + query) < SOON_S
    assert redact("/b/k?my-secret-x=1&a=2&X-Amz-Signature=3&secret") == "/b/k?my-secret-x=REDACTED&a=2&X-Amz-Signature=REDACTED&secret"


def test_what_strangers_send_is_not_kept():
    names = ";".join(f"{number:x}" for number in range(6000))
    for _ in range(2):
        assert claims._signed(f"host;{names}") is not None
        assert claims._scope("a" * 9000 + "/20200101/us-east-1/s3/aws4_request") is None
        assert claims.stamp_seconds("2" * 30_000) is None
    for cache, longest in ((claims._read_signed, 256), (claims._read_scope, 512), (claims._read_stamp, 16)):
        before = cache.cache_info().currsize
        for function in (claims._signed, claims._scope, claims.stamp_seconds):
            function("x" * (longest + 1))
        assert cache.cache_info().currsize <= before + 2
        assert cache.cache_info().currsize <= cache.cache_info().maxsize <= 4096


def test_an_expiry_before_the_beginning_of_time_is_refused_and_no_bug(raw):
    for date, expires in (("20200101T000000Z", "-999999999999"), ("00010101T000000Z", "-1"), ("00010101T000000Z", "0")):
        line = (
            f"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/{date[:8]}/us-east-1/s3/aws4_request&X-Amz-Date={date}"
            f"&X-Amz-SignedHeaders=host&X-Amz-Signature=aa&X-Amz-Expires={expires}"
        )
        answer = raw("GET", line, sign=False)
        assert (answer.status, answer.code) == (403, "AccessDenied"), answer


def test_a_host_that_is_no_name_is_not_remembered():
    before = target._bucket_of_host.cache_info().currsize
    assert target.bucket_of_host("b." * 200 + "s3.example.com", ["s3.example.com"]) is None
    assert target._bucket_of_host.cache_info().currsize == before
    assert target.bucket_of_host("b.s3.example.com:8080", ["s3.example.com"]) == "b"


# ---- one connection ---------------------------------------------------------------------------------------------------------------


def test_a_flood_on_one_connection_is_answered_in_order(raw, server, bucket):
    """The channel takes a few requests apart at a time; what it holds back meanwhile must neither get lost nor change places."""
    body = b"x" * 40_000        # goes through the gate, in the middle of the flood
    put = "\r\n".join(f"{name}: {value}" for name, value in raw.signed("PUT", f"/{bucket}/k", sha256=hashlib.sha256(body).hexdigest()))
    many = 600
    sent = [f"GET /{bucket}/n{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for number in range(many)]
    sent.insert(300, f"PUT /{bucket}/k HTTP/1.1\r\n{put}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    with socket.create_connection(server.address, 60) as connection:
        connection.sendall(b"".join(sent))
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    statuses = [int(one[:3]) for one in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [403] * 300 + [200] + [403] * 300
    resources = [one.partition(b"</Resource>")[0].decode() for one in received.split(b"<Resource>")[1:]]
    assert resources == [f"/{bucket}/n{number}" for number in range(many)]
    assert server.client().get_object(Bucket=bucket, Key="k")["Body"].read() == body


# ---- headers that come in a query -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, value", [
    ("X-Amz-Meta-A", "x\r\nSet-Cookie: a=b"), ("X-Amz-Meta-A", "x\0"), ("X-Amz-Meta-A\r\nEvil: 1", "v"), ("X-Amz-Meta-A: b", "v"),
    ("X-Amz-Website-Redirect-Location", "/\r\nEvil: 1"),
])
def test_what_is_no_header_is_refused_when_it_comes_in_a_query(raw, server, bucket, name, value):
    """It was stored, and the object could never be read again."""
    link = presigned(server, "PUT", f"/{bucket}/k", {name: value})
    answer = raw.send("PUT", link, [("Host", server.host), ("Content-Length", "1")], b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer
    assert raw("GET", f"/{bucket}/k").code == "NoSuchKey"


def test_line_ends_are_refused_whatever_way_they_came():
    with pytest.raises(InvalidArgument):
        user_metadata({"x-amz-meta-a": "x\ny"})
    with pytest.raises(InvalidArgument):
        system_headers({"ContentType": "text/plain\r\nEvil: 1"})
    assert user_metadata({"x-amz-meta-under_score": "tab\tand \xc3\xa9"}) == {"under_score": "tab\tand \xc3\xa9"}


# ---- logs -------------------------------------------------------------------------------------------------------------------------


def test_the_name_of_a_request_in_the_log_has_no_signature():
    """The host's own warnings named the whole target, with the signature that lets anybody repeat the request."""
    parser = S3Parser(Adjustments())
    parser.received(b"GET /b/k?X-Amz-Signature=feed HTTP/1.1\r\nHost: a\r\n\r\n")
    assert parser.path == "/b/k"
    assert parser.request is not None
    assert parser.request.target.endswith("feed")


# ---- the console's listener -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host, status", [
    ("evil.example.com", 403), ("127.0.0.1.evil.example.com:8081", 403), ("", 403), ("localhost:8081", 200), ("127.0.0.1", 200),
    ("[::1]:8081", 200), ("LocalHost", 200),
])
def test_metrics_without_a_token_are_for_names_of_this_machine(server, host, status):
    parts = urlsplit(server.console_url)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert read_answer(connection).status == status


# ---- permissions ------------------------------------------------------------------------------------------------------------------


def wanted(name: str, query: dict[str, str]) -> set[tuple[str, str]]:
    function = load()[f"s3.{name}"]
    ctx: Any = SimpleNamespace(target=SimpleNamespace(bucket="b", key=b"k"), key=b"k", query=query)
    assert callable(function.allow)
    return set(function.allow(ctx))


def test_attributes_of_a_version_need_the_permissions_of_the_version():
    assert wanted("GetObjectAttributes", {}) == {("s3:GetObject", "b/k"), ("s3:GetObjectAttributes", "b/k")}
    assert wanted("GetObjectAttributes", {"versionId": "v"}) == {("s3:GetObjectVersion", "b/k"), ("s3:GetObjectVersionAttributes", "b/k")}


def test_each_key_of_a_bulk_delete_is_asked_about(monkeypatch):
    asked: list[tuple[str, str]] = []

    def decide(caller: object, pairs: Any) -> engine.Decision:
        asked.extend(pairs)
        return engine.Decision(asked[-1] == ("s3:DeleteObject", "b/mine"), "")

    deleted: list[bytes] = []

    def delete_many(bucket_id: int, wishes: list[objects.Deletion], owner_id: int) -> list[objects.Deleted]:
        deleted.extend(wish.key for wish in wishes)
        return [objects.Deleted(None, False) for _ in wishes]

    monkeypatch.setattr("shared.permissions.decide", decide)
    monkeypatch.setattr(objects, "delete_many", delete_many)
    entries = [{"Key": "yours"}, {"Key": "mine"}, {"Key": "mine", "VersionId": "v"}]
    bucket = SimpleNamespace(id=1, name="b", object_lock=None)
    ctx: Any = SimpleNamespace(params={"Delete": {"Objects": entries}}, bucket=bucket, caller=None, owner_id=1)
    ctx.known, ctx.auth, ctx.reason = object(), None, None
    answer = object_delete.delete_objects(ctx)
    assert asked == [("s3:DeleteObject", "b/yours"), ("s3:DeleteObject", "b/mine"), ("s3:DeleteObjectVersion", "b/mine")]
    assert deleted == [b"mine"]
    assert [one["Key"] for one in answer["Deleted"]] == ["mine"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("yours", "AccessDenied"), ("mine", "AccessDenied")]


# ---- what one database takes and the other does not --------------------------------------------------------------------------------


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[None]:
    with postgres_server() as postgres:
        app.prepare(settings.load({"data_dir": str(tmp_path), "database_url": postgres.fresh_database()}, {}))
        try:
            with database.session():
                yield
        finally:
            database.dispose()


def test_nul_in_names_is_not_found_and_no_bug(postgresql):
    """PostgreSQL's text holds no NUL, and a stranger may send one as the access key of a link."""
    assert people.access_key("a\0b") is None
    assert objects.find(1, b"k", "\0") is None
