"""Object lock and encryption as clients ask for them, and what one encrypted another reads."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from minio.commonconfig import COMPLIANCE, GOVERNANCE, Tags
from minio.error import S3Error
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.retention import Retention
from minio.sseconfig import Rule, SSEConfig

from tests.s3.asking import refused

MIB = 1 << 20
KEY = hashlib.sha256(b"a customer's key").digest()
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}


@pytest.fixture
def minio(client_of):
    return client_of("minio-py").client


@pytest.fixture
def lockable(minio, new_bucket) -> str:
    """A bucket that minio-py made with object lock."""
    name = new_bucket().replace("b-", "locked-")
    minio.make_bucket(name, object_lock=True)
    return name


def test_minio_py_locks_and_unlocks(minio, lockable):
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    tags = Tags.new_object_tags()
    tags["case"] = "locked"
    made = minio.put_object(lockable, "k", BytesIO(b"kept"), 4, tags=tags, retention=Retention(GOVERNANCE, until), legal_hold=True)
    found = minio.get_object_retention(lockable, "k", version_id=made.version_id)
    assert (found.mode, found.retain_until_date) == (GOVERNANCE, until)
    assert minio.is_object_legal_hold_enabled(lockable, "k")
    with pytest.raises(S3Error, match="AccessDenied"):
        minio.remove_object(lockable, "k", version_id=made.version_id)
    minio.disable_object_legal_hold(lockable, "k", version_id=made.version_id)
    minio.set_object_retention(lockable, "k", Retention(GOVERNANCE, until + timedelta(minutes=1)), version_id=made.version_id)
    with pytest.raises(S3Error, match="AccessDenied"):
        minio.set_object_retention(lockable, "k", Retention(GOVERNANCE, until), version_id=made.version_id)
    assert minio.get_object_tags(lockable, "k")["case"] == "locked"
    minio.remove_object(lockable, "k")      # a delete marker is no loss
    assert minio.get_object(lockable, "k", version_id=made.version_id).read() == b"kept"


def test_minio_py_sets_a_default_retention(minio, lockable, s3):
    minio.set_object_lock_config(lockable, ObjectLockConfig(GOVERNANCE, 2, DAYS))
    config = minio.get_object_lock_config(lockable)
    assert (config.mode, config.duration, config.duration_unit) == (GOVERNANCE, 2, DAYS)
    minio.put_object(lockable, "k", BytesIO(b"x"), 1)
    until = s3.head_object(Bucket=lockable, Key="k")["ObjectLockRetainUntilDate"]
    assert timedelta(days=1, hours=23) < until - datetime.now(UTC) < timedelta(days=2, hours=1)
    minio.delete_object_lock_config(lockable)
    assert minio.get_object_lock_config(lockable).mode is None


def test_uploads_of_clients_in_a_bucket_that_locks_by_default(minio, lockable, client_of, new_file, tmp_path, s3):
    """Each of them must send a checksum, in parts too: a bucket with object lock takes nothing without one."""
    minio.set_object_lock_config(lockable, ObjectLockConfig(GOVERNANCE, 1, DAYS))
    for size in (1000, 20 * MIB):
        file = new_file(size)
        for name in ("awscli", "boto3", "minio-py", "rclone", "s5cmd"):
            client_of(name).up(file, lockable, f"{name}-{size}")
            assert s3.head_object(Bucket=lockable, Key=f"{name}-{size}")["ObjectLockMode"] == "GOVERNANCE", (name, size)


def test_a_default_of_the_bucket_encrypts_what_any_client_writes(minio, client_of, new_file, tmp_path, bucket, s3):
    minio.set_bucket_encryption(bucket, SSEConfig(Rule.new_sse_s3_rule()))
    assert minio.get_bucket_encryption(bucket).rule.sse_algorithm == "AES256"
    file = new_file(20 * MIB + 7)
    wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    names = ("awscli", "obstore", "rclone", "s5cmd", "minio-py")
    for writer, reader in zip(names, (*names[1:], names[0]), strict=True):
        client_of(writer).up(file, bucket, writer)
        assert s3.head_object(Bucket=bucket, Key=writer)["ServerSideEncryption"] == "AES256"
        client_of(reader).down(bucket, writer, tmp_path / "got")
        assert hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest() == wanted, (writer, reader)
        (tmp_path / "got").unlink()


def test_a_customers_key_between_rclone_awscli_and_boto3(client_of, new_file, tmp_path, bucket, s3):
    encoded = b64encode(KEY).decode()
    rclone, aws = client_of("rclone"), client_of("awscli")
    theirs = ("--s3-sse-customer-algorithm", "AES256", "--s3-sse-customer-key-base64", encoded)
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    for size in (1000, 20 * MIB + 7):       # in one piece, in parts
        file = new_file(size)
        rclone.rclone("copyto", *theirs, file, f"s:{bucket}/by-rclone")
        aws.s3("cp", "--no-progress", "--sse-c", "AES256", "--sse-c-key", f"fileb://{key_file}", file, f"s3://{bucket}/by-aws")
        s3.upload_file(str(file), bucket, "by-boto3", ExtraArgs=CUSTOMER)
        for key in ("by-rclone", "by-aws", "by-boto3"):
            assert s3.get_object(Bucket=bucket, Key=key, **CUSTOMER)["Body"].read() == file.read_bytes(), (key, size)
            with refused("InvalidRequest", status=400):
                s3.get_object(Bucket=bucket, Key=key)
        rclone.rclone("copyto", *theirs, f"s:{bucket}/by-boto3", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == file.read_bytes()
        last = s3.get_object(Bucket=bucket, Key="by-aws", Range=f"bytes={size - 100}-", **CUSTOMER)["Body"].read()
        assert last == file.read_bytes()[-100:]


def test_a_purge_of_old_versions_meets_a_lock(minio, lockable, client_of):
    """What is locked survives rclone's removal of all that is hidden."""
    minio.put_object(lockable, "kept", BytesIO(b"kept"), 4, retention=Retention(COMPLIANCE, datetime.now(UTC) + timedelta(hours=1)))
    minio.remove_object(lockable, "kept")
    with pytest.raises(AssertionError, match="AccessDenied"):
        client_of("rclone").rclone("backend", "cleanup-hidden", f"s:{lockable}")
    left = [one for one in minio.list_objects(lockable, include_version=True) if not one.is_delete_marker]
    assert [minio.get_object(lockable, one.object_name, version_id=one.version_id).read() for one in left] == [b"kept"]
