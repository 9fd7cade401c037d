"""GetObject and HeadObject: ranges, parts, conditions, overrides."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.s3.asking import PART, etag, read, refused, upload
from tests.s3.raw import Raw

SMALL, LARGE = bytes(range(256)) * 4, os.urandom(300_000)


@pytest.fixture(params=["inline", "blob"])
def stored(request, s3, bucket):
    """(bucket, bytes) of an object kept in the database, and of one kept on disk."""
    data = SMALL if request.param == "inline" else LARGE
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    return bucket, data


def test_a_missing_key_is_NoSuchKey(s3, bucket):
    with refused("NoSuchKey", status=404) as told:
        s3.get_object(Bucket=bucket, Key="missing")
    assert told.error["Key"] == "missing"
    with refused("404", status=404):
        s3.head_object(Bucket=bucket, Key="missing")


def test_head_says_what_get_would(raw: Raw, stored):
    bucket, data = stored
    got, head = raw("GET", f"/{bucket}/k"), raw("HEAD", f"/{bucket}/k")
    changing = {"date", "x-amz-request-id", "connection"}
    assert {k: v for k, v in got.headers.items() if k not in changing} == {k: v for k, v in head.headers.items() if k not in changing}
    assert head.body == b"" and head.headers["content-length"] == str(len(data))


@pytest.mark.parametrize("spec", ["0-0", "0-9", "1-", "5-5", "-1", "-5", "-9999999", "0-99999999999", "100-199", "000-9"])
def test_a_range_is_sent_as_206(raw: Raw, stored, spec):
    bucket, data = stored
    first, _, last = spec.partition("-")
    low = int(first) if first else max(0, len(data) - int(last))
    high = min(int(last), len(data) - 1) if first and last else len(data) - 1
    for method in ("GET", "HEAD"):
        answer = raw(method, f"/{bucket}/k", [("Range", f"bytes={spec}")])
        assert answer.status == 206, answer
        assert answer.headers["content-range"] == f"bytes {low}-{high}/{len(data)}"
        assert answer.headers["content-length"] == str(high + 1 - low)
        if method == "GET":
            assert answer.body == data[low : high + 1]


@pytest.mark.parametrize(
    "spec", ["bytes=5-2", "bytes=", "bytes=x-y", "bytes=0-1,4-5", "items=0-1", "0-1", "bytes=--1", "bytes 0-1", "bytes=-"]
)
def test_what_is_no_single_range_is_ignored(raw: Raw, stored, spec):
    bucket, data = stored
    answer = raw("GET", f"/{bucket}/k", [("Range", spec)])
    assert (answer.status, answer.body) == (200, data), spec


@pytest.mark.parametrize("spec", ["{size}-", "{size}-{size}", "9999999999999999999-", "-0"])
def test_a_range_behind_the_end_is_416(raw: Raw, stored, spec):
    bucket, data = stored
    answer = raw("GET", f"/{bucket}/k", [("Range", "bytes=" + spec.format(size=len(data)))])
    assert (answer.status, answer.code) == (416, "InvalidRange"), answer
    assert answer.xml.findtext("ActualObjectSize") == str(len(data))
    head = raw("HEAD", f"/{bucket}/k", [("Range", "bytes=" + spec.format(size=len(data)))])
    assert (head.status, head.body) == (416, b"")


def test_any_range_of_an_empty_object_is_416_but_no_range_is_fine(raw: Raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert raw("GET", f"/{bucket}/k", [("Range", "bytes=0-")]).status == 416
    assert (raw("GET", f"/{bucket}/k").status, raw("GET", f"/{bucket}/k").body) == (200, b"")


# ---- parts ----------------------------------------------------------------------------------------------------------------------


def test_a_part_is_sent_by_its_number(s3, bucket):
    parts = [os.urandom(PART), os.urandom(PART), os.urandom(1000)]
    upload(s3, bucket, "k", *parts)
    for number, part in enumerate(parts, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == part and got["PartsCount"] == 3
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(part), 3)
    with refused("InvalidPartNumber", "InvalidPart", status=416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)
    across = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={PART - 3}-{2 * PART + 4}")["Body"].read()
    assert across == b"".join(parts)[PART - 3 : 2 * PART + 5]


def test_a_plain_object_is_its_own_first_part(s3, stored):
    bucket, data = stored
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert got["Body"].read() == data and "PartsCount" not in got
    with refused("InvalidPartNumber", "InvalidPart", status=416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=2)


@pytest.mark.parametrize("number", ["0", "-1", "10001", "x", "", "1e3", "9" * 25])
def test_a_part_number_that_is_none_is_refused(raw: Raw, s3, bucket, number):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw("GET", f"/{bucket}/k?partNumber={number}")
    assert answer.status in (400, 416) and answer.code in ("InvalidArgument", "InvalidPartNumber"), answer


def test_range_and_part_number_exclude_each_other(raw: Raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw("GET", f"/{bucket}/k?partNumber=1", [("Range", "bytes=0-0")])
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


# ---- conditions -----------------------------------------------------------------------------------------------------------------

PAST, FUTURE = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
GOOD, BAD = etag(SMALL), etag(b"other")


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"IfMatch": GOOD}, 200),
        ({"IfMatch": GOOD.strip('"')}, 200),
        ({"IfMatch": "*"}, 200),
        ({"IfMatch": BAD}, 412),
        ({"IfMatch": f"{BAD}, {GOOD}"}, 200),
        ({"IfNoneMatch": GOOD}, 304),
        ({"IfNoneMatch": f"W/{GOOD}"}, 304),
        ({"IfNoneMatch": BAD}, 200),
        ({"IfNoneMatch": "*"}, 304),
        ({"IfModifiedSince": PAST}, 200),
        ({"IfModifiedSince": FUTURE - timedelta(days=1)}, 304),
        ({"IfUnmodifiedSince": PAST}, 412),
        ({"IfUnmodifiedSince": FUTURE}, 200),
        ({"IfMatch": GOOD, "IfUnmodifiedSince": PAST}, 200),  # AWS: the first decides
        ({"IfNoneMatch": GOOD, "IfModifiedSince": PAST}, 304),
        ({"IfNoneMatch": BAD, "IfModifiedSince": FUTURE - timedelta(days=1)}, 200),
        ({"IfMatch": GOOD, "IfNoneMatch": GOOD}, 304),
    ],
)
def test_conditions(s3, bucket, conditions, status):
    s3.put_object(Bucket=bucket, Key="k", Body=SMALL)
    if any(value == FUTURE - timedelta(days=1) for value in conditions.values()):
        conditions = conditions | {"IfModifiedSince": datetime.now(UTC)}  # a future date would be ignored
    for read_with in (s3.get_object, s3.head_object):
        if status == 200:
            assert read_with(Bucket=bucket, Key="k", **conditions)["ETag"] == GOOD
        else:
            with refused("PreconditionFailed", "NotModified", str(status), status=status):
                read_with(Bucket=bucket, Key="k", **conditions)


def test_not_modified_has_no_body_keeps_the_connection_and_names_the_etag(raw: Raw, s3, bucket):
    import requests

    s3.put_object(Bucket=bucket, Key="k", Body=SMALL)
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(link, headers={"If-None-Match": GOOD})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", GOOD)
        assert session.get(link).content == SMALL


@pytest.mark.parametrize("value", ["", "yesterday", "Thu, 99 Foo 2020 00:00:00 GMT", "0"])
def test_a_date_that_is_none_is_ignored(raw: Raw, s3, bucket, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        assert raw("GET", f"/{bucket}/k", [(name, value)]).status == 200


# ---- overrides ------------------------------------------------------------------------------------------------------------------

OVERRIDES = {
    "ResponseCacheControl": ("CacheControl", "no-cache"),
    "ResponseContentDisposition": ("ContentDisposition", 'attachment; filename="ü.txt"'),
    "ResponseContentEncoding": ("ContentEncoding", "br"),
    "ResponseContentLanguage": ("ContentLanguage", "fr"),
    "ResponseContentType": ("ContentType", "text/x-other"),
}


def test_response_headers_can_be_overridden(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain", CacheControl="private")
    wanted = {name: value for name, (_, value) in OVERRIDES.items()} | {"ResponseContentDisposition": "attachment; filename=a.txt"}
    for read_with in (s3.get_object, s3.head_object):
        got = read_with(Bucket=bucket, Key="k", **wanted)
        assert {name: got[shown] for name, (shown, _) in OVERRIDES.items()} == wanted
    assert s3.get_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"


def test_response_expires_is_sent_as_asked(raw: Raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (
        raw("GET", f"/{bucket}/k?response-expires=Thu%2C%2001%20Dec%202033%2016%3A00%3A00%20GMT").headers["expires"]
        == "Thu, 01 Dec 2033 16:00:00 GMT"
    )


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%20yes", "a%0aX-Evil:yes", "a%00b", "%E2%98%83", "a%0d"])
def test_an_override_cannot_smuggle_a_header(raw: Raw, s3, bucket, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    answer = raw("GET", f"/{bucket}/k?response-content-type={value}")
    assert answer.status in (200, 400), answer
    assert "x-evil" not in answer.headers
    if answer.status == 200:
        assert answer.body == b"data"
    assert read(s3, bucket, "k") == b"data"


def test_unicode_disposition_survives(raw: Raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    answer = raw("GET", f"/{bucket}/k?response-content-disposition=attachment%3B%20filename%3D%22%C3%BC.txt%22")
    assert answer.status in (200, 400), answer
    if answer.status == 200:
        assert answer.headers["content-disposition"].encode("latin-1").decode() == 'attachment; filename="ü.txt"'


def test_the_checksum_is_shown_only_when_asked_for(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    assert "ChecksumSHA256" not in s3.head_object(Bucket=bucket, Key="k")
    got = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["ChecksumSHA256"] and got["ChecksumType"] == "FULL_OBJECT"


def test_a_reader_keeps_its_bytes_when_the_object_is_replaced_and_deleted(s3, bucket):
    data = os.urandom(8 << 20)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    start = body.read(1000)
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    s3.delete_object(Bucket=bucket, Key="k")
    assert start + body.read() == data
