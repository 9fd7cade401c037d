"""Checksums of single uploads: every algorithm, as header and as trailer; the edge cases that broke other servers."""

from __future__ import annotations

import base64
import os
import time

import pytest
import requests

from shared.auth.presign import Signer, presigned
from tests.s3.asking import DIGESTS, checksum, read
from tests.s3.raw import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER, Raw

SMALL, LARGE = b"hello checksums", os.urandom(200_000)
BODIES = pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
ALGORITHMS = pytest.mark.parametrize("algorithm", sorted(DIGESTS))


def header(algorithm, data):
    return f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, data)


def stored(raw, bucket):
    return raw("HEAD", f"/{bucket}/k", [("x-amz-checksum-mode", "ENABLED")]).headers


def chunks(data):
    return [data[at : at + 65536] for at in range(0, len(data), 65536)]


@ALGORITHMS
@BODIES
def test_as_header(raw: Raw, bucket, algorithm, data):
    name, value = header(algorithm, data)
    put = raw("PUT", f"/{bucket}/k", [(name, value)], data)
    assert (put.status, put.headers.get(name), put.headers.get("x-amz-checksum-type")) == (200, value, "FULL_OBJECT"), put
    assert stored(raw, bucket)[name] == value and stored(raw, bucket)["x-amz-checksum-type"] == "FULL_OBJECT"


@ALGORITHMS
@pytest.mark.parametrize("form", [SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER])
@BODIES
def test_as_trailer(raw: Raw, bucket, algorithm, form, data):
    name, value = header(algorithm, data)
    put = raw.put_chunks(f"/{bucket}/k", chunks(data), form=form, trailers=[(name, value)])
    assert (put.status, put.headers.get(name)) == (200, value), put
    got = raw("GET", f"/{bucket}/k", [("x-amz-checksum-mode", "ENABLED")])
    assert got.body == data and got.headers[name] == value and "content-encoding" not in got.headers


@ALGORITHMS
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_wrong_one_is_BadDigest_and_nothing_is_stored(raw: Raw, bucket, algorithm, data):
    name, value = header(algorithm, b"other")
    answers = [
        raw("PUT", f"/{bucket}/k", [(name, value)], data),
        raw.put_chunks(f"/{bucket}/k", chunks(data), form=SIGNED_CHUNKS_TRAILER, trailers=[(name, value)]),
        raw.put_chunks(f"/{bucket}/k", chunks(data), form=UNSIGNED_CHUNKS_TRAILER, trailers=[(name, value)]),
    ]
    assert [(one.status, one.code) for one in answers] == [(400, "BadDigest")] * 3, answers
    assert raw("HEAD", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("value", ["", "x", "AAAA", "====", "not base64!", base64.b64encode(b"12345").decode(), "A" * 500, "AAAAAA"])
def test_what_is_no_base64_of_the_right_length_is_InvalidRequest(raw: Raw, bucket, value):
    answers = [
        raw("PUT", f"/{bucket}/k", [("x-amz-checksum-crc32", value)], SMALL),
        raw.put_chunks(f"/{bucket}/k", [SMALL], form=UNSIGNED_CHUNKS_TRAILER, trailers=[("x-amz-checksum-crc32", value)]),
        raw.put_chunks(f"/{bucket}/k", [SMALL], form=SIGNED_CHUNKS_TRAILER, trailers=[("x-amz-checksum-crc32", value)]),
    ]
    assert [(one.status, one.code) for one in answers] == [(400, "InvalidRequest")] * 3, [str(one) for one in answers]
    assert raw("HEAD", f"/{bucket}/k").status == 404


def test_without_any_a_crc64nvme_is_computed(raw: Raw, bucket):
    for put in (
        raw("PUT", f"/{bucket}/k", body=LARGE),
        raw.put_chunks(f"/{bucket}/k", chunks(LARGE), form=SIGNED_CHUNKS),
        raw.put_chunks(f"/{bucket}/k", chunks(LARGE), form=UNSIGNED_CHUNKS_TRAILER),
    ):
        assert put.status == 200, put
        assert stored(raw, bucket)["x-amz-checksum-crc64nvme"] == checksum("CRC64NVME", LARGE)


def test_two_checksums_are_refused(raw: Raw, bucket):
    answer = raw("PUT", f"/{bucket}/k", [header("CRC32", SMALL), header("SHA1", SMALL)], SMALL)
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


def test_header_and_trailer_together_are_refused(raw: Raw, bucket):
    for form in (SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER):
        answer = raw.put_chunks(f"/{bucket}/k", [SMALL], form=form, headers=[header("SHA1", SMALL)], trailers=[header("CRC32", SMALL)])
        assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


@pytest.mark.parametrize("form", [SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER])
def test_a_declared_trailer_that_does_not_come_is_malformed(raw: Raw, bucket, form):
    answer = raw.put_chunks(f"/{bucket}/k", [SMALL], form=form, declared="x-amz-checksum-crc32")
    assert answer.status == 400 and answer.code in ("MalformedTrailerError",), answer
    assert raw("HEAD", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("form", [SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER])
def test_an_undeclared_or_other_trailer_is_malformed(raw: Raw, bucket, form):
    for declared in ("", "x-amz-checksum-sha1"):
        answer = raw.put_chunks(f"/{bucket}/k", [SMALL], form=form, trailers=[header("CRC32", SMALL)], declared=declared)
        assert (answer.status, answer.code) == (400, "MalformedTrailerError"), answer


@pytest.mark.parametrize("declared", ["x-amz-checksum-crc99", "x-other", "x-amz-checksum-crc32,x-amz-checksum-sha1", "x-amz-meta-a"])
def test_a_trailer_that_is_no_checksum_is_refused(raw: Raw, bucket, declared):
    answer = raw.put_chunks(
        f"/{bucket}/k", [SMALL], form=UNSIGNED_CHUNKS_TRAILER, trailers=[(name, "AAAAAA==") for name in declared.split(",")]
    )
    assert answer.status == 400 and answer.code in ("InvalidRequest", "MalformedTrailerError"), answer


def test_the_trailers_name_is_case_insensitive(raw: Raw, bucket):
    put = raw.put_chunks(
        f"/{bucket}/k", [SMALL], form=UNSIGNED_CHUNKS_TRAILER, trailers=[("X-Amz-Checksum-CRC32", checksum("CRC32", SMALL))]
    )
    assert put.status == 200 and put.headers["x-amz-checksum-crc32"] == checksum("CRC32", SMALL), put


def test_an_unknown_algorithm_is_named(raw: Raw, bucket):
    for headers in ([("x-amz-checksum-crc99", "AAAA")], [("x-amz-sdk-checksum-algorithm", "CRC99")]):
        answer = raw("PUT", f"/{bucket}/k", headers, SMALL)
        assert (answer.status, answer.code) == (400, "InvalidRequest") and b"crc99" in answer.body.lower(), answer


def test_the_sdk_algorithm_must_be_that_of_the_checksum(raw: Raw, bucket):
    right = raw("PUT", f"/{bucket}/k", [("x-amz-sdk-checksum-algorithm", "CRC32"), header("CRC32", SMALL)], SMALL)
    other = raw("PUT", f"/{bucket}/k", [("x-amz-sdk-checksum-algorithm", "SHA1"), header("CRC32", SMALL)], SMALL)
    alone = raw("PUT", f"/{bucket}/k", [("x-amz-sdk-checksum-algorithm", "SHA1")], SMALL)
    assert (right.status, other.status, alone.status) == (200, 400, 400)
    assert other.code == alone.code == "InvalidRequest"


def test_a_checksum_and_content_md5_are_both_verified(raw: Raw, bucket):
    good = base64.b64encode(DIGESTS["MD5"](SMALL)).decode()
    assert raw("PUT", f"/{bucket}/k", [("Content-MD5", good), header("SHA256", SMALL)], SMALL).status == 200
    assert raw("PUT", f"/{bucket}/k", [("Content-MD5", good), header("SHA256", b"")], SMALL).code == "BadDigest"
    bad = base64.b64encode(DIGESTS["MD5"](b"")).decode()
    assert raw("PUT", f"/{bucket}/k", [("Content-MD5", bad), header("SHA256", SMALL)], SMALL).code == "BadDigest"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_boto3_sends_and_verifies_them(s3, bucket, algorithm):
    put = s3.put_object(Bucket=bucket, Key="k", Body=LARGE, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == checksum(algorithm, LARGE)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == LARGE and got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert read(s3, bucket, "k", Range="bytes=5-9") == LARGE[5:10]


def test_a_checksum_in_a_presigned_url_counts_for_nothing_and_one_in_a_header_does(server, s3, bucket):
    """What the SDK for JavaScript signs is the checksum of no bytes."""
    signer = Signer(server.access_key, server.secret_key, "us-east-1")
    query = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32"}
    link = presigned(signer, "PUT", server.url, f"/{bucket}/k", query, now_s=time.time(), expires_s=60)
    assert requests.put(link, data=b"some bytes", timeout=10).status_code == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"some bytes"
    plain = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k", "ChecksumCRC32": "AAAAAA=="})
    assert requests.put(plain, data=b"other bytes", headers={"x-amz-checksum-crc32": "AAAAAA=="}, timeout=10).status_code == 400
