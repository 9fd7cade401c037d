"""What the audit log has of S3 requests: over the wire, with a server of its own."""

import json
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from botocore.exceptions import ClientError

from shared.audit.export import view
from shared.audit.search import Filter, every
from shared.audit.store import Store
from shared.settings import ROOT
from tests.running import RunningServer


@pytest.fixture(scope="module")
def audited():
    with RunningServer() as running:
        yield running


def maxiofs(server, *arguments):
    command = [sys.executable, "-P", "-m", "scripts.cli", *arguments, "--data-dir", str(server.data_dir)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


def events(server, at_least=1, database_url="", **wanted):
    """The events that fit, oldest first; waits until there are as many as expected."""
    store = Store(database_url, server.data_dir, b"not needed to read")
    deadline = time.monotonic() + 10
    try:
        while True:
            found = [view(row) for row in every(store, Filter(**wanted))][::-1]
            if len(found) >= at_least or time.monotonic() > deadline:
                return found
            time.sleep(0.05)
    finally:
        store.close()


def test_writes_are_recorded_and_reads_are_not(audited):
    s3, nobody = audited.client(), audited.client(anonymous=True)
    s3.create_bucket(Bucket="one")
    s3.put_object(Bucket="one", Key="reports/höhe.txt", Body=b"x" * 10)
    s3.get_object(Bucket="one", Key="reports/höhe.txt")
    s3.list_objects_v2(Bucket="one")
    with pytest.raises(ClientError):
        nobody.put_object(Bucket="one", Key="intruder", Body=b"")
    s3.delete_objects(Bucket="one", Delete={"Objects": [{"Key": "reports/höhe.txt"}, {"Key": "other"}]})
    s3.delete_bucket(Bucket="one")
    found = sorted(events(audited, 5, resource_name="one"), key=lambda one: one["at_ms"])       # processes write one after the other
    assert [(one["event_type"], one["action"], one["status"], one["resource_id"], one["username"]) for one in found] == [
        ("bucket_created", "create", "success", "one", "root"),
        ("object_uploaded", "upload", "success", "reports/höhe.txt", "root"),
        ("object_uploaded", "upload", "failed", "intruder", ""),
        ("object_deleted", "delete", "success", "one", "root"),
        ("bucket_deleted", "delete", "success", "one", "root"),
    ]
    assert found[1]["details"]["bytes_in"] == 10 and found[1]["details"]["access_key"] == audited.access_key
    assert (found[2]["details"]["code"], found[2]["principal_id"]) == ("AccessDenied", None)
    assert found[3]["details"]["keys"] == ["reports/höhe.txt", "other"]
    assert all(one["address"] == "127.0.0.1" and one["request_id"] and one["at"].endswith("Z") for one in found)
    assert audited.logged(found[1]["request_id"])["operation"] == "PutObject"


def test_every_key_of_a_batch_is_recorded(audited):
    s3 = audited.client()
    s3.create_bucket(Bucket="batch")
    keys = [f"key-{number}" for number in range(250)]
    s3.delete_objects(Bucket="batch", Delete={"Objects": [{"Key": key} for key in keys]})
    found = events(audited, 3, resource_name="batch", event_type="object_deleted")
    assert [key for one in found for key in one["details"]["keys"]] == keys


def test_parts_are_no_events_of_their_own(audited):
    s3 = audited.client()
    s3.create_bucket(Bucket="parts")
    upload = s3.create_multipart_upload(Bucket="parts", Key="k")["UploadId"]
    etag = s3.upload_part(Bucket="parts", Key="k", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    s3.complete_multipart_upload(Bucket="parts", Key="k", UploadId=upload, MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]})
    found = sorted(events(audited, 3, resource_name="parts"), key=lambda one: one["at_ms"])
    assert [one["details"]["operation"] for one in found] == ["CreateBucket", "CreateMultipartUpload", "CompleteMultipartUpload"]
    assert [one["event_type"] for one in found] == ["bucket_created", "multipart_upload_created", "object_uploaded"]


def test_the_log_can_be_written_out_and_holds_no_secret(audited):
    done = maxiofs(audited, "audit", "export")
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[0])["id"], done.stderr
    assert audited.secret_key not in done.stdout and "Signature" not in done.stdout


def test_the_log_verifies_while_it_is_written(audited):
    done = maxiofs(audited, "audit", "verify")
    assert (done.returncode, "whole" in done.stdout) == (0, True), done.stdout + done.stderr


def test_events_survive_the_end_of_the_server_and_their_removal_shows(tmp_path):
    with RunningServer(data_dir=tmp_path / "data") as running:
        running.client().create_bucket(Bucket="one")
        running.client().create_bucket(Bucket="last")
        running.stop()
        assert [one["resource_name"] for one in events(running, 2, event_type="bucket_created")] == ["one", "last"]
        with sqlite3.connect(running.data_dir / "audit.db") as conn:
            conn.execute("DELETE FROM audit_event WHERE id = (SELECT MAX(id) FROM audit_event)")
        done = maxiofs(running, "audit", "verify", "--json")
        assert done.returncode == 1
        assert "is missing" in json.loads(done.stdout)["faults"][0]


def test_with_postgresql_the_log_is_there(postgres):
    url = postgres.fresh_database()
    with RunningServer(database_url=url) as running:
        running.client().create_bucket(Bucket="elsewhere")
        assert len(events(running, 1, url, event_type="bucket_created", resource_name="elsewhere", text="create elsewh")) == 1
        assert not (running.data_dir / "audit.db").exists()


def test_keys_that_a_batch_could_not_delete_are_failures(audited):
    s3 = audited.client()
    s3.create_bucket(Bucket="partly")
    s3.put_object(Bucket="partly", Key="kept", Body=b"1")
    done = s3.delete_objects(Bucket="partly", Delete={"Objects": [{"Key": "kept", "ETag": "no-such"}, {"Key": "gone"}]})
    assert [one["Key"] for one in done["Errors"]] == ["kept"]
    found = events(audited, 2, resource_name="partly", event_type="object_deleted")
    assert [(one["status"], one["details"]["keys"]) for one in found] == [("success", ["gone"]), ("failed", ["kept"])]
    assert found[1]["details"]["codes"] == ["PreconditionFailed"]
