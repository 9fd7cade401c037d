"""The same answers with PostgreSQL below: the state machine, and every race that needs the database to decide."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from botocore.client import BaseClient

from tests.engines import postgres_server
from tests.running import RunningServer
from tests.s3.asking import at_once, code_of, etag, read, upload
from tests.s3.test_model import run

LOST = {"", "PreconditionFailed", "ConditionalRequestConflict"}


@pytest.fixture(scope="module")
def over_postgresql() -> Iterator[RunningServer]:
    with postgres_server() as postgres, RunningServer(database_url=postgres.fresh_database()) as running:
        yield running


@pytest.fixture(scope="module")
def s3(over_postgresql: RunningServer) -> BaseClient:
    return over_postgresql.client()


@pytest.mark.timeout(300)
def test_server_and_model_agree(s3):
    run(s3, 1000)


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_of_sixteen_creators_exactly_one_wins(s3, new_bucket, versioning):
    name = new_bucket(versioning)
    codes = [code_of(one) for one in at_once(16, lambda number: s3.put_object(Bucket=name, Key="k", Body=bytes([number]), IfNoneMatch="*"))]
    assert codes.count("") == 1 and set(codes) <= LOST
    assert read(s3, name, "k") == bytes([codes.index("")])


def test_of_sixteen_replacers_copiers_and_deleters_exactly_one_wins(s3, bucket):
    for _ in range(5):
        s3.put_object(Bucket=bucket, Key="k", Body=b"start")
        s3.put_object(Bucket=bucket, Key="other", Body=b"other")
        acts = [
            lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"new", IfMatch=etag(b"start")),
            lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "other"}, IfMatch=etag(b"start")),
            lambda: s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"start")),
        ]
        codes = [code_of(one) for one in at_once(15, lambda number, acts=acts: acts[number % 3]())]
        assert codes.count("") == 1 and set(codes) <= LOST | {"NoSuchKey"}, codes


def test_sixteen_writers_make_sixteen_versions_with_one_current(s3, new_bucket):
    name = new_bucket("Enabled")
    results = at_once(16, lambda number: s3.put_object(Bucket=name, Key="k", Body=os.urandom(20_000)))
    assert {code_of(one) for one in results} == {""}
    listed = s3.list_object_versions(Bucket=name)["Versions"]
    assert len(listed) == 16 and [one["IsLatest"] for one in listed] == [True] + [False] * 15


def test_writers_of_many_keys_do_not_disturb_each_other(s3, bucket):
    def act(number):
        for turn in range(10):
            s3.put_object(Bucket=bucket, Key=f"{(number + turn) % 8}", Body=b"x" * number)
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{one}"} for one in range(8)][:: 1 if number % 2 else -1]})

    assert {code_of(one) for one in at_once(8, act)} == {""}
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_sixteen_completes_make_one_version(s3, new_bucket):
    name = new_bucket("Enabled")
    upload_id = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="k", UploadId=upload_id, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    results = at_once(16, lambda _: s3.complete_multipart_upload(Bucket=name, Key="k", UploadId=upload_id, MultipartUpload=parts))
    assert {code_of(one) for one in results} == {""} and len({one["VersionId"] for one in results}) == 1


def test_keys_are_listed_in_order_of_bytes(s3, bucket):
    keys = ["a", "B", "é", "z", "\uffee", "\U00010000", "a/", "_", "ß"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(keys, key=str.encode)


def test_a_multipart_copy_shares_its_bytes(s3, bucket):
    upload(s3, bucket, "from", b"y" * (5 << 20), b"end")
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
    s3.delete_object(Bucket=bucket, Key="from")
    assert read(s3, bucket, "to") == b"y" * (5 << 20) + b"end"
