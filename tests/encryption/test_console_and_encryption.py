"""What the console does with encrypted objects: it reads them as anybody does, keeps how they are encrypted, or says that it cannot."""

from __future__ import annotations

import io
import os
import zipfile
from typing import Any

import pytest
import requests

from tests.admin.admin_client import Api, unique

BODIES = {"plain": os.urandom(30_000), "s3": os.urandom(30_000), "kms": b"small", "customers": os.urandom(30_000)}


@pytest.fixture(scope="module")
def api(server: Any) -> Api:
    return Api(server).sign_in(server.access_key, server.secret_key)


@pytest.fixture
def kinds(api: Api) -> dict[str, dict[str, str]]:
    key = str(api.ok.post("/encryption-keys", {"name": unique()})["name"])
    return {
        "plain": {}, "s3": {"ServerSideEncryption": "AES256"}, "customers": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
        "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key, "SSEKMSEncryptionContext": "eyJhIjoiMSJ9"},
    }


@pytest.fixture
def filled(s3: Any, bucket: str, kinds: Any) -> str:
    for key, body in BODIES.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, **kinds[key])
    return bucket


def shown(reply: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(reply.get(name) for name in ("ServerSideEncryption", "SSEKMSKeyId"))


@pytest.mark.parametrize("by_default", [False, True])
def test_a_rename_keeps_the_encryption(api: Api, s3, server, filled, by_default):
    if by_default:      # which is about objects to come
        rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
        s3.put_bucket_encryption(Bucket=filled, ServerSideEncryptionConfiguration=rule)
    files = {path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()}
    for key in ("plain", "s3", "kms"):
        before = s3.head_object(Bucket=filled, Key=key)
        api.ok.post(f"/buckets/{filled}/objects/{key}/rename", {"new_key": f"new {key}"})
        after = s3.get_object(Bucket=filled, Key=f"new {key}")
        assert (shown(after), after["Body"].read()) == (shown(before), BODIES[key])
    assert not {path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()} - files      # no byte moved
    answer = api.post(f"/buckets/{filled}/objects/customers/rename", {"new_key": "new"})
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidRequest")


def test_a_version_comes_back_as_it_was_encrypted(api: Api, s3, versioned, kinds):
    for key in ("s3", "kms"):
        old = s3.put_object(Bucket=versioned, Key=key, Body=BODIES[key], **kinds[key])
        s3.put_object(Bucket=versioned, Key=key, Body=b"newer")
        api.ok.post(f"/buckets/{versioned}/objects/{key}/restore", {"version_id": old["VersionId"]})
        got = s3.get_object(Bucket=versioned, Key=key)
        assert (shown(got), got["Body"].read()) == (shown(old), BODIES[key])


def test_a_zip_file_names_what_only_the_customer_reads(api: Api, filled):
    with zipfile.ZipFile(io.BytesIO(api.get(f"/buckets/{filled}/download-zip").content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert {name: files[name] for name in ("plain", "s3", "kms")} == {name: BODIES[name] for name in ("plain", "s3", "kms")}
    assert files.keys() - BODIES.keys() == {"NOT INCLUDED.txt"} and b"customers: InvalidRequest" in files["NOT INCLUDED.txt"]


@pytest.mark.parametrize("counted", [{}, {"max_downloads": 1}])
def test_a_share_link_decrypts_or_refuses(api: Api, filled, counted):
    for key in ("s3", "kms"):
        made = api.ok.post(f"/buckets/{filled}/objects/{key}/shares", counted)
        assert requests.get(made["url"], timeout=20).content == BODIES[key]
    made = api.ok.post(f"/buckets/{filled}/objects/customers/shares", counted)
    answer = requests.get(made["url"], timeout=20)
    assert answer.status_code == 400 and BODIES["customers"][:50] not in answer.content
