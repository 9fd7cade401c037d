"""SSE-KMS: keys of the ring by name, which the admin API makes, switches off and rotates."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from base64 import b64encode
from contextlib import closing
from hashlib import md5
from typing import Any

import pytest

from tests.admin.admin_client import Api, unique
from tests.running import RunningServer
from tests.s3.asking import refused

MIB = 1 << 20
KEY = "x-amz-server-side-encryption-aws-kms-key-id"


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Api:
    return Api(server).sign_in(server.access_key, server.secret_key)


@pytest.fixture
def key(api: Api) -> str:
    """The name of a new key."""
    return str(api.ok.post("/encryption-keys", {"name": unique()})["name"])


def kms(key: str, **more: Any) -> dict[str, Any]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key, **more}


@pytest.mark.parametrize("size", [0, 1000, 2 * MIB + 1])
def test_what_was_written_is_read(s3, bucket, key, size):
    body = os.urandom(size)
    made = s3.put_object(Bucket=bucket, Key="k", Body=body, **kms(key))
    assert (made["ServerSideEncryption"], made["SSEKMSKeyId"]) == ("aws:kms", key)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ServerSideEncryption"], got["SSEKMSKeyId"]) == (body, "aws:kms", key)
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key


def test_a_key_may_be_named_by_its_arn(s3, bucket, key):
    arn = f"arn:aws:kms:us-east-1:111122223333:key/{key}"
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x", **kms(arn))["SSEKMSKeyId"] == arn
    assert s3.get_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == arn
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x", **kms(f"alias/{key}"))["SSEKMSKeyId"] == f"alias/{key}"


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_key_that_is_not_there(s3, bucket, size):
    for named in ({"ServerSideEncryption": "aws:kms"}, kms("no-such-key")):
        with refused("KMS.NotFoundException", status=400):
            s3.put_object(Bucket=bucket, Key="k", Body=bytes(size), **named)
        with refused("KMS.NotFoundException", status=400):
            s3.create_multipart_upload(Bucket=bucket, Key="k", **named)
    with refused("404", status=404):
        s3.head_object(Bucket=bucket, Key="k")


def test_the_bucket_default(s3, bucket, key):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    made = s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 50_000)
    assert (made["SSEKMSKeyId"], made["BucketKeyEnabled"]) == (key, True)
    assert s3.get_object(Bucket=bucket, Key="k")["BucketKeyEnabled"] is True
    assert s3.put_object(Bucket=bucket, Key="s3", Body=b"x", ServerSideEncryption="AES256").get("SSEKMSKeyId") is None
    with refused("KMS.NotFoundException"):
        s3.put_object(Bucket=bucket, Key="other", Body=b"x", **kms("no-such-key"))


def test_a_dual_layer_is_told_as_such(s3, bucket, key):
    made = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms:dsse", SSEKMSKeyId=key)
    assert made["ServerSideEncryption"] == s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "aws:kms:dsse"


def test_the_encryption_context(s3, bucket, key):
    context = b64encode(json.dumps({"b": "2", "a": "1"}).encode()).decode()
    made = s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 20_000, **kms(key, SSEKMSEncryptionContext=context))
    assert made["SSEKMSEncryptionContext"] == b64encode(b'{"a":"1","b":"2"}').decode()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x" * 20_000


@pytest.mark.parametrize("context", ["no base64!", b64encode(b"[1]").decode(), b64encode(b'{"a": 1}').decode(), b64encode(b"{").decode()])
def test_a_context_that_is_none(s3, bucket, key, context):
    with refused("InvalidArgument", status=400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **kms(key, SSEKMSEncryptionContext=context))


@pytest.mark.parametrize("headers", [
    [(KEY, "some-key")], [("x-amz-server-side-encryption", "AES256"), (KEY, "some-key")],
    [("x-amz-server-side-encryption-context", "e30=")],
    [("x-amz-server-side-encryption", "aws:kms"), (KEY, "")],
    [("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-bucket-key-enabled", "maybe")],
])
def test_headers_that_contradict_each_other(raw, bucket, headers):
    assert raw("PUT", f"/{bucket}/k", headers, b"x").code == "InvalidArgument"


def test_multipart(s3, bucket, key):
    bodies = [os.urandom(5 * MIB), b"the end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **kms(key))
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    sent = [s3.upload_part(**where, PartNumber=n, Body=body) for n, body in enumerate(bodies, 1)]
    parts = {"Parts": [{"PartNumber": n, "ETag": one["ETag"]} for n, one in enumerate(sent, 1)]}
    done = s3.complete_multipart_upload(**where, MultipartUpload=parts)
    assert {one["SSEKMSKeyId"] for one in (upload, *sent, done)} == {key}
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(bodies)


# ---- the key ring --------------------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_without_itself(api, key):
    shown = api.ok.get(f"/encryption-keys/{key}")
    assert (shown["name"], shown["enabled"], shown["version"], shown["tenant_id"]) == (key, True, 1, 0)
    assert shown.keys() == {"name", "tenant_id", "description", "enabled", "version", "created_ms"}
    assert key in [one["name"] for one in api.ok.get("/encryption-keys", limit=1000)["items"]]
    assert api.post("/encryption-keys", {"name": key}).status_code == 409
    assert api.post("/encryption-keys", {"name": "sse-s3"}).status_code == 409
    for name in ("", "a/b", "-a", "a b", "a" * 129):
        assert api.post("/encryption-keys", {"name": name}).status_code == 400, name
    assert api.get("/encryption-keys/no-such-key").status_code == 404


def test_a_key_that_is_switched_off_reads_and_writes_nothing(api, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="small", Body=b"x", **kms(key))
    s3.put_object(Bucket=bucket, Key="large", Body=b"x" * 50_000, **kms(key))
    assert api.ok.put(f"/encryption-keys/{key}", {"enabled": False})["enabled"] is False
    for name in ("small", "large"):
        with refused("KMS.DisabledException", status=400):
            s3.get_object(Bucket=bucket, Key=name)
        with refused("KMS.DisabledException", status=400):
            s3.put_object(Bucket=bucket, Key=name, Body=b"y", **kms(key))
        with refused("KMS.DisabledException", status=400):
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/{name}", ServerSideEncryption="AES256")
    assert s3.head_object(Bucket=bucket, Key="small")["SSEKMSKeyId"] == key
    assert api.post(f"/encryption-keys/{key}/rotate").status_code == 409
    api.ok.put(f"/encryption-keys/{key}", {"enabled": True})
    assert s3.get_object(Bucket=bucket, Key="small")["Body"].read() == b"x"


def wrapping(server: RunningServer, bucket: str) -> list[tuple[str, bytes, int | None]]:
    """Every envelope of a bucket's objects: key, envelope, version of the ring's key."""
    versions = """SELECT o.key, o.wrapped_key, o.key_version, o.body_id FROM {} o JOIN bucket b ON b.id = o.bucket_id WHERE b.name = ?"""
    found = []
    with closing(sqlite3.connect(f"file:{server.data_dir}/maxiofs.db?mode=ro", uri=True)) as db:
        rows = [row for table in ("object", "version") for row in db.execute(versions.format(table), (bucket.encode(),))]
        for name, wrapped, version, body in rows:
            if wrapped is not None:
                found.append((bytes(name).decode(), wrapped, version))
            for wrapped, version in db.execute("SELECT wrapped_key, key_version FROM segment WHERE body_id = ?", (body,)):
                found.append((bytes(name).decode(), wrapped, version))
    return found


def rotated(api: Api, key: str) -> int:
    """Rotate a key and wait for the run."""
    begun = api.ok.post(f"/encryption-keys/{key}/rotate")
    for _ in range(300):
        run = api.ok.get(f"/runs/{begun['run_id']}")
        if run["state"] in ("done", "failed"):
            assert run["state"] == "done", run
            return int(begun["version"])
        time.sleep(0.1)
    raise AssertionError("the run did not end")


def test_a_rotation_gives_new_envelopes_and_moves_no_bytes(api, server, s3, versioned, key):
    bodies = {"small": b"x" * 100, "large": os.urandom(100_000)}
    for name, body in bodies.items():
        s3.put_object(Bucket=versioned, Key=name, Body=b"older " + body, **kms(key))
        s3.put_object(Bucket=versioned, Key=name, Body=body, **kms(key))
    upload = s3.create_multipart_upload(Bucket=versioned, Key="parts", **kms(key))
    where = {"Bucket": versioned, "Key": "parts", "UploadId": upload["UploadId"]}
    tag = s3.upload_part(**where, PartNumber=1, Body=b"part" * 10_000)["ETag"]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    s3.put_object(Bucket=versioned, Key="other", Body=b"x", ServerSideEncryption="AES256")
    before = wrapping(server, versioned)
    files = {path: path.stat().st_mtime_ns for path in (server.data_dir / "blobs").rglob("*") if path.is_file()}
    assert len(before) == 6
    assert rotated(api, key) == 2
    after = wrapping(server, versioned)
    assert sorted((name, version) for name, _, version in after) == [
        ("large", 2), ("large", 2), ("other", 1), ("parts", 2), ("small", 2), ("small", 2),
    ]
    assert len({envelope for _, envelope, _ in before} & {envelope for _, envelope, _ in after}) == 1       # that of "other"
    assert all(path.stat().st_mtime_ns == at for path, at in files.items())
    for name, body in bodies.items():
        versions = s3.list_object_versions(Bucket=versioned, Prefix=name)["Versions"]
        read = [s3.get_object(Bucket=versioned, Key=name, VersionId=one["VersionId"])["Body"].read() for one in versions]
        assert read == [body, b"older " + body]
    assert s3.get_object(Bucket=versioned, Key="parts")["Body"].read() == b"part" * 10_000
    s3.put_object(Bucket=versioned, Key="new", Body=b"x", **kms(key))
    assert [version for name, _, version in wrapping(server, versioned) if name == "new"] == [2]


@pytest.fixture
def update(raw) -> Any:
    """UpdateObjectEncryption by hand: no boto3 argument is left out that way."""
    def ask(bucket: str, name: str, key: str) -> Any:
        body = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{key}</KMSKeyArn></SSE-KMS></ObjectEncryption>".encode()
        return raw("PUT", f"/{bucket}/{name}?encryption", [("Content-MD5", b64encode(md5(body).digest()).decode())], body)
    return ask


@pytest.mark.parametrize("first", [{"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms"}])
def test_another_key_for_objects_that_are_there(s3, server, bucket, key, api, update, first):
    if first["ServerSideEncryption"] == "aws:kms":
        first = kms(str(api.ok.post("/encryption-keys", {"name": unique()})["name"]))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **first)
    where = {"Bucket": bucket, "Key": "parts", "UploadId": upload["UploadId"]}
    tag = s3.upload_part(**where, PartNumber=1, Body=b"part" * 10_000)["ETag"]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    for name, body in (("empty", b""), ("small", b"x" * 100), ("large", b"y" * 40_000)):
        s3.put_object(Bucket=bucket, Key=name, Body=body, **first)
    for name, body in (("empty", b""), ("small", b"x" * 100), ("large", b"y" * 40_000), ("parts", b"part" * 10_000)):
        before = s3.head_object(Bucket=bucket, Key=name)
        answer = update(bucket, name, key)
        assert answer.status == 200, str(answer)
        got = s3.get_object(Bucket=bucket, Key=name)
        assert (got["ServerSideEncryption"], got["SSEKMSKeyId"], got["Body"].read()) == ("aws:kms", key, body)
        assert (got["LastModified"], got["ETag"]) == (before["LastModified"], before["ETag"])
    if "SSEKMSKeyId" in first:      # which nothing depends on any more
        api.ok.put(f"/encryption-keys/{first['SSEKMSKeyId']}", {"enabled": False})
        assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"part" * 10_000


def test_objects_whose_key_cannot_be_replaced(s3, bucket, key, update):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    s3.put_object(Bucket=bucket, Key="customer", Body=b"x", **customer)
    s3.put_object(Bucket=bucket, Key="dual", Body=b"x", ServerSideEncryption="aws:kms:dsse", SSEKMSKeyId=key)
    for name in ("plain", "customer", "dual"):
        assert update(bucket, name, key).code == "InvalidRequest"
    s3.put_object(Bucket=bucket, Key="managed", Body=b"x", ServerSideEncryption="AES256")
    answer = update(bucket, "managed", "no-such-key")
    assert answer.status == 400 and "KMS.NotFoundException" in str(answer)
    assert update(bucket, "missing", key).code == "NoSuchKey"
    assert s3.get_object(Bucket=bucket, Key="customer", **customer)["Body"].read() == b"x"


def test_the_key_of_sse_s3_is_rotated_too(api, server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100, ServerSideEncryption="AES256")
    version = rotated(api, "sse-s3")
    assert api.ok.get("/encryption-keys/sse-s3")["version"] == version >= 2
    assert [one for _, _, one in wrapping(server, bucket)] == [version]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x" * 100
