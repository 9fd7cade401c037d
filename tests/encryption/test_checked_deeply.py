"""`maxiofs check --deep` over encrypted objects: what was altered is found, and what cannot be read is told apart from it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from shared.settings import ROOT
from tests.admin.admin_client import Api
from tests.running import RunningServer

MIB = 1 << 20
LARGE = 100_000


def checked(data: Path) -> dict[str, int]:
    """How many findings of each kind; the exit code says whether all is well."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")} | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-P", "-m", "scripts.cli", "check", "--deep", "--json", "--data-dir", str(data)]
    done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode == 0) == report["ok"], done.stderr
    return {one["kind"]: one["count"] for one in report["findings"]} | {"ok": report["ok"]}


def change(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "maxiofs.db")) as db, db:
        assert db.execute(statement).rowcount == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an object of each kind: its server has stopped."""
    folder = tmp_path_factory.mktemp("deep") / "data"
    with RunningServer(data_dir=folder) as server:
        Api(server).sign_in(server.access_key, server.secret_key).ok.post("/encryption-keys", {"name": "ledger"})
        s3, kms = server.client(), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ledger"}
        s3.create_bucket(Bucket="bucket")
        for key, kind in (
            ("s3", {"ServerSideEncryption": "AES256"}), ("customers", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}),
        ):
            s3.put_object(Bucket="bucket", Key=key, Body=os.urandom(LARGE), **kind)
        where = {"Bucket": "bucket", "Key": "parts"}
        where["UploadId"] = s3.create_multipart_upload(**where, **kms)["UploadId"]
        first = s3.upload_part(**where, PartNumber=1, Body=os.urandom(5 * MIB))["ETag"]
        # a part that was copied in part has no checksum: only its seal says that it is what it was
        copied = s3.upload_part_copy(**where, PartNumber=2, CopySource="bucket/s3", CopySourceRange="bytes=10-90000")["CopyPartResult"]
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in ((1, first), (2, copied["ETag"]))]
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        s3.delete_object(Bucket="bucket", Key="s3")
        s3.copy_object(Bucket="bucket", Key="shared", CopySource="bucket/parts", ServerSideEncryption="AES256")
    return folder


def test_all_is_well(data):
    assert checked(data) == {"ok": True, "customers": 1}


def test_a_key_that_is_switched_off_is_no_damage(data):
    change(data, "UPDATE encryption_key SET is_enabled = 0 WHERE id = 'ledger'")
    assert checked(data) == {"ok": True, "customers": 1, "key_off": 1}
    change(data, "UPDATE encryption_key SET is_enabled = 1 WHERE id = 'ledger'")


def test_a_key_that_is_gone(data):
    change(data, "UPDATE encryption_key_version SET version = 9 WHERE key_id = 'ledger'")
    assert checked(data) == {"ok": False, "customers": 1, "key_missing": 1}
    change(data, "UPDATE encryption_key_version SET version = 1 WHERE key_id = 'ledger'")
    change(data, "UPDATE encryption_key SET id = 'other' WHERE id = 'ledger'")
    assert checked(data) == {"ok": False, "customers": 1, "key_missing": 1}
    change(data, "UPDATE encryption_key SET id = 'ledger' WHERE id = 'other'")


def test_what_was_altered(data):
    [copied] = [path for path in (data / "blobs").rglob("*") if path.is_file() and LARGE < path.stat().st_size < 2 * LARGE
                and not path.name.endswith(_customers(data))]
    with copied.open("r+b") as file:
        file.seek(70_000)
        byte = file.read(1)
        file.seek(70_000)
        file.write(bytes([byte[0] ^ 1]))
    assert checked(data) == {"ok": False, "customers": 1, "altered": 2}     # both that share the blob


def _customers(data: Path) -> str:
    with closing(sqlite3.connect(data / "maxiofs.db")) as db:
        (blob_id,), = db.execute("SELECT blob_id FROM object WHERE key = ?", (b"customers",))
    return bytes(blob_id).hex()
