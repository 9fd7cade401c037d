"""Real clients behind one small interface, so that what one wrote can be read by another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from tests.running import RunningServer

BIN = Path(sys.executable).parent
TIMEOUT_S = 600
DOMAIN = "s3.clients.test"      # of the server that clients ask with bucket names in the host


class Program(ABC):
    """One client program or library, set up for a server. ``home`` is a folder for its settings and caches.

    ``tree`` says whether it copies and mirrors folders, ``quick`` whether starting it takes well below a second.
    """

    name = ""
    tree = quick = True

    def __init__(self, server: RunningServer, home: Path) -> None:
        self.server, self.home = server, home
        self.set_up()

    def set_up(self) -> None:  # noqa: B027 (some need none)
        """Write settings files."""

    @abstractmethod
    def up(self, file: Path, bucket: str, key: str) -> None:
        """Upload a file."""

    @abstractmethod
    def down(self, bucket: str, key: str, file: Path) -> None:
        """Download an object."""

    @abstractmethod
    def delete(self, bucket: str, key: str) -> None:
        """Delete an object."""

    @abstractmethod
    def keys(self, bucket: str) -> list[str]:
        """List every key."""

    def mirror(self, folder: Path, bucket: str) -> None:
        """Make the bucket hold what the folder holds, and nothing else."""
        raise NotImplementedError

    def mirror_back(self, bucket: str, folder: Path) -> None:
        """Make the folder hold what the bucket holds."""
        raise NotImplementedError

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the program: ours without settings of other installations."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", "S3_", "MAXIOFS_", "RESTIC_"))}
        return kept | {
            "HOME": str(self.home),
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_DEFAULT_REGION": self.server.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.home / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *command: str | Path, environ: dict[str, str] | None = None) -> str:
        """Run a program and return what it printed; its failure fails the test with all it said."""
        words = [str(word) for word in command]
        done = subprocess.run(
            words, env=environ or self.environ, capture_output=True, timeout=TIMEOUT_S, check=False, cwd=self.home, stdin=subprocess.DEVNULL
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}\n{out[-3000:]}\n{err[-3000:]}"
        return out


def program(name: str) -> str:
    """The path of a client program. Skips the test when it is not installed."""
    found = str(BIN / name) if (BIN / name).exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (Debian package {name})")
    return found


class AwsCli(Program):
    """aws s3: part by part and in threads above 8 MiB, checksums as trailers over TLS, as headers else."""

    name = "awscli"
    quick = False

    def s3(self, *words: str | Path) -> str:
        return self.run(sys.executable, program("aws"), "--endpoint-url", self.server.url, "s3", *words)

    def up(self, file: Path, bucket: str, key: str) -> None:
        self.s3("cp", "--no-progress", file, f"s3://{bucket}/{key}")

    def down(self, bucket: str, key: str, file: Path) -> None:
        self.s3("cp", "--no-progress", f"s3://{bucket}/{key}", file)

    def delete(self, bucket: str, key: str) -> None:
        self.s3("rm", f"s3://{bucket}/{key}")

    def keys(self, bucket: str) -> list[str]:
        return [line[31:] for line in self.s3("ls", "--recursive", f"s3://{bucket}").splitlines()]

    def mirror(self, folder: Path, bucket: str) -> None:
        self.s3("sync", "--no-progress", "--delete", folder, f"s3://{bucket}")

    def mirror_back(self, bucket: str, folder: Path) -> None:
        self.s3("sync", "--no-progress", f"s3://{bucket}", folder)


class Boto3(Program):
    """boto3's transfer manager."""

    name = "boto3"
    tree = False

    def up(self, file: Path, bucket: str, key: str) -> None:
        self.server.client().upload_file(str(file), bucket, key)

    def down(self, bucket: str, key: str, file: Path) -> None:
        self.server.client().download_file(bucket, key, str(file))

    def delete(self, bucket: str, key: str) -> None:
        self.server.client().delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str) -> list[str]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]


class MinioPy(Program):
    """minio-py: signed payloads over HTTP."""

    name = "minio-py"
    tree = False

    def set_up(self) -> None:
        from minio import Minio

        self.client = Minio(self.server.host, access_key=self.server.access_key, secret_key=self.server.secret_key, secure=False)

    def up(self, file: Path, bucket: str, key: str) -> None:
        self.client.fput_object(bucket, key, str(file))

    def down(self, bucket: str, key: str, file: Path) -> None:
        self.client.fget_object(bucket, key, str(file))

    def delete(self, bucket: str, key: str) -> None:
        self.client.remove_object(bucket, key)

    def keys(self, bucket: str) -> list[str]:
        return [str(one.object_name) for one in self.client.list_objects(bucket, recursive=True)]


class Obstore(Program):
    """obstore (Rust's object_store): unsigned payloads, multipart above 5 MiB."""

    name = "obstore"
    tree = False

    def store(self, bucket: str):
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.server.url,
            access_key_id=self.server.access_key,
            secret_access_key=self.server.secret_key,
            region=self.server.region,
            client_options={"allow_http": True, "timeout": "300s"},
        )

    def up(self, file: Path, bucket: str, key: str) -> None:
        import obstore

        obstore.put(self.store(bucket), key, file)

    def down(self, bucket: str, key: str, file: Path) -> None:
        import obstore

        with file.open("wb") as out:
            for block in obstore.get(self.store(bucket), key).stream(min_chunk_size=1 << 20):
                out.write(block)

    def delete(self, bucket: str, key: str) -> None:
        import obstore

        obstore.delete(self.store(bucket), key)

    def keys(self, bucket: str) -> list[str]:
        import obstore

        return [one["path"] for page in obstore.list(self.store(bucket)) for one in page]


class Rclone(Program):
    """rclone: v4 signatures, multipart above 200 MiB unless told otherwise, If-Match on its parallel reads."""

    name = "rclone"

    def set_up(self) -> None:
        (self.home / "rclone.conf").write_text(
            f"[s]\ntype = s3\nprovider = Other\naccess_key_id = {self.server.access_key}\nsecret_access_key = {self.server.secret_key}\n"
            f"endpoint = {self.server.url}\nregion = {self.server.region}\n"
        )

    def rclone(self, *words: str | Path) -> str:
        return self.run(
            program("rclone"),
            "--config",
            self.home / "rclone.conf",
            "--s3-upload-cutoff",
            "16M",
            "--s3-chunk-size",
            "8M",
            "--retries",
            "1",
            *words,
        )

    def up(self, file: Path, bucket: str, key: str) -> None:
        self.rclone("copyto", file, f"s:{bucket}/{key}")

    def down(self, bucket: str, key: str, file: Path) -> None:
        self.rclone("copyto", f"s:{bucket}/{key}", file)

    def delete(self, bucket: str, key: str) -> None:
        self.rclone("deletefile", f"s:{bucket}/{key}")

    def keys(self, bucket: str) -> list[str]:
        return self.rclone("lsf", "--recursive", "--files-only", f"s:{bucket}").splitlines()

    def mirror(self, folder: Path, bucket: str) -> None:
        self.rclone("sync", folder, f"s:{bucket}")

    def mirror_back(self, bucket: str, folder: Path) -> None:
        self.rclone("sync", f"s:{bucket}", folder)


class S5cmd(Program):
    """s5cmd: many workers; encodes the copy source in its own way."""

    name = "s5cmd"

    def s5cmd(self, *words: str | Path) -> str:
        return self.run(program("s5cmd"), "--endpoint-url", self.server.url, "--retry-count", "0", *words)

    def up(self, file: Path, bucket: str, key: str) -> None:
        self.s5cmd("cp", "--raw", file, f"s3://{bucket}/{key}")

    def down(self, bucket: str, key: str, file: Path) -> None:
        self.s5cmd("cp", "--raw", f"s3://{bucket}/{key}", file)

    def delete(self, bucket: str, key: str) -> None:
        self.s5cmd("rm", "--raw", f"s3://{bucket}/{key}")

    def keys(self, bucket: str) -> list[str]:
        import json

        return [json.loads(line)["key"].partition(bucket + "/")[2] for line in self.s5cmd("--json", "ls", f"s3://{bucket}/*").splitlines()]

    def mirror(self, folder: Path, bucket: str) -> None:
        self.s5cmd("sync", "--delete", f"{folder}/", f"s3://{bucket}/")

    def mirror_back(self, bucket: str, folder: Path) -> None:
        self.s5cmd("sync", f"s3://{bucket}/*", f"{folder}/")


class S3cmd(Program):
    """s3cmd: asks for the location first; MD5 in metadata; multipart from 15 MiB."""

    name = "s3cmd"

    def set_up(self) -> None:
        host = self.server.host
        (self.home / "s3cfg").write_text(
            f"[default]\naccess_key = {self.server.access_key}\nsecret_key = {self.server.secret_key}\nhost_base = {host}\n"
            f"host_bucket = {host}\n"
            "use_https = False\nsignature_v2 = False\nencoding = UTF-8\n"
        )

    def s3cmd(self, *words: str | Path) -> str:
        return self.run(program("s3cmd"), "-c", self.home / "s3cfg", "--no-progress", *words)

    def up(self, file: Path, bucket: str, key: str) -> None:
        self.s3cmd("put", file, f"s3://{bucket}/{key}")

    def down(self, bucket: str, key: str, file: Path) -> None:
        self.s3cmd("get", "--force", f"s3://{bucket}/{key}", file)

    def delete(self, bucket: str, key: str) -> None:
        self.s3cmd("del", f"s3://{bucket}/{key}")

    def keys(self, bucket: str) -> list[str]:
        return [line.partition(f"s3://{bucket}/")[2] for line in self.s3cmd("ls", "--recursive", f"s3://{bucket}").splitlines()]

    def mirror(self, folder: Path, bucket: str) -> None:
        self.s3cmd("sync", "--delete-removed", f"{folder}/", f"s3://{bucket}/")

    def mirror_back(self, bucket: str, folder: Path) -> None:
        self.s3cmd("sync", f"s3://{bucket}/", f"{folder}/")


PROGRAMS: dict[str, type[Program]] = {one.name: one for one in (AwsCli, Boto3, MinioPy, Obstore, Rclone, S5cmd, S3cmd)}
