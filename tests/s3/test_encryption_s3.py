"""SSE-S3: by request or by the bucket's default; what is stored is not what was sent, what is read is."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing

import pytest

from tests.s3.asking import refused

MIB = 1 << 20
SIZES = [0, 1, 1000, 16384, 16385, 65536, 65537, 3 * MIB + 17]
ON_DISK = 16385     # from here on a body is a file


def default(method: str, key: str | None = None, **rule) -> dict:
    by_default = {"SSEAlgorithm": method} | ({"KMSMasterKeyID": key} if key else {})
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default, **rule}]}


def stored(server, plaintext: bytes) -> bool:
    """Whether a stretch of the plaintext is anywhere on the disk, the database and its log included."""
    needle = plaintext[:200]
    return any(needle in path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read(s3, server, bucket, size):
    body = os.urandom(size)
    made = s3.put_object(Bucket=bucket, Key="k", Body=body, ServerSideEncryption="AES256")
    assert made["ServerSideEncryption"] == "AES256"
    assert made["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert size < 1000 or not stored(server, body)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ServerSideEncryption"], got["ContentLength"], got["ETag"]) == (body, "AES256", size, made["ETag"])
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ServerSideEncryption"], head["ContentLength"]) == ("AES256", size)


def test_plain_bytes_would_be_found_on_the_disk(s3, server, bucket):
    for size in (1000, ON_DISK):
        body = os.urandom(size)
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert stored(server, body)


@pytest.mark.parametrize("size", [20_000, 3 * MIB + 17])
def test_ranges(s3, bucket, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body, ServerSideEncryption="AES256")
    for first, last in ((0, 0), (1, 65535), (65535, 65536), (10_000, 19_999), (size - 1, size - 1), (131071, 131073), (70_000, 2_500_000)):
        if last < size:
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
            assert got["Body"].read() == body[first:last + 1]
            assert got["ContentRange"] == f"bytes {first}-{last}/{size}"


def test_an_object_without_encryption_says_nothing_of_it(s3, bucket):
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="k", Body=b"plain")
    assert "ServerSideEncryption" not in s3.get_object(Bucket=bucket, Key="k")


def test_the_bucket_default_encrypts(s3, server, bucket):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=default("AES256"))
    for key, body in (("small", os.urandom(500)), ("large", os.urandom(100_000))):
        assert s3.put_object(Bucket=bucket, Key=key, Body=body)["ServerSideEncryption"] == "AES256"
        assert not stored(server, body)
        got = s3.get_object(Bucket=bucket, Key=key)
        assert (got["Body"].read(), got["ServerSideEncryption"]) == (body, "AES256")


def test_objects_stay_as_they_were_written(s3, bucket):
    s3.put_object(Bucket=bucket, Key="before", Body=b"before")
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=default("AES256"))
    s3.put_object(Bucket=bucket, Key="during", Body=b"during")
    s3.delete_bucket_encryption(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="after", Body=b"after")
    kinds = {key: s3.head_object(Bucket=bucket, Key=key).get("ServerSideEncryption") for key in ("before", "during", "after")}
    assert kinds == {"before": None, "during": "AES256", "after": None}
    assert s3.get_object(Bucket=bucket, Key="during")["Body"].read() == b"during"


def test_multipart(s3, server, bucket):
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB + 3), os.urandom(100)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ServerSideEncryption="AES256")
    assert upload["ServerSideEncryption"] == "AES256"
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    sent = [s3.upload_part(**where, PartNumber=number, Body=body) for number, body in enumerate(parts, 1)]
    assert [one["ServerSideEncryption"] for one in sent] == ["AES256"] * 3
    listed = [{"PartNumber": number, "ETag": one["ETag"]} for number, one in enumerate(sent, 1)]
    assert s3.complete_multipart_upload(**where, MultipartUpload={"Parts": listed})["ServerSideEncryption"] == "AES256"
    assert not any(stored(server, body) for body in parts)
    whole = b"".join(parts)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ServerSideEncryption"]) == (whole, "AES256")
    border = 5 * MIB
    assert s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={border - 9}-{border + 9}")["Body"].read() == whole[border - 9:border + 10]
    assert s3.get_object(Bucket=bucket, Key="k", PartNumber=3)["Body"].read() == parts[2]


def test_what_the_disk_holds_is_never_served_when_it_was_altered(s3, server, bucket):
    body = os.urandom(200_000)
    s3.put_object(Bucket=bucket, Key="altered", Body=body, ServerSideEncryption="AES256")
    newest = max((path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    data[70_000] ^= 1
    newest.write_bytes(data)
    assert s3.get_object(Bucket=bucket, Key="altered", Range="bytes=0-65535")["Body"].read() == body[:65536]
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|internal"):
        s3.get_object(Bucket=bucket, Key="altered", Range="bytes=65536-131071")["Body"].read()


@pytest.mark.parametrize("method", ["aes:kms", "AES512", ""])
def test_an_unknown_method(s3, bucket, raw, method):
    assert raw("PUT", f"/{bucket}/k", [("x-amz-server-side-encryption", method)], b"x").code == "InvalidArgument"


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_readers_do_not_say_how(s3, bucket, operation):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    name = {"get_object": "GetObject", "head_object": "HeadObject"}[operation]

    def add(params, **_):
        params["headers"]["x-amz-server-side-encryption"] = "AES256"

    s3.meta.events.register(f"before-call.s3.{name}", add)
    try:
        with refused("400" if operation == "head_object" else "InvalidArgument", status=400):
            getattr(s3, operation)(Bucket=bucket, Key="k")
    finally:
        s3.meta.events.unregister(f"before-call.s3.{name}", add)


# ---- the configuration ---------------------------------------------------------------------------------------------------------------


def test_a_bucket_has_none_at_first(s3, bucket):
    with refused("ServerSideEncryptionConfigurationNotFoundError", status=404):
        s3.get_bucket_encryption(Bucket=bucket)
    s3.delete_bucket_encryption(Bucket=bucket)


@pytest.mark.parametrize("rule", [
    default("AES256"), default("aws:kms", "some-key"), default("aws:kms"), default("aws:kms:dsse", "some-key"),
    default("AES256", BlockedEncryptionTypes={"EncryptionType": ["NONE"]}), default("AES256", BucketKeyEnabled=True),
    default("aws:kms", "some-key", BucketKeyEnabled=True), default("AES256", BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]}),
])
def test_it_comes_back_as_it_was_put(s3, bucket, rule):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule)
    expected = {"Rules": [{"BucketKeyEnabled": False, **rule["Rules"][0]}]}
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"] == expected
    s3.delete_bucket_encryption(Bucket=bucket)
    with refused("ServerSideEncryptionConfigurationNotFoundError", status=404):
        s3.get_bucket_encryption(Bucket=bucket)


@pytest.mark.parametrize(("rule", "code"), [
    ({"Rules": []}, "MalformedXML"),
    ({"Rules": default("AES256")["Rules"] * 2}, "MalformedXML"),
    (default("AES512"), "MalformedXML"),
    (default("aws:fsx"), "MalformedXML"),
    (default("AES256", "some-key"), "InvalidArgument"),
    (default("AES256", BlockedEncryptionTypes={"EncryptionType": ["SSE-S3"]}), "MalformedXML"),
    (default("AES256", BlockedEncryptionTypes={"EncryptionType": ["NONE", "SSE-C"]}), "MalformedXML"),
])
def test_bad_configurations_change_nothing(s3, bucket, rule, code):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=default("AES256"))
    with refused(code, status=400):
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule)
    got = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert got[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_the_database_has_no_key_in_clear(s3, server, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100, ServerSideEncryption="AES256")
    with closing(sqlite3.connect(f"file:{server.data_dir}/maxiofs.db?mode=ro", uri=True)) as db:
        (wrapped, version), = db.execute("SELECT wrapped_key, key_version FROM object WHERE key_version IS NOT NULL LIMIT 1")
        assert (len(wrapped), version >= 1) == (64, True)
        sealed = [one for (one,) in db.execute("SELECT sealed FROM encryption_key_version WHERE key_id = ''")]
        assert sealed and all(len(one) > 32 for one in sealed)
