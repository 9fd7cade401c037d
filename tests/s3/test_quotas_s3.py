"""Quotas as clients meet them: 403 QuotaExceeded for what would go beyond, everything that frees works, and no race passes the limit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.client import BaseClient

from shared.auth.sealing import MasterKey
from tests.running import RunningServer
from tests.s3.asking import MIB, PART, at_once, code_of, read, refused
from tests.s3.raw import UNSIGNED, Raw


@dataclass
class Sized:
    """A tenant with limits, and a bucket of it. Rows are written beside the server, so that only quotas are tested here."""

    server: RunningServer
    id: int
    bucket: str = ""

    def sql(self, text: str, *values: Any) -> Any:
        with closing(sqlite3.connect(self.server.data_dir / "maxiofs.db", timeout=10)) as conn, conn:
            rows = conn.execute(text, values).fetchall()
            conn.execute("UPDATE change SET value = value + 1")
        return rows

    def usage(self) -> tuple[int, int]:
        return self.sql("SELECT bytes, objects FROM tenant WHERE id = ?", self.id)[0]

    def limit(self, **columns: int) -> None:
        for name, value in columns.items():
            self.sql(f"UPDATE tenant SET {name} = ? WHERE id = ?", value, self.id)

    def user(self) -> BaseClient:
        """A client of a new user of the tenant who may do anything within it."""
        user, key, secret = int.from_bytes(os.urandom(3)) + 1000, "AKIA" + os.urandom(8).hex().upper(), os.urandom(20).hex()
        sealed = MasterKey.load_or_create(self.server.data_dir / "master.key").seal(secret.encode(), key.encode())
        self.sql(
            "INSERT INTO principal (id, canonical_id, name, is_root, created_ms, tenant_id) VALUES (?, ?, ?, 0, 1, ?)",
            user, os.urandom(32).hex(), f"user-{user}", self.id,
        )
        columns = "(id, principal_id, sealed_secret, is_active, created_ms)"
        self.sql(f"INSERT INTO access_key {columns} VALUES (?, ?, ?, 1, 1)", key, user, sealed)
        self.sql("INSERT INTO attachment (target_kind, target_id, policy) VALUES ('user', ?, 'tenant-admin')", str(user))
        self.sql("INSERT INTO attachment (target_kind, target_id, policy) VALUES ('user', ?, 'readwrite')", str(user))
        return self.server.client(credentials=(key, secret))


@pytest.fixture
def new_tenant(server: RunningServer, s3: BaseClient) -> Callable[..., Sized]:
    def make(versioning: str = "", **limits: int) -> Sized:
        tenant = Sized(server, int.from_bytes(os.urandom(4)))
        zeros = "status, max_bytes, max_objects, max_buckets, max_users, max_keys, bytes, objects, created_ms, revision"
        tenant.sql(
            f"INSERT INTO tenant (id, name, display_name, description, {zeros}) VALUES (?, ?, '', '', 0, 0, 0, 0, 0, 0, 0, 0, 1, 1)",
            tenant.id, f"t{tenant.id}",
        )
        tenant.bucket = f"q-{os.urandom(8).hex()}"
        s3.create_bucket(Bucket=tenant.bucket)
        if versioning:
            s3.put_bucket_versioning(Bucket=tenant.bucket, VersioningConfiguration={"Status": versioning})
        tenant.sql("UPDATE bucket SET tenant_id = ? WHERE name = ?", tenant.id, tenant.bucket.encode())
        tenant.limit(**limits)
        return tenant

    return make


def put(s3: BaseClient, tenant: Sized, key: str, size: int) -> None:
    s3.put_object(Bucket=tenant.bucket, Key=key, Body=b"x" * size)


@pytest.mark.parametrize("unit", [10, MIB])
def test_a_put_beyond_the_quota_is_403_and_leaves_what_was_there(s3, new_tenant, unit):
    tenant = new_tenant(max_bytes=10 * unit)
    put(s3, tenant, "k", 6 * unit)
    with refused("QuotaExceeded", status=403) as told:
        put(s3, tenant, "other", 5 * unit)
    assert told.error["Limit"] == "bytes"
    with refused("QuotaExceeded"):
        put(s3, tenant, "k", 11 * unit)
    assert read(s3, tenant.bucket, "k") == b"x" * 6 * unit
    put(s3, tenant, "k", 10 * unit)     # what it replaces is given back
    assert tenant.usage() == (10 * unit, 1)


def test_with_versions_each_one_counts_until_it_is_deleted_for_good(s3, new_tenant):
    tenant = new_tenant("Enabled", max_bytes=20, max_objects=2)
    first = s3.put_object(Bucket=tenant.bucket, Key="k", Body=b"x" * 10)["VersionId"]
    put(s3, tenant, "k", 10)
    marker = s3.delete_object(Bucket=tenant.bucket, Key="k")["VersionId"]
    with refused("QuotaExceeded", status=403):
        put(s3, tenant, "k", 1)
    s3.delete_object(Bucket=tenant.bucket, Key="k", VersionId=marker)
    with refused("QuotaExceeded", status=403):
        put(s3, tenant, "k", 1)
    s3.delete_object(Bucket=tenant.bucket, Key="k", VersionId=first)
    put(s3, tenant, "k", 10)
    assert tenant.usage() == (20, 2)


def test_copies_are_refused_like_uploads(s3, new_tenant):
    tenant = new_tenant(max_bytes=15)
    put(s3, tenant, "a", 10)
    source = {"Bucket": tenant.bucket, "Key": "a"}
    with refused("QuotaExceeded", status=403):
        s3.copy_object(Bucket=tenant.bucket, Key="b", CopySource=source)
    upload = s3.create_multipart_upload(Bucket=tenant.bucket, Key="c")["UploadId"]
    with refused("QuotaExceeded", status=403):
        s3.upload_part_copy(Bucket=tenant.bucket, Key="c", UploadId=upload, PartNumber=1, CopySource=source)
    s3.upload_part_copy(Bucket=tenant.bucket, Key="c", UploadId=upload, PartNumber=1, CopySource=source, CopySourceRange="bytes=0-4")
    assert tenant.usage() == (15, 1)
    s3.copy_object(Bucket=tenant.bucket, Key="a", CopySource=source, MetadataDirective="REPLACE")
    assert tenant.usage() == (15, 1)


def test_parts_are_spent_as_they_come_and_completing_needs_nothing(s3, new_tenant):
    tenant = new_tenant(max_bytes=2 * PART)
    upload = s3.create_multipart_upload(Bucket=tenant.bucket, Key="k")["UploadId"]

    def part(number, size):
        sent = s3.upload_part(Bucket=tenant.bucket, Key="k", UploadId=upload, PartNumber=number, Body=b"x" * size)
        return {"PartNumber": number, "ETag": sent["ETag"]}

    listed = [part(1, PART), part(2, PART)]
    with refused("QuotaExceeded", status=403):
        part(3, 1)
    listed[1] = part(2, PART)       # replacing one by one of the same size
    with refused("QuotaExceeded", status=403):
        part(2, PART + 1)
    s3.complete_multipart_upload(Bucket=tenant.bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": listed})
    assert tenant.usage() == (2 * PART, 1)


def test_aborting_gives_the_parts_back(s3, new_tenant):
    tenant = new_tenant(max_bytes=100)
    upload = s3.create_multipart_upload(Bucket=tenant.bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=tenant.bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x" * 100)
    with refused("QuotaExceeded"):
        put(s3, tenant, "a", 1)
    s3.abort_multipart_upload(Bucket=tenant.bucket, Key="k", UploadId=upload)
    put(s3, tenant, "a", 100)


def test_delete_objects_gives_back(s3, new_tenant):
    tenant = new_tenant(max_objects=3)
    for key in "abc":
        put(s3, tenant, key, 1)
    with refused("QuotaExceeded") as told:
        put(s3, tenant, "d", 1)
    assert told.error["Limit"] == "objects"
    s3.delete_objects(Bucket=tenant.bucket, Delete={"Objects": [{"Key": key} for key in "ab"]})
    put(s3, tenant, "d", 1)
    assert tenant.usage() == (2, 2)


def test_a_large_body_is_refused_before_it_is_sent(raw: Raw, s3, new_tenant):
    tenant = new_tenant(max_bytes=10 * MIB)
    head = ("Content-Length", str(11 * MIB)), ("Expect", "100-continue")
    target = f"/{tenant.bucket}/k"
    answer = raw.send("PUT", target, [*raw.signed("PUT", target, sha256=UNSIGNED), *head])
    assert (answer.status, answer.code) == (403, "QuotaExceeded")
    upload = s3.create_multipart_upload(Bucket=tenant.bucket, Key="k")["UploadId"]
    target += f"?partNumber=1&uploadId={upload}"
    answer = raw.send("PUT", target, [*raw.signed("PUT", target, sha256=UNSIGNED), *head])
    assert (answer.status, answer.code) == (403, "QuotaExceeded")


def test_a_body_of_unknown_length_is_refused_when_it_is_there(raw: Raw, new_tenant):
    tenant = new_tenant(max_bytes=100_000)
    target = f"/{tenant.bucket}/k"
    headers = [*raw.signed("PUT", target, sha256=UNSIGNED), ("Transfer-Encoding", "chunked")]
    answer = raw.send("PUT", target, headers, b"%x\r\n" % 100_001 + b"x" * 100_001 + b"\r\n0\r\n\r\n")
    assert (answer.status, answer.code) == (403, "QuotaExceeded")
    assert tenant.usage() == (0, 0)


@pytest.mark.parametrize("size", [100, 100_000])
def test_sixteen_clients_race_for_the_room_of_five(s3, new_tenant, size):
    tenant = new_tenant(max_bytes=5 * size + size // 2)
    results = at_once(16, lambda number: put(s3, tenant, str(number), size))
    assert sorted(map(code_of, results)) == [""] * 5 + ["QuotaExceeded"] * 11
    assert tenant.usage() == (5 * size, 5)
    assert s3.list_objects_v2(Bucket=tenant.bucket)["KeyCount"] == 5


def test_a_bucket_belongs_to_the_tenant_of_who_creates_it_and_there_are_only_so_many(new_tenant):
    tenant = new_tenant(max_buckets=2, max_bytes=10)
    theirs = tenant.user()
    name = f"q-{os.urandom(8).hex()}"
    theirs.create_bucket(Bucket=name)
    assert tenant.sql("SELECT tenant_id FROM bucket WHERE name = ?", name.encode()) == [(tenant.id,)]
    with refused("TooManyBuckets", status=400):
        theirs.create_bucket(Bucket=f"q-{os.urandom(8).hex()}")
    theirs.put_object(Bucket=name, Key="k", Body=b"x" * 10)
    assert tenant.usage() == (10, 1)
    theirs.delete_object(Bucket=name, Key="k")
    theirs.delete_bucket(Bucket=name)
    theirs.create_bucket(Bucket=f"q-{os.urandom(8).hex()}")


def test_the_installation_has_no_quota(s3, bucket, new_tenant):
    tenant = new_tenant(max_bytes=1)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)
    assert tenant.usage() == (0, 0)
