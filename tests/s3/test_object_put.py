"""PutObject: what is stored is what was sent, or nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import socket

import pytest

from tests.s3.asking import MIB, at_once, code_of, etag, read, refused
from tests.s3.raw import EMPTY_SHA256, UNSIGNED, Raw


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65536, 262143, 262145, 3 * MIB + 1])
def test_any_size_round_trips_with_its_md5_as_etag(s3, bucket, size):
    data = os.urandom(size)
    assert s3.put_object(Bucket=bucket, Key="k", Body=data)["ETag"] == etag(data)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ETag"], got["ContentLength"]) == (data, etag(data), size)
    assert got["AcceptRanges"] == "bytes" and got["ContentType"] == "binary/octet-stream"


def test_a_put_replaces_the_whole_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1" * 100_000, ContentType="text/plain", Metadata={"a": "1"}, CacheControl="no-store")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"2" and got["Metadata"] == {} and "CacheControl" not in got
    assert got["ContentType"] == "binary/octet-stream"


SYSTEM = {
    "ContentType": "text/plain; charset=utf-8",
    "CacheControl": "max-age=1, no-transform",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "WebsiteRedirectLocation": "/other",
}


@pytest.mark.parametrize("read_with", ["get_object", "head_object"])
def test_system_metadata_round_trips(s3, bucket, read_with):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **SYSTEM)
    got = getattr(s3, read_with)(Bucket=bucket, Key="k")
    assert {name: got[name] for name in SYSTEM} == SYSTEM


def test_expires_is_returned_as_it_was_written(raw: Raw, bucket):
    for value in ("Thu, 01 Dec 2033 16:00:00 GMT", "0", "tomorrow"):
        assert raw("PUT", f"/{bucket}/k", [("Expires", value)], b"x").status == 200
        assert raw("GET", f"/{bucket}/k").headers["expires"] == value


def test_aws_chunked_is_no_content_encoding_of_the_object(raw: Raw, bucket):
    for sent, kept in (("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"), ("gzip", "gzip")):
        assert raw("PUT", f"/{bucket}/k", [("Content-Encoding", sent)], b"x").status == 200
        assert raw("HEAD", f"/{bucket}/k").headers.get("content-encoding") == kept, sent


METADATA = [
    ("plain", "value"),
    ("under_score", "kept_too"),
    ("dotted.name", "v"),
    ("blank", "a b  c"),
    ("tilde~name", "v"),
    ("empty", ""),
    ("latin", "caf\xe9"),
    ("utf8", "\N{SNOWMAN} caf\u00e9".encode().decode("latin-1")),
    ("long", "x" * 1500),
]


@pytest.mark.parametrize(("name", "value"), METADATA)
def test_user_metadata_round_trips_byte_for_byte(raw: Raw, bucket, name, value):
    put = raw("PUT", f"/{bucket}/k", [("x-amz-meta-" + name, value)], b"x")
    assert put.status == 200, put
    for method in ("GET", "HEAD"):
        assert raw(method, f"/{bucket}/k").headers["x-amz-meta-" + name] == value


def test_metadata_names_are_lower_case_and_keep_underscores(raw: Raw, bucket):
    raw("PUT", f"/{bucket}/k", [("X-Amz-Meta-MiXed_Case", "Value")], b"x")
    names = [name for name, _ in raw("GET", f"/{bucket}/k").raw_headers]
    assert "x-amz-meta-mixed_case" in names


def test_repeated_metadata_headers_are_joined(raw: Raw, bucket):
    raw("PUT", f"/{bucket}/k", [("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")], b"x")
    assert raw("HEAD", f"/{bucket}/k").headers["x-amz-meta-a"].replace(" ", "") == "1,2"


@pytest.mark.parametrize(("size", "status"), [(2048, 200), (2049, 400)])
def test_user_metadata_holds_2_kib(s3, bucket, size, status):
    metadata = {"a": "x" * (size // 2 - 1), "b": "y" * (size - size // 2 - 1)}
    if status == 200:
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata=metadata)
        assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata
    else:
        with refused("MetadataTooLarge", status=400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata=metadata)


# ---- digests --------------------------------------------------------------------------------------------------------------------


def test_content_md5_is_verified(raw: Raw, bucket):
    good = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    assert raw("PUT", f"/{bucket}/k", [("Content-MD5", good)], b"data").status == 200
    wrong = raw("PUT", f"/{bucket}/k", [("Content-MD5", good)], b"date")
    assert (wrong.status, wrong.code) == (400, "BadDigest"), wrong
    assert raw("GET", f"/{bucket}/k").body == b"data"


@pytest.mark.parametrize("value", ["", "x", "AAAA", "not base64 at all", "=" * 24, "A" * 200])
def test_content_md5_that_is_none_is_refused(raw: Raw, bucket, value):
    answer = raw("PUT", f"/{bucket}/k", [("Content-MD5", value)], b"data")
    assert (answer.status, answer.code) == (400, "InvalidDigest"), answer
    assert raw("GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_body_that_is_not_the_signed_one_is_refused(raw: Raw, bucket, size):
    data = os.urandom(size)
    answer = raw("PUT", f"/{bucket}/k", body=data, sha256=hashlib.sha256(b"other").hexdigest())
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch"), answer
    assert answer.xml.findtext("S3ComputedContentSHA256") == hashlib.sha256(data).hexdigest()
    assert raw("GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("value", ["", "abc", "UNSIGNED", EMPTY_SHA256[:-1], EMPTY_SHA256 + "0", "STREAMING", "g" * 64])
def test_a_payload_hash_that_is_none_is_refused(raw: Raw, bucket, value):
    answer = raw("PUT", f"/{bucket}/k", body=b"x", sha256=value)
    assert answer.status in (400, 501) and answer.code in (
        "InvalidArgument",
        "InvalidRequest",
        "NotImplemented",
        "XAmzContentSHA256Mismatch",
    ), answer


def test_an_unknown_streaming_form_is_not_implemented(raw: Raw, bucket):
    answer = raw("PUT", f"/{bucket}/k", [("x-amz-decoded-content-length", "1")], b"x", sha256="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer


def test_unsigned_payload_is_accepted(raw: Raw, bucket):
    assert raw("PUT", f"/{bucket}/k", body=b"x" * 20_000, sha256=UNSIGNED).status == 200


# ---- lengths --------------------------------------------------------------------------------------------------------------------


def test_a_put_without_any_length_is_refused(raw: Raw, bucket):
    answer = raw("PUT", f"/{bucket}/k", length=None)
    assert (answer.status, answer.code) == (411, "MissingContentLength"), answer


@pytest.mark.parametrize("data", [b"", b"x", b"y" * 100_000], ids=["empty", "small", "large"])
def test_transfer_encoding_chunked_needs_no_length(raw: Raw, bucket, data):
    headers = [*raw.signed("PUT", f"/{bucket}/k", sha256=UNSIGNED), ("Transfer-Encoding", "chunked")]
    frames = [b"%x\r\n%s\r\n" % (len(data[at : at + 5000]), data[at : at + 5000]) for at in range(0, len(data), 5000)]
    answer = raw.send("PUT", f"/{bucket}/k", headers, b"".join(frames) + b"0\r\n\r\n")
    assert answer.status == 200, answer
    assert raw("GET", f"/{bucket}/k").body == data


def test_transfer_encoding_chunked_that_breaks_off_stores_nothing(raw: Raw, bucket):
    headers = [*raw.signed("PUT", f"/{bucket}/k", sha256=UNSIGNED), ("Transfer-Encoding", "chunked")]
    for body in (b"5\r\nabc", b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n"):
        with socket.create_connection(raw.server.address, 10) as connection:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers)
            connection.sendall(f"PUT /{bucket}/k HTTP/1.1\r\n{head}\r\n".encode() + body)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        assert raw("HEAD", f"/{bucket}/k").status == 404, body


@pytest.mark.parametrize("length", ["-1", "x", "1x", "0x10", "1,2", "9" * 40, "+1"])
def test_a_length_that_is_none_is_refused(raw: Raw, bucket, length):
    headers = [*raw.signed("PUT", f"/{bucket}/k", sha256=UNSIGNED), ("Content-Length", length)]
    answer = raw.send("PUT", f"/{bucket}/k", headers, b"x")
    assert answer.status in (400, 413), answer
    assert raw("HEAD", f"/{bucket}/k").status == 404


def test_more_than_5_gib_in_one_put_is_refused_before_the_body(raw: Raw, bucket):
    headers = [*raw.signed("PUT", f"/{bucket}/k", sha256=UNSIGNED), ("Content-Length", str((5 << 30) + 1)), ("Expect", "100-continue")]
    answer = raw.send("PUT", f"/{bucket}/k", headers)
    assert (answer.status, answer.code) == (400, "EntityTooLarge"), answer


def test_an_upload_that_breaks_off_stores_nothing(raw: Raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    headers = [*raw.signed("PUT", f"/{bucket}/k", sha256=UNSIGNED), ("Content-Length", "500000")]
    with socket.create_connection(raw.server.address) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        connection.sendall(f"PUT /{bucket}/k HTTP/1.1\r\n{head}\r\n".encode() + b"x" * 300_000)
    assert read(s3, bucket, "k") == b"before"


# ---- conditions -----------------------------------------------------------------------------------------------------------------


def test_if_none_match_star_writes_only_what_is_not_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", status=412) as told:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert told.error.get("Condition") == "If-None-Match"
    assert read(s3, bucket, "k") == b"1"


def test_a_delete_marker_counts_as_absent(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    s3.delete_object(Bucket=versioned, Key="k")
    s3.put_object(Bucket=versioned, Key="k", Body=b"2", IfNoneMatch="*")
    assert read(s3, versioned, "k") == b"2"


def test_if_match_writes_only_over_that_etag(s3, bucket):
    with refused("NoSuchKey", status=404):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch=etag(b"0"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with refused("PreconditionFailed", status=412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag(b"0"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag(b"1"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag(b"2").strip('"'))
    assert read(s3, bucket, "k") == b"3"


def test_if_match_looks_at_the_current_version(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    s3.put_object(Bucket=versioned, Key="k", Body=b"2")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=versioned, Key="k", Body=b"3", IfMatch=etag(b"1"))
    s3.delete_object(Bucket=versioned, Key="k")
    with refused("NoSuchKey", status=404):
        s3.put_object(Bucket=versioned, Key="k", Body=b"3", IfMatch=etag(b"2"))


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
@pytest.mark.parametrize("size", [10, 40_000])
def test_of_sixteen_creators_exactly_one_wins(s3, new_bucket, versioning, size):
    name = new_bucket(versioning)
    bodies = [bytes([number]) * size for number in range(16)]
    results = at_once(16, lambda number: s3.put_object(Bucket=name, Key="k", Body=bodies[number], IfNoneMatch="*"))
    winners = [number for number, one in enumerate(results) if not code_of(one)]
    assert len(winners) == 1 and {code_of(one) for one in results} <= {"", "PreconditionFailed", "ConditionalRequestConflict"}
    assert read(s3, name, "k") == bodies[winners[0]]


def test_of_sixteen_replacers_exactly_one_wins(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"start")
    results = at_once(16, lambda number: s3.put_object(Bucket=bucket, Key="k", Body=bytes([number]), IfMatch=etag(b"start")))
    winners = [number for number, one in enumerate(results) if not code_of(one)]
    assert len(winners) == 1 and {code_of(one) for one in results} <= {"", "PreconditionFailed", "ConditionalRequestConflict"}
    assert read(s3, bucket, "k") == bytes(winners)


def test_sixteen_increments_by_compare_and_swap_lose_none(s3, bucket):
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")

    def add(_):
        while True:
            got = s3.get_object(Bucket=bucket, Key="n")
            try:
                s3.put_object(Bucket=bucket, Key="n", Body=str(int(got["Body"].read()) + 1).encode(), IfMatch=got["ETag"])
                return
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")

    at_once(16, add)
    assert read(s3, bucket, "n") == b"16"


# ---- replies --------------------------------------------------------------------------------------------------------------------


def test_100_continue_is_sent_only_when_the_upload_may_come(raw: Raw, bucket):
    data = b"x" * 100
    for secret, expected in ((raw.secret_key, b"HTTP/1.1 100"), ("wrong-secret", b"HTTP/1.1 403")):
        headers = Raw(raw.server, secret_key=secret).signed("PUT", f"/{bucket}/k", sha256=UNSIGNED)
        head = "".join(f"{name}: {value}\r\n" for name, value in [*headers, ("Content-Length", "100"), ("Expect", "100-continue")])
        with socket.create_connection(raw.server.address, 10) as connection:
            connection.sendall(f"PUT /{bucket}/k HTTP/1.1\r\n{head}\r\n".encode())
            assert connection.recv(12) == expected
            if expected.endswith(b"100"):
                connection.sendall(data)
                seen = b""
                while b" 200 OK" not in seen:
                    more = connection.recv(65536)
                    assert more, seen
                    seen += more
