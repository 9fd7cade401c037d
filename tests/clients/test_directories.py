"""Folders as file systems over S3 keep them: an empty object whose key ends in a slash, beside keys below it."""

from __future__ import annotations

import pytest

FOLDER = {"ContentType": "application/x-directory", "Metadata": {"mode": "16877", "uid": "1000", "mtime": "1700000000"}}


def make_folder(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"", **FOLDER)


def test_a_folder_and_a_file_of_the_same_name_are_two(s3, bucket):
    make_folder(s3, bucket, "a/")
    s3.put_object(Bucket=bucket, Key="a", Body=b"a file")
    assert s3.head_object(Bucket=bucket, Key="a/")["ContentType"] == "application/x-directory"
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 6
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [one["Key"] for one in page["Contents"]] == ["a"] and [one["Prefix"] for one in page["CommonPrefixes"]] == ["a/"]


def test_a_folder_lists_itself_and_what_is_below(s3, bucket):
    for key in ("a/", "a/b/"):
        make_folder(s3, bucket, key)
    for key in ("a/1", "a/b/2"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    page = s3.list_objects_v2(Bucket=bucket, Prefix="a/", Delimiter="/")
    assert [one["Key"] for one in page["Contents"]] == ["a/", "a/1"] and [one["Prefix"] for one in page["CommonPrefixes"]] == ["a/b/"]
    seen = s3.list_objects_v2(Bucket=bucket, Prefix="a/", MaxKeys=1)    # "is anything in it?"
    assert seen["IsTruncated"] and [one["Key"] for one in seen["Contents"]] == ["a/"]


def test_a_change_of_mode_is_a_copy_onto_itself(s3, bucket):
    make_folder(s3, bucket, "a/")
    changed = FOLDER["Metadata"] | {"mode": "16832"}
    s3.copy_object(
        Bucket=bucket, Key="a/", CopySource={"Bucket": bucket, "Key": "a/"}, MetadataDirective="REPLACE", Metadata=changed,
        ContentType=FOLDER["ContentType"],
    )  # fmt: skip
    found = s3.head_object(Bucket=bucket, Key="a/")
    assert (found["Metadata"], found["ContentType"], found["ContentLength"]) == (changed, FOLDER["ContentType"], 0)


def test_a_rename_of_a_folder_is_copies_and_deletes(s3, bucket):
    make_folder(s3, bucket, "old/")
    s3.put_object(Bucket=bucket, Key="old/file ü", Body=b"kept", Metadata={"mode": "33188"})
    for one in s3.list_objects_v2(Bucket=bucket, Prefix="old/")["Contents"]:
        to = "new/" + one["Key"].removeprefix("old/")
        s3.copy_object(Bucket=bucket, Key=to, CopySource={"Bucket": bucket, "Key": one["Key"]}, MetadataDirective="COPY")
        s3.delete_object(Bucket=bucket, Key=one["Key"])
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["new/", "new/file ü"]
    assert s3.head_object(Bucket=bucket, Key="new/")["Metadata"] == FOLDER["Metadata"]
    assert s3.head_object(Bucket=bucket, Key="new/file ü")["Metadata"] == {"mode": "33188"}


@pytest.fixture
def marking(client_of):
    """rclone with an object for each folder."""
    client = client_of("rclone")
    return lambda *words: client.rclone("--s3-directory-markers", *words)


def test_rclone_makes_keeps_and_removes_empty_folders(marking, s3, bucket, tmp_path):
    marking("mkdir", f"s:{bucket}/empty/inner")
    assert "empty/inner/" in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(marking("lsf", "--recursive", "--dirs-only", f"s:{bucket}").splitlines()) == ["empty/", "empty/inner/"]
    (tmp_path / "back").mkdir()
    marking("copy", "--create-empty-src-dirs", f"s:{bucket}", tmp_path / "back")
    assert (tmp_path / "back" / "empty" / "inner").is_dir()
    marking("rmdirs", f"s:{bucket}/empty")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_clients_that_know_no_folders_step_over_them(client_of, s3, bucket, tmp_path):
    make_folder(s3, bucket, "a/")
    s3.put_object(Bucket=bucket, Key="a/file", Body=b"found")
    for name in ("awscli", "rclone"):
        back = tmp_path / name
        back.mkdir()
        client_of(name).mirror_back(bucket, back)
        assert (back / "a" / "file").read_bytes() == b"found" and len(list(back.rglob("*"))) == 2, name
