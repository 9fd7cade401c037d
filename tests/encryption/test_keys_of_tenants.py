"""Encryption keys and the walls between tenants: whose buckets a key serves, and who may see, change and rotate it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests import people
from tests.admin.admin_client import Api, unique
from tests.admin.people_world import new_user, signed_in
from tests.s3.asking import refused

MISSING = "KMS.NotFoundException"


class Side(NamedTuple):
    """A tenant: its administrator in S3 and in the admin API, and a bucket of theirs."""

    tenant: int
    s3: Any
    api: Api
    bucket: str


@pytest.fixture(scope="module")
def root(server: Any) -> Api:
    return Api(server).sign_in(server.access_key, server.secret_key)


def side(root: Api) -> Side:
    tenant = people.make_tenant(root.server)
    admin = new_user(root, tenant, policies=["tenant-admin"])
    s3, bucket = people.make_user(root.server, policies=["readwrite"], tenant=tenant).client(root.server), people.unused("keys")
    s3.create_bucket(Bucket=bucket)
    return Side(tenant, s3, signed_in(root, admin), bucket)


@pytest.fixture(scope="module")
def sides(root: Api) -> tuple[Side, Side]:
    return side(root), side(root)


@pytest.fixture(scope="module")
def key(sides: tuple[Side, Side]) -> str:
    """The name of a key of the first one."""
    return str(sides[0].api.ok.post("/encryption-keys", {"name": unique()})["name"])


def kms(key: str) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}


@pytest.mark.parametrize("called", ["{}", "alias/{}", "key/{}", "arn:aws:kms:us-east-1:000000000000:key/{}"])
def test_a_tenants_key_serves_its_own_buckets_only(sides, key, called):
    mine, other = sides
    name = called.format(key)
    mine.s3.put_object(Bucket=mine.bucket, Key="k", Body=b"x", **kms(name))
    other.s3.put_object(Bucket=other.bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    for write in (
        lambda: other.s3.put_object(Bucket=other.bucket, Key="k", Body=b"y", **kms(name)),
        lambda: other.s3.create_multipart_upload(Bucket=other.bucket, Key="k", **kms(name)),
        lambda: other.s3.copy_object(Bucket=other.bucket, Key="k", CopySource=f"{other.bucket}/k", **kms(name)),
        lambda: other.s3.update_object_encryption(
            Bucket=other.bucket, Key="k", ObjectEncryption={"SSEKMS": {"KMSKeyArn": f"arn:aws:kms:us-east-1:000000000000:key/{key}"}}),
    ):
        with refused(MISSING):
            write()
    assert other.s3.head_object(Bucket=other.bucket, Key="k")["ServerSideEncryption"] == "AES256"


def test_a_buckets_default_reaches_no_key_of_another_tenant(sides, key):
    other = sides[1]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    other.s3.put_bucket_encryption(Bucket=other.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    with refused(MISSING):
        other.s3.put_object(Bucket=other.bucket, Key="default", Body=b"y")
    other.s3.delete_bucket_encryption(Bucket=other.bucket)


def test_another_tenants_key_is_not_there(sides, key):
    mine, other = sides
    for answer in (
        other.api.get(f"/encryption-keys/{key}"), other.api.put(f"/encryption-keys/{key}", {"enabled": False}),
        other.api.post(f"/encryption-keys/{key}/rotate"), other.api.get("/encryption-keys", tenant_id=mine.tenant),
        other.api.post("/encryption-keys", {"name": unique(), "tenant_id": mine.tenant}),
        other.api.post("/encryption-keys", {"name": unique(), "tenant_id": 0}), other.api.post("/encryption-keys/sse-s3/rotate"),
    ):
        assert answer.status_code in (403, 404), answer.text
    assert key not in [one["name"] for one in other.api.ok.get("/encryption-keys")["items"]]
    shown = mine.api.ok.get(f"/encryption-keys/{key}")
    assert (shown["enabled"], shown["version"], shown["tenant_id"]) == (True, 1, mine.tenant)


def test_whoever_may_only_read_and_write_objects_may_do_nothing_with_keys(root, sides, key):
    api = signed_in(root, new_user(root, sides[0].tenant, policies=["readwrite"]))
    for answer in (
        api.get("/encryption-keys"), api.get(f"/encryption-keys/{key}"), api.put(f"/encryption-keys/{key}", {"enabled": False}),
        api.post(f"/encryption-keys/{key}/rotate"), api.post("/encryption-keys", {"name": unique()}),
    ):
        assert answer.status_code == 403, answer.text
