"""CopyObject: directives, conditions, versions, and copying onto itself."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.s3.asking import PART, at_once, checksum, code_of, etag, read, refused, upload
from tests.s3.raw import Raw

DATA = os.urandom(100_000)


@pytest.fixture
def source(s3, bucket):
    """A bucket with the object "from"."""
    s3.put_object(
        Bucket=bucket,
        Key="from",
        Body=DATA,
        ContentType="text/plain",
        CacheControl="private",
        Metadata={"a": "1"},
        WebsiteRedirectLocation="/elsewhere",
    )
    return bucket


def copy(s3, bucket, key="to", source_key="from", source_bucket="", version="", **more):
    named = {"Bucket": source_bucket or bucket, "Key": source_key, **({"VersionId": version} if version else {})}
    return s3.copy_object(Bucket=bucket, Key=key, CopySource=named, **more)


@pytest.mark.parametrize("size", [0, 1, 5000, 100_000])
def test_a_copy_has_the_bytes_and_the_etag(s3, bucket, size):
    s3.put_object(Bucket=bucket, Key="from", Body=DATA[:size])
    result = copy(s3, bucket)["CopyObjectResult"]
    assert result["ETag"] == etag(DATA[:size]) and result["LastModified"]
    assert read(s3, bucket, "to") == read(s3, bucket, "from") == DATA[:size]


def test_a_copy_lives_on_when_its_source_goes(s3, source, new_bucket):
    other = new_bucket()
    copy(s3, other, source_bucket=source)
    s3.put_object(Bucket=source, Key="from", Body=b"new")
    s3.delete_object(Bucket=source, Key="from")
    assert read(s3, other, "to") == DATA


def test_metadata_comes_along_but_the_redirect_does_not(s3, source):
    copy(s3, source)
    head = s3.head_object(Bucket=source, Key="to")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("text/plain", "private", {"a": "1"})
    assert "WebsiteRedirectLocation" not in head


def test_without_a_directive_metadata_of_the_request_is_not_used(s3, source):
    copy(s3, source, Metadata={"b": "2"}, ContentType="image/png")
    head = s3.head_object(Bucket=source, Key="to")
    assert head["Metadata"] == {"a": "1"} and head["ContentType"] == "text/plain"


def test_replace_takes_the_metadata_of_the_request_only(s3, source):
    copy(s3, source, MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="image/png")
    head = s3.head_object(Bucket=source, Key="to")
    assert head["Metadata"] == {"b": "2"} and head["ContentType"] == "image/png" and "CacheControl" not in head


def test_an_unknown_directive_is_refused(raw: Raw, source):
    answer = raw("PUT", f"/{source}/to", [("x-amz-copy-source", f"/{source}/from"), ("x-amz-metadata-directive", "MERGE")])
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_onto_itself_only_with_a_change(s3, source):
    with refused("InvalidRequest", status=400):
        copy(s3, source, key="from")
    copy(s3, source, key="from", MetadataDirective="REPLACE", Metadata={"c": "3"})
    got = s3.get_object(Bucket=source, Key="from")
    assert got["Body"].read() == DATA and got["Metadata"] == {"c": "3"}


def test_an_old_version_copied_onto_its_key_is_restored(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"new")
    done = copy(s3, versioned, key="k", source_key="k", version=old)
    assert done["CopySourceVersionId"] == old and done["VersionId"] not in ("", old)
    assert read(s3, versioned, "k") == b"old"


def test_versions_as_source(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="from", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="from", Body=b"new")
    copy(s3, versioned)
    assert read(s3, versioned, "to") == b"new"
    copy(s3, versioned, version=old)
    assert read(s3, versioned, "to") == b"old"
    marker = s3.delete_object(Bucket=versioned, Key="from")["VersionId"]
    with refused("NoSuchKey", status=404):
        copy(s3, versioned)
    with refused("InvalidRequest", status=400):
        copy(s3, versioned, version=marker)
    copy(s3, versioned, version=old)
    with refused("NoSuchVersion", "InvalidArgument"):
        copy(s3, versioned, version="nonsense")


def test_a_missing_source_is_named(s3, bucket):
    with refused("NoSuchKey", status=404) as told:
        copy(s3, bucket, source_key="missing")
    assert told.error["Key"] == "missing"
    with refused("NoSuchBucket", status=404):
        copy(s3, bucket, source_bucket="b-" + os.urandom(8).hex())


@pytest.mark.parametrize("value", ["", "/", "nokey", "/nokey", "/b/", "b/", "?versionId=1", "//k", "%", "b/%ff"])
def test_a_copy_source_that_is_none_is_refused(raw: Raw, bucket, value):
    answer = raw("PUT", f"/{bucket}/to", [("x-amz-copy-source", value)])
    assert answer.status in (400, 404) and answer.code in (
        "InvalidArgument",
        "InvalidRequest",
        "InvalidURI",
        "NoSuchBucket",
        "InvalidBucketName",
    ), answer
    assert raw("HEAD", f"/{bucket}/to").status == 404


@pytest.mark.parametrize("key", ["a b", "a+b", "ü", "a?versionId=1", "a%2Fb", "a&b=c", "a#b", "/a//b"])
def test_the_source_is_decoded_once(raw: Raw, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"found")
    for value in (f"{bucket}/{quote(key)}", f"/{bucket}/{quote(key)}", quote(f"{bucket}/{key}", safe="")):
        answer = raw("PUT", f"/{bucket}/to", [("x-amz-copy-source", value)])
        assert answer.status == 200, (value, answer)
        assert raw("GET", f"/{bucket}/to").body == b"found"


def test_a_body_sent_along_is_not_stored(raw: Raw, s3, source):
    answer = raw("PUT", f"/{source}/to", [("x-amz-copy-source", f"/{source}/from")], b"something else")
    assert answer.status in (200, 400), answer
    if answer.status == 200:
        assert read(s3, source, "to") == DATA


PAST = datetime.now(UTC) - timedelta(days=1)
GOOD, BAD = etag(DATA), etag(b"other")


@pytest.mark.parametrize(
    ("conditions", "copied"),
    [
        ({"CopySourceIfMatch": GOOD}, True),
        ({"CopySourceIfMatch": BAD}, False),
        ({"CopySourceIfNoneMatch": GOOD}, False),
        ({"CopySourceIfNoneMatch": BAD}, True),
        ({"CopySourceIfModifiedSince": PAST}, True),
        ({"CopySourceIfUnmodifiedSince": PAST}, False),
        ({"CopySourceIfMatch": GOOD, "CopySourceIfUnmodifiedSince": PAST}, True),
        ({"CopySourceIfNoneMatch": GOOD, "CopySourceIfModifiedSince": PAST}, False),
    ],
)
def test_conditions_on_the_source(s3, source, conditions, copied):
    if copied:
        copy(s3, source, **conditions)
        assert read(s3, source, "to") == DATA
        return
    with refused("PreconditionFailed", status=412):
        copy(s3, source, **conditions)
    with refused("404"):
        s3.head_object(Bucket=source, Key="to")


def test_conditions_on_the_destination(s3, source):
    copy(s3, source, IfNoneMatch="*")
    with refused("PreconditionFailed", status=412):
        copy(s3, source, IfNoneMatch="*")
    with refused("PreconditionFailed", status=412):
        copy(s3, source, IfMatch=BAD)
    copy(s3, source, IfMatch=GOOD)


def test_of_sixteen_conditional_copies_exactly_one_wins(s3, versioned):
    s3.put_object(Bucket=versioned, Key="from", Body=DATA)
    results = at_once(16, lambda _: copy(s3, versioned, IfNoneMatch="*"))
    codes = [code_of(one) for one in results]
    assert codes.count("") == 1 and set(codes) <= {"", "PreconditionFailed", "ConditionalRequestConflict"}
    assert len([one for one in s3.list_object_versions(Bucket=versioned)["Versions"] if one["Key"] == "to"]) == 1


def test_a_multipart_object_is_copied_whole(s3, bucket):
    parts = [os.urandom(PART), os.urandom(10)]
    upload(s3, bucket, "from", *parts)
    copy(s3, bucket)
    s3.delete_object(Bucket=bucket, Key="from")
    assert read(s3, bucket, "to") == b"".join(parts)
    assert s3.get_object(Bucket=bucket, Key="to", Range=f"bytes={PART - 2}-{PART + 1}")["Body"].read() == (parts[0][-2:] + parts[1][:2])


def test_the_checksum_comes_along_or_is_made(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=DATA, ChecksumAlgorithm="SHA1")
    assert copy(s3, bucket)["CopyObjectResult"]["ChecksumSHA1"] == checksum("SHA1", DATA)
    for algorithm in ("CRC32", "SHA256", "CRC64NVME", "CRC32C"):
        result = copy(s3, bucket, ChecksumAlgorithm=algorithm)["CopyObjectResult"]
        assert result[f"Checksum{algorithm}"] == checksum(algorithm, DATA)
        assert s3.head_object(Bucket=bucket, Key="to", ChecksumMode="ENABLED")[f"Checksum{algorithm}"] == checksum(algorithm, DATA)


def test_an_empty_object_gets_a_checksum_too(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"")
    assert copy(s3, bucket, ChecksumAlgorithm="SHA256")["CopyObjectResult"]["ChecksumSHA256"] == checksum("SHA256", b"")


def test_an_expected_owner_of_the_source_is_checked(s3, source):
    owner = s3.list_buckets()["Owner"]["ID"]
    with refused("AccessDenied", status=403):
        copy(s3, source, ExpectedSourceBucketOwner="1" * 12)
    copy(s3, source, ExpectedSourceBucketOwner=owner)


def test_source_changed_under_copies_is_never_torn(s3, bucket):
    bodies = [bytes([number]) * 60_000 for number in range(4)]
    s3.put_object(Bucket=bucket, Key="from", Body=bodies[0])

    def act(number):
        if number < 4:
            s3.put_object(Bucket=bucket, Key="from", Body=bodies[number])
        else:
            copy(s3, bucket, key=f"to-{number}")

    assert {code_of(one) for one in at_once(12, act)} == {""}
    assert all(read(s3, bucket, f"to-{number}") in bodies for number in range(4, 12))
