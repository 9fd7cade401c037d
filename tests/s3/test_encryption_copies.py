"""Copies from every kind of encryption to every kind: the bytes are the same, and move only when they never were encrypted."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from tests.admin.admin_client import Api, unique
from tests.s3.asking import refused

MIB = 1 << 20
KINDS = ("none", "s3", "customer", "kms")
OLD, NEW = os.urandom(32), os.urandom(32)


def customers(key: bytes, prefix: str = "") -> dict[str, str]:
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": b64encode(key).decode(),
        f"{prefix}SSECustomerKeyMD5": b64encode(md5(key).digest()).decode(),
    }


@pytest.fixture(scope="module")
def keys(server) -> list[str]:
    """Names of two keys."""
    api = Api(server).sign_in(server.access_key, server.secret_key)
    return [str(api.ok.post("/encryption-keys", {"name": unique()})["name"]) for _ in range(2)]


def writing(kind: str, customer: bytes, kms: str) -> dict[str, Any]:
    return {
        "none": {}, "s3": {"ServerSideEncryption": "AES256"}, "customer": customers(customer),
        "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms},
    }[kind]


def reading(kind: str, customer: bytes) -> dict[str, str]:
    return customers(customer) if kind == "customer" else {}


def files(server) -> set[Path]:
    return {path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()}


def check_kind(reply: dict[str, Any], kind: str, kms: str) -> None:
    assert reply.get("ServerSideEncryption") == {"s3": "AES256", "kms": "aws:kms"}.get(kind)
    assert reply.get("SSEKMSKeyId") == (kms if kind == "kms" else None)
    assert ("SSECustomerKeyMD5" in reply) == (kind == "customer")


@pytest.mark.parametrize("size", [0, 100, 100_000])
@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_copy_object(s3, server, bucket, keys, source, target, size):
    body = os.urandom(size)
    made = s3.put_object(Bucket=bucket, Key="source", Body=body, **writing(source, OLD, keys[0]))
    before = files(server)
    given = customers(OLD, "CopySource") if source == "customer" else {}
    reply = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", **writing(target, NEW, keys[1]), **given)
    check_kind(reply, target, keys[1])
    moved = source == "none" and target != "none" and size > 16384
    assert len(files(server) - before) == moved
    s3.delete_object(Bucket=bucket, Key="source")
    got = s3.get_object(Bucket=bucket, Key="copy", **reading(target, NEW))
    check_kind(got, target, keys[1])
    assert (got["Body"].read(), got["ETag"]) == (body, made["ETag"])


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_copy_of_parts_and_from_parts(s3, server, bucket, keys, source, target):
    """UploadPartCopy of a range, into an upload of another kind; then a copy of the whole to where it came from."""
    body, rest = os.urandom(5 * MIB + 70_000), os.urandom(20_000)
    s3.put_object(Bucket=bucket, Key="source", Body=body, **writing(source, OLD, keys[0]))
    given = customers(OLD, "CopySource") if source == "customer" else {}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy", **writing(target, NEW, keys[1]))
    where = {"Bucket": bucket, "Key": "copy", "UploadId": upload["UploadId"]}
    each = customers(NEW) if target == "customer" else {}
    before = files(server)
    first = s3.upload_part_copy(
        **where, PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange=f"bytes=1-{5 * MIB + 1000}", **given, **each,
    )
    check_kind(first, target, keys[1])
    assert len(files(server) - before) == (source == "none" and target != "none")
    last = s3.upload_part(**where, PartNumber=2, Body=rest, **each)
    parts = [{"PartNumber": 1, "ETag": first["CopyPartResult"]["ETag"]}, {"PartNumber": 2, "ETag": last["ETag"]}]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}, **each)
    expected = body[1:5 * MIB + 1001] + rest
    got = s3.get_object(Bucket=bucket, Key="copy", **reading(target, NEW))
    check_kind(got, target, keys[1])
    assert got["Body"].read() == expected
    given = customers(NEW, "CopySource") if target == "customer" else {}
    s3.copy_object(Bucket=bucket, Key="back", CopySource=f"{bucket}/copy", **writing(source, OLD, keys[0]), **given)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "source"}]})
    got = s3.get_object(Bucket=bucket, Key="back", **reading(source, OLD))
    check_kind(got, source, keys[0])
    assert got["Body"].read() == expected


@pytest.mark.parametrize("wrong", [{}, customers(NEW, "CopySource")])
def test_the_source_needs_its_key(s3, bucket, wrong):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x" * 20_000, **customers(OLD))
    with refused("InvalidRequest", status=400):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", **wrong)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")
    with refused("InvalidRequest", status=400):
        s3.upload_part_copy(Bucket=bucket, Key="copy", UploadId=upload["UploadId"], PartNumber=1, CopySource=f"{bucket}/source", **wrong)


def test_a_key_for_a_source_that_has_none(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    with refused("InvalidRequest", status=400):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", **customers(OLD, "CopySource"))


@pytest.mark.parametrize("size", [100, 100_000])
def test_onto_itself_with_another_encryption(s3, server, bucket, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", ServerSideEncryption="AES256")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **customers(NEW))
    assert s3.get_object(Bucket=bucket, Key="k", **customers(NEW))["Body"].read() == body
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **customers(OLD), **customers(NEW, "CopySource"))
    with refused("InvalidRequest"):
        s3.get_object(Bucket=bucket, Key="k", **customers(NEW))
    assert s3.get_object(Bucket=bucket, Key="k", **customers(OLD))["Body"].read() == body


def test_a_checksum_that_is_made_for_the_copy(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=b"hello", **customers(OLD))
    reply = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", ChecksumAlgorithm="SHA256", **customers(OLD, "CopySource"),
    )
    assert reply["CopyObjectResult"]["ChecksumSHA256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="


def test_the_default_of_the_target_bucket_counts(s3, new_bucket):
    plain, encrypted = new_bucket(), new_bucket()
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(Bucket=encrypted, ServerSideEncryptionConfiguration=rule)
    s3.put_object(Bucket=plain, Key="k", Body=b"x" * 30_000)
    assert s3.copy_object(Bucket=encrypted, Key="k", CopySource=f"{plain}/k")["ServerSideEncryption"] == "AES256"
    assert "ServerSideEncryption" not in s3.copy_object(Bucket=plain, Key="back", CopySource=f"{encrypted}/k")
    assert s3.get_object(Bucket=plain, Key="back")["Body"].read() == b"x" * 30_000
