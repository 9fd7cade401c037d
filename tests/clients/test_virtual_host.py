"""Clients that put the bucket into the host name, as they do on AWS unless told otherwise."""

from __future__ import annotations

import hashlib
import socket
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
import requests
from minio import Minio
from minio.datatypes import PostPolicy
from minio.error import S3Error

from tests.clients.programs import DOMAIN
from tests.running import RunningServer
from tests.s3.asking import refused

KEYS = ["plain", "a b+c/ü%20~'", "//slashes//", "dots/./../up", "x?y#z&a=b"]


@pytest.fixture(autouse=True)
def every_bucket_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a wildcard record in the DNS does."""
    ask = socket.getaddrinfo

    def resolve(host, *words, **named):
        is_ours = isinstance(host, str) and (host == DOMAIN or host.endswith("." + DOMAIN))
        return ask("127.0.0.1" if is_ours else host, *words, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def endpoint(named: RunningServer) -> str:
    return f"http://{DOMAIN}:{named.address[1]}"


@pytest.fixture
def virtual(named: RunningServer, endpoint: str):
    """boto3 with bucket names in the host."""
    return named.client(endpoint=endpoint, s3={"addressing_style": "virtual"})


def test_boto3_asks_the_buckets_host(virtual, endpoint):
    asked: list[str] = []
    virtual.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
    virtual.create_bucket(Bucket="of-boto3")
    for key in KEYS:
        virtual.put_object(Bucket="of-boto3", Key=key, Body=key.encode())
    assert [virtual.get_object(Bucket="of-boto3", Key=key)["Body"].read().decode() for key in KEYS] == KEYS
    assert {one["Key"] for one in virtual.list_objects_v2(Bucket="of-boto3")["Contents"]} == set(KEYS)
    virtual.copy_object(Bucket="of-boto3", Key="copy", CopySource={"Bucket": "of-boto3", "Key": KEYS[1]})
    assert virtual.head_object(Bucket="of-boto3", Key="copy")["ContentLength"] == len(KEYS[1].encode())
    virtual.delete_objects(Bucket="of-boto3", Delete={"Objects": [{"Key": key} for key in [*KEYS, "copy"]]})
    virtual.delete_bucket(Bucket="of-boto3")
    with refused("404", status=404):
        virtual.head_bucket(Bucket="of-boto3")
    assert asked and all(url.startswith(endpoint.replace("://", "://of-boto3.")) for url in asked)


def test_boto3_multipart_and_configuration(virtual):
    virtual.create_bucket(Bucket="in.parts")
    upload = virtual.create_multipart_upload(Bucket="in.parts", Key="k")["UploadId"]
    etag = virtual.upload_part(Bucket="in.parts", Key="k", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    virtual.complete_multipart_upload(Bucket="in.parts", Key="k", UploadId=upload, MultipartUpload=parts)
    assert virtual.get_object(Bucket="in.parts", Key="k")["Body"].read() == b"part"
    virtual.put_bucket_tagging(Bucket="in.parts", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert virtual.get_bucket_tagging(Bucket="in.parts")["TagSet"] == [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_for_the_buckets_host(named, virtual, endpoint, version):
    client, bucket = named.client(endpoint=endpoint, s3={"addressing_style": "virtual"}, signature_version=version), f"presigned-{version}"
    virtual.create_bucket(Bucket=bucket)
    for key in KEYS[:3]:
        put = client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key})
        assert put.startswith(endpoint.replace("://", f"://{bucket}."))
        assert requests.put(put, data=key.encode(), timeout=10).status_code == 200
        got = requests.get(client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}), timeout=10)
        assert (got.status_code, got.content) == (200, key.encode())


@pytest.fixture
def minio(named: RunningServer, endpoint: str) -> Minio:
    """minio-py with bucket names in the host."""
    client = Minio(endpoint.removeprefix("http://"), access_key=named.access_key, secret_key=named.secret_key, secure=False)
    client.enable_virtual_style_endpoint()
    return client


def test_minio_py_with_the_buckets_host(minio):
    client = minio
    client.make_bucket("of-minio")
    body = b"0123456789" * 1000
    for key in KEYS[:2]:
        client.put_object("of-minio", key, BytesIO(body), len(body))
        assert hashlib.sha256(client.get_object("of-minio", key).read()).digest() == hashlib.sha256(body).digest()
    assert {one.object_name for one in client.list_objects("of-minio", recursive=True)} == set(KEYS[:2])
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        client.remove_bucket("of-minio")


def test_minio_pys_forms(minio, endpoint):
    """Signed for a bucket, and sent to its host as well as to its path."""
    minio.make_bucket("form-of-minio")
    policy = PostPolicy("form-of-minio", datetime.now(UTC) + timedelta(minutes=5))
    policy.add_starts_with_condition("key", "in/")
    policy.add_content_length_range_condition(1, 100)
    policy.add_equals_condition("Content-Type", "text/plain")
    signed = minio.presigned_post_policy(policy)
    for number, url in enumerate((endpoint.replace("://", "://form-of-minio."), f"{endpoint}/form-of-minio")):
        def send(key: str, body: bytes, url: str = url) -> requests.Response:
            return requests.post(url, {**signed, "key": key, "Content-Type": "text/plain"}, files={"file": ("a b.txt", body)}, timeout=10)

        assert send(f"in/${{filename}}-{number}", b"posted").status_code == 204
        found = minio.get_object("form-of-minio", f"in/a b.txt-{number}")
        assert (found.read(), found.headers["Content-Type"]) == (b"posted", "text/plain")
        assert "EntityTooLarge" in send("in/large", b"x" * 101).text and "EntityTooSmall" in send("in/empty", b"").text
        assert send("out", b"x").status_code == 403
    assert len(list(minio.list_objects("form-of-minio", recursive=True))) == 2
