"""Deleting a bucket with all it holds, by the admin API."""

from __future__ import annotations

import time

from tests.admin.admin_client import Api, unique


def test_force_deletes_a_full_bucket(api: Api, s3, versioned):
    for key in ("a", "a", "b"):
        s3.put_object(Bucket=versioned, Key=key, Body=b"x")
    s3.delete_object(Bucket=versioned, Key="b")
    s3.create_multipart_upload(Bucket=versioned, Key="c")
    assert api.delete(f"/buckets/{versioned}").json()["code"] == "BucketNotEmpty"
    assert api.ask("DELETE", f"/buckets/{versioned}?force=true", headers={"If-Match": '"4711"'}).status_code == 412
    answer = api.ok.delete(f"/buckets/{versioned}", force=True)
    assert not answer["deleted"] and answer["run_id"] > 0
    deadline = time.monotonic() + 30
    while api.get(f"/buckets/{versioned}").status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = api.ok.get("/audit-logs", resource_name=versioned)["items"]
    assert [(one["event_type"], one["status"]) for one in found[:3]] == [
        ("bucket_force_deleted", "success"), ("bucket_force_deleted", "failed"), ("bucket_deleted", "failed")]


def test_force_takes_more_than_deleting_a_bucket(api: Api, world):
    """Its owner may delete it when it is empty; without the admin action not what others have put there."""
    bucket, own = unique("b"), world.user
    own.ok.post("/buckets", {"name": bucket})
    refused = own.delete(f"/buckets/{bucket}", force=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "AccessDenied")
    assert api.get(f"/buckets/{bucket}").status_code == 200
    assert not world.admin.ok.delete(f"/buckets/{bucket}", force=True)["deleted"]
