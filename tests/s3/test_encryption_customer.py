"""SSE-C: the customer brings the key, with every request, and the right one."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode

import pytest

from tests.files import content
from tests.s3.asking import refused

MIB = 1 << 20
PREFIX = "x-amz-server-side-encryption-customer-"


def keyed(key: bytes) -> dict[str, str]:
    """boto3's arguments for a key."""
    md5 = b64encode(hashlib.md5(key).digest()).decode()
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b64encode(key).decode(), "SSECustomerKeyMD5": md5}


def in_headers(secret: bytes, **replaced: str | None) -> list[tuple[str, str]]:
    """The headers for a key, some replaced or left out."""
    made = {"algorithm": "AES256", "key": b64encode(secret).decode(), "key-md5": b64encode(hashlib.md5(secret).digest()).decode()}
    made |= {name.replace("_", "-"): value for name, value in replaced.items()}
    return [(PREFIX + name, value) for name, value in made.items() if value is not None]


@pytest.fixture
def key() -> bytes:
    return os.urandom(32)


@pytest.mark.parametrize("size", [0, 1, 16385, 2 * MIB + 5])
def test_with_the_key_it_is_read_and_without_it_is_not(s3, bucket, key, size):
    body = os.urandom(size)
    made = s3.put_object(Bucket=bucket, Key="k", Body=body, **keyed(key))
    assert made["SSECustomerAlgorithm"] == "AES256" and "ServerSideEncryption" not in made
    assert made["SSECustomerKeyMD5"] == b64encode(hashlib.md5(key).digest()).decode()
    got = s3.get_object(Bucket=bucket, Key="k", **keyed(key))
    assert (got["Body"].read(), got["SSECustomerKeyMD5"], got["ETag"]) == (body, made["SSECustomerKeyMD5"], made["ETag"])
    assert s3.head_object(Bucket=bucket, Key="k", **keyed(key))["SSECustomerAlgorithm"] == "AES256"
    attributes = {"ObjectAttributes": ["ETag", "ObjectSize"]}
    assert s3.get_object_attributes(Bucket=bucket, Key="k", **attributes, **keyed(key))["ObjectSize"] == size
    for wrong in ({}, keyed(os.urandom(32))):
        with refused("InvalidRequest", status=400):
            s3.get_object(Bucket=bucket, Key="k", **wrong)
        with refused("400", status=400):
            s3.head_object(Bucket=bucket, Key="k", **wrong)
        with refused("InvalidRequest", status=400):
            s3.get_object_attributes(Bucket=bucket, Key="k", **attributes, **wrong)


@pytest.mark.parametrize("more", [{"IfNoneMatch": '"{etag}"'}, {"IfMatch": '"other"'}, {"PartNumber": 7}, {"Range": "bytes=99-"}])
def test_without_the_key_nothing_else_is_answered(s3, bucket, key, more):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x", **keyed(key))["ETag"].strip('"')
    asked = {name: value.format(etag=etag) if isinstance(value, str) else value for name, value in more.items()}
    with refused("InvalidRequest", status=400):
        s3.get_object(Bucket=bucket, Key="k", **asked)
    with refused("400", status=400):
        s3.head_object(Bucket=bucket, Key="k", **asked)


def test_a_key_for_an_object_that_has_none(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.put_object(Bucket=bucket, Key="managed", Body=b"x", ServerSideEncryption="AES256")
    for name in ("plain", "managed"):
        with refused("InvalidRequest", status=400):
            s3.get_object(Bucket=bucket, Key=name, **keyed(key))


@pytest.mark.parametrize(("replaced", "code"), [
    ({"algorithm": None}, "InvalidArgument"),
    ({"algorithm": "AES512"}, "InvalidEncryptionAlgorithmError"),
    ({"key": None}, "InvalidArgument"),
    ({"key": "not base64!"}, "InvalidArgument"),
    ({"key": b64encode(b"short").decode()}, "InvalidArgument"),
    ({"key_md5": None}, "InvalidArgument"),
    ({"key_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"),
])
def test_headers_that_are_no_key(raw, bucket, key, replaced, code):
    answer = raw("PUT", f"/{bucket}/k", in_headers(key, **replaced), b"x")
    assert (answer.status, answer.code) == (400, code)
    assert b64encode(key).decode() not in str(answer)
    assert raw("GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("more", [("x-amz-server-side-encryption", "AES256"), ("x-amz-server-side-encryption-aws-kms-key-id", "some-key")])
def test_two_ways_at_once(raw, bucket, key, more):
    assert raw("PUT", f"/{bucket}/k", [*in_headers(key), more], b"x").code == "InvalidArgument"


def test_the_default_of_the_bucket_does_not_count(s3, bucket, key):
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule)
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="k", Body=b"x", **keyed(key))
    assert s3.get_object(Bucket=bucket, Key="k", **keyed(key))["Body"].read() == b"x"


def test_a_bucket_that_takes_none(s3, bucket, key):
    rule = {"Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule)
    for ask in (lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **keyed(key)),
                lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", **keyed(key))):
        with refused("AccessDenied", status=403):
            ask()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")


def test_multipart_takes_the_key_with_every_request(s3, bucket, key):
    bodies = [os.urandom(5 * MIB), os.urandom(70_000)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **keyed(key))
    assert upload["SSECustomerAlgorithm"] == "AES256"
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    for wrong in ({}, keyed(os.urandom(32))):
        with refused("InvalidRequest", status=400):
            s3.upload_part(**where, PartNumber=1, Body=bodies[0], **wrong)
        with refused("InvalidRequest", status=400):
            s3.upload_part(**where, PartNumber=1, Body=b"small", **wrong)
    sent = [s3.upload_part(**where, PartNumber=n, Body=body, **keyed(key)) for n, body in enumerate(bodies, 1)]
    parts = {"Parts": [{"PartNumber": n, "ETag": one["ETag"]} for n, one in enumerate(sent, 1)]}
    for wrong in ({}, keyed(os.urandom(32))):
        with refused("InvalidRequest", status=400):
            s3.complete_multipart_upload(**where, MultipartUpload=parts, **wrong)
    s3.complete_multipart_upload(**where, MultipartUpload=parts, **keyed(key))
    whole = b"".join(bodies)
    assert s3.get_object(Bucket=bucket, Key="k", **keyed(key))["Body"].read() == whole
    got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 5}-{5 * MIB + 5}", **keyed(key))
    assert got["Body"].read() == whole[5 * MIB - 5:5 * MIB + 6]
    with refused("InvalidRequest", status=400):
        s3.get_object(Bucket=bucket, Key="k")


def test_a_key_for_a_part_of_an_upload_without(s3, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")
    with refused("InvalidRequest", status=400):
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload["UploadId"], PartNumber=1, Body=b"x", **keyed(key))


def test_the_key_is_nowhere_on_the_disk(s3, server, bucket, key):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100_000, **keyed(key))
    shapes = [key, key.hex().encode(), b64encode(key)]
    files = [path for path in server.data_dir.rglob("*") if path.is_file()] + [server.log]
    assert not [path for path in files if any(shape in content(path) for shape in shapes)]
