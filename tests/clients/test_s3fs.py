"""A bucket as a file system: s3fs mounts it, and what the kernel asks of it becomes objects."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import program
from tests.clients.test_clients import contents
from tests.running import RunningServer

MIB = 1 << 20
MOUNT_TIMEOUT_S = 20


@pytest.fixture
def mounted(server: RunningServer, bucket: str, tmp_path: Path) -> Iterator[Path]:
    """The bucket as a folder. Skips where s3fs is not installed or nothing can be mounted."""
    command, unmount = program("s3fs"), shutil.which("fusermount") or shutil.which("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not unmount:
        pytest.skip("nothing can be mounted here: no /dev/fuse")
    folder, secret, log = tmp_path / "mounted", tmp_path / "passwd", tmp_path / "s3fs.log"
    folder.mkdir()
    secret.write_text(f"{server.access_key}:{server.secret_key}\n")
    secret.chmod(0o600)
    options = f"passwd_file={secret},url={server.url},use_path_request_style,endpoint={server.region},multipart_size=10,retries=1"
    with log.open("wb") as out:
        running = subprocess.Popen([command, bucket, str(folder), "-f", "-o", options], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until_s = time.monotonic() + MOUNT_TIMEOUT_S
        while not os.path.ismount(folder):
            if running.poll() is not None and "fuse" in (said := log.read_text(errors="replace")):
                pytest.skip(f"nothing can be mounted here: {said[-300:]}")
            assert running.poll() is None and time.monotonic() < until_s, log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        yield folder
    finally:
        subprocess.run([unmount, "-u", "-z", str(folder)], check=False, capture_output=True)
        if running.poll() is None:
            running.terminate()
        running.wait(30)


def keys(s3, bucket: str) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_folders_files_and_modes(mounted, s3, bucket):
    (mounted / "a" / "b").mkdir(parents=True)
    (mounted / "a" / "ümläut +1.txt").write_bytes(b"hello")
    (mounted / "a" / "ümläut +1.txt").chmod(0o640)
    assert keys(s3, bucket) == ["a/", "a/b/", "a/ümläut +1.txt"]
    folder, file = s3.head_object(Bucket=bucket, Key="a/"), s3.head_object(Bucket=bucket, Key="a/ümläut +1.txt")
    assert folder["ContentType"].startswith("application/x-directory") and folder["ContentLength"] == 0
    assert int(file["Metadata"]["mode"]) & 0o777 == 0o640
    with pytest.raises(OSError, match="not empty"):
        (mounted / "a").rmdir()
    (mounted / "a" / "b").rmdir()
    with (mounted / "a" / "ümläut +1.txt").open("ab") as out:
        out.write(b" world")
    assert keys(s3, bucket) == ["a/", "a/ümläut +1.txt"]
    assert s3.get_object(Bucket=bucket, Key="a/ümläut +1.txt")["Body"].read() == b"hello world"


def test_a_tree_is_copied_renamed_and_removed(mounted, new_file, tmp_path, s3, bucket):
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    for number, name in enumerate(("one", "deep/two", "deep/er/three four")):
        new_file(50_000 * number, number, name=f"tree/{name}")
    shutil.copytree(tree, mounted / "old")
    (mounted / "old").rename(mounted / "new")
    assert contents(mounted / "new") == contents(tree)
    assert [key for key in keys(s3, bucket) if not key.endswith("/")] == ["new/deep/er/three four", "new/deep/two", "new/one"]
    (mounted / "link").symlink_to("new/one")
    assert os.readlink(mounted / "link") == "new/one"
    shutil.rmtree(mounted / "new")
    assert keys(s3, bucket) == ["link"]


def test_a_large_file_is_sent_in_parts_and_changed_in_the_middle(mounted, new_file, s3, bucket):
    body = new_file(32 * MIB + 3).read_bytes()
    (mounted / "large").write_bytes(body)
    assert "-" in s3.head_object(Bucket=bucket, Key="large")["ETag"]
    with (mounted / "large").open("r+b") as file:       # what stays is copied by the server, part by part
        file.seek(12 * MIB)
        file.write(b"changed")
    wanted = body[: 12 * MIB] + b"changed" + body[12 * MIB + 7 :]
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == wanted
    (mounted / "large").rename(mounted / "moved")
    assert (mounted / "moved").read_bytes() == wanted and keys(s3, bucket) == ["moved"]
