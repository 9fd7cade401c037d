"""rclone over versions: the old ones by name, a bucket as it was, and a stream of unknown length."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime

import pytest

from tests.clients.programs import program

MIB = 1 << 20


@pytest.fixture
def rclone(client_of):
    return client_of("rclone")


def names(rclone, bucket, *words):
    return sorted(rclone.rclone("lsf", "--recursive", "--files-only", *words, f"s:{bucket}").splitlines())


def test_old_versions_are_listed_and_read(rclone, s3, versioned, tmp_path):
    for body in (b"first", b"second!", b"third"):
        s3.put_object(Bucket=versioned, Key="deep/note.txt", Body=body)
    assert names(rclone, versioned) == ["deep/note.txt"]
    listed = names(rclone, versioned, "--s3-versions")
    assert len(listed) == 3 and listed.count("deep/note.txt") == 1
    found = {rclone.rclone("cat", "--s3-versions", f"s:{versioned}/{name}") for name in listed}
    assert found == {"first", "second!", "third"}


def test_what_was_deleted_is_restored_from_its_version(rclone, s3, versioned):
    s3.put_object(Bucket=versioned, Key="gone.txt", Body=b"still here")
    rclone.rclone("deletefile", f"s:{versioned}/gone.txt")
    assert names(rclone, versioned) == []
    (old,) = names(rclone, versioned, "--s3-versions")
    rclone.rclone("copyto", "--s3-versions", f"s:{versioned}/{old}", f"s:{versioned}/back.txt")
    assert s3.get_object(Bucket=versioned, Key="back.txt")["Body"].read() == b"still here"


def test_the_bucket_as_it_was(rclone, s3, versioned, tmp_path):
    s3.put_object(Bucket=versioned, Key="a", Body=b"then")
    s3.put_object(Bucket=versioned, Key="b", Body=b"then too")
    time.sleep(1.1)     # versions are told apart by the second in what rclone is asked
    then = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.1)
    s3.put_object(Bucket=versioned, Key="a", Body=b"now")
    s3.delete_object(Bucket=versioned, Key="b")
    s3.put_object(Bucket=versioned, Key="c", Body=b"new")
    assert names(rclone, versioned) == ["a", "c"]
    assert names(rclone, versioned, "--s3-version-at", then) == ["a", "b"]
    assert rclone.rclone("cat", "--s3-version-at", then, f"s:{versioned}/a") == "then"


def test_versioning_is_switched_and_what_is_hidden_is_cleaned_up(rclone, s3, bucket):
    rclone.rclone("backend", "versioning", f"s:{bucket}", "Enabled")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    s3.put_object(Bucket=bucket, Key="deleted", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="deleted")
    rclone.rclone("backend", "cleanup-hidden", f"s:{bucket}")
    page = s3.list_object_versions(Bucket=bucket)
    assert [(one["Key"], one["IsLatest"]) for one in page["Versions"]] == [("k", True)]


def test_a_stream_of_unknown_length(rclone, bucket, s3):
    body = bytes(range(256)) * (11 * MIB // 256)
    done = subprocess.run(
        [program("rclone"), "--config", str(rclone.home / "rclone.conf"), "--s3-chunk-size", "5M", "rcat", f"s:{bucket}/streamed"],
        input=body, env=rclone.environ, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found = s3.get_object(Bucket=bucket, Key="streamed")
    assert found["Body"].read() == body and found["ETag"].endswith('-3"')


def test_modification_times_are_kept_by_a_copy_onto_itself(rclone, s3, bucket, new_file):
    rclone.up(new_file(1000), bucket, "timed")
    rclone.rclone("touch", "--timestamp", "2001-02-03T04:05:06", f"s:{bucket}/timed")
    assert "2001-02-03 04:05:06" in rclone.rclone("lsl", f"s:{bucket}/timed")
    assert s3.head_object(Bucket=bucket, Key="timed")["ContentLength"] == 1000
