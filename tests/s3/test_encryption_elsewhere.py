"""Encryption where other features meet it: policies, versions, chunked uploads, tenants."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode

import pytest

from tests import people
from tests.admin.admin_client import Api, unique
from tests.s3.asking import refused

METHOD = "x-amz-server-side-encryption"


def deny(bucket: str, **condition) -> str:
    about = {"Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    statement = {"Effect": "Deny", **about, "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def writer(server):
    """A client of somebody whom policies bind."""
    return people.make_user(server, policies=["readwrite"]).client(server)


def test_a_policy_that_wants_encryption(s3, writer, bucket):
    s3.put_bucket_policy(Bucket=bucket, Policy=deny(bucket, Null={f"s3:{METHOD}": "true"}))
    with refused("AccessDenied", status=403):
        writer.put_object(Bucket=bucket, Key="k", Body=b"x")
    writer.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")


def test_a_policy_that_wants_one_kind(s3, writer, bucket):
    s3.put_bucket_policy(Bucket=bucket, Policy=deny(bucket, StringNotEquals={f"s3:{METHOD}-customer-algorithm": "AES256"}))
    with refused("AccessDenied", status=403):
        writer.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    writer.put_object(Bucket=bucket, Key="k", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=os.urandom(32))


@pytest.mark.parametrize(("condition", "given", "other"), [
    ({"Null": {f"s3:{METHOD}": "true"}}, {"ServerSideEncryption": "AES256"}, {}),
    ({"StringNotEquals": {f"s3:{METHOD}": "aws:kms"}}, {"ServerSideEncryption": "aws:kms"}, {"ServerSideEncryption": "AES256"}),
    ({"StringNotEquals": {f"s3:{METHOD}-aws-kms-key-id": "of-policies"}}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "of-policies"},
     {"ServerSideEncryption": "aws:kms"}),
    ({"Null": {f"s3:{METHOD}-customer-algorithm": "true"}}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}, {}),
])
def test_a_policy_binds_uploads_in_parts_and_copies_too(s3, writer, bucket, ring_keys, condition, given, other):
    """Parts bring no header but the customer's key: the upload has said it, as every client expects."""
    writer.put_object(Bucket=bucket, Key="source", Body=b"x" * 20_000)
    s3.put_bucket_policy(Bucket=bucket, Policy=deny(bucket, **condition))
    with refused("AccessDenied", status=403):
        writer.create_multipart_upload(Bucket=bucket, Key="k", **other)
    with refused("AccessDenied", status=403):
        writer.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", **other)
    writer.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", **given)
    where = {"Bucket": bucket, "Key": "k", "UploadId": writer.create_multipart_upload(Bucket=bucket, Key="k", **given)["UploadId"]}
    with_key = given if "SSECustomerKey" in given else {}
    first = writer.upload_part(**where, PartNumber=1, Body=b"x" * (5 << 20), **with_key)
    second = writer.upload_part_copy(**where, PartNumber=2, CopySource=f"{bucket}/source", **with_key)["CopyPartResult"]
    parts = [{"PartNumber": number, "ETag": one["ETag"]} for number, one in ((1, first), (2, second))]
    writer.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}, **with_key)
    without = s3.create_multipart_upload(Bucket=bucket, Key="without", **other)["UploadId"]      # root, whom no policy binds
    with refused("AccessDenied", status=403):
        writer.upload_part(Bucket=bucket, Key="without", UploadId=without, PartNumber=1, Body=b"x")
    with refused("NoSuchUpload" if with_key else "AccessDenied"):
        writer.upload_part(Bucket=bucket, Key="k", UploadId="0" * 32, PartNumber=1, Body=b"x", **with_key)


@pytest.fixture(scope="module")
def ring_keys(server):
    api = Api(server).sign_in(server.access_key, server.secret_key)
    for name in ("default", "of-policies"):
        assert api.post("/encryption-keys", {"name": name}).status_code in (201, 409)


def test_each_version_is_encrypted_as_it_was_written(s3, versioned):
    key = os.urandom(32)
    kinds = [{}, {"ServerSideEncryption": "AES256"}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}, {}]
    made = [s3.put_object(Bucket=versioned, Key="k", Body=b"%d" % n * 20_000, **kind)["VersionId"] for n, kind in enumerate(kinds)]
    for n, (kind, version) in enumerate(zip(kinds, made, strict=True)):
        given = kind if "SSECustomerKey" in kind else {}
        got = s3.get_object(Bucket=versioned, Key="k", VersionId=version, **given)
        assert (got["Body"].read(), got.get("ServerSideEncryption")) == (b"%d" % n * 20_000, kind.get("ServerSideEncryption"))
    s3.delete_object(Bucket=versioned, Key="k", VersionId=made[3])      # the one before becomes current, with its envelope
    with refused("InvalidRequest"):
        s3.get_object(Bucket=versioned, Key="k")
    got = s3.get_object(Bucket=versioned, Key="k", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    assert got["Body"].read() == b"2" * 20_000


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_chunked_upload(raw, server, bucket, size):
    body = os.urandom(size)
    answer = raw.put_chunks(f"/{bucket}/k", [body[:70_000], body[70_000:]] if size > 70_000 else [body], headers=[(METHOD, "AES256")])
    assert (answer.status, answer.headers[METHOD]) == (200, "AES256"), str(answer)
    got = raw("GET", f"/{bucket}/k")
    assert (got.body, got.headers[METHOD], got.headers["etag"]) == (body, "AES256", f'"{hashlib.md5(body).hexdigest()}"')


def test_a_bad_digest_stores_nothing(raw, bucket):
    wrong = b64encode(bytes(16)).decode()
    for body in (b"x", b"x" * 50_000):
        assert raw("PUT", f"/{bucket}/k", [(METHOD, "AES256"), ("Content-MD5", wrong)], body).code == "BadDigest"
    assert raw("GET", f"/{bucket}/k").status == 404


def test_nobody_uses_the_key_of_another_tenant(server, s3, bucket):
    api = Api(server).sign_in(server.access_key, server.secret_key)
    tenant = api.ok.post("/tenants", {"name": unique()})
    key = api.ok.post("/encryption-keys", {"name": unique(), "tenant_id": tenant["id"]})
    assert key["tenant_id"] == tenant["id"]
    with refused("KMS.NotFoundException", status=400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key["name"])


def test_without_permission_there_is_no_configuration(nobody, s3, bucket):
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    for ask in (lambda: nobody.get_bucket_encryption(Bucket=bucket), lambda: nobody.delete_bucket_encryption(Bucket=bucket),
                lambda: nobody.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule)):
        with refused("AccessDenied", status=403):
            ask()
