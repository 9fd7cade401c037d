"""Deleting a bucket with all it holds, by the admin API."""

from __future__ import annotations

import time

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import signed_in


def ended(api: Api, run_id: int) -> dict:
    deadline = time.monotonic() + 30
    while (run := api.ok.get(f"/runs/{run_id}"))["finished_ms"] is None:
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return run


def test_force_deletes_a_full_bucket(api: Api, s3, versioned):
    for key in ("a", "a", "b"):
        s3.put_object(Bucket=versioned, Key=key, Body=b"x")
    s3.delete_object(Bucket=versioned, Key="b")
    s3.create_multipart_upload(Bucket=versioned, Key="c")
    assert api.delete(f"/buckets/{versioned}").json()["code"] == "BucketNotEmpty"
    assert api.ask("DELETE", f"/buckets/{versioned}?force=true", headers={"If-Match": '"4711"'}).status_code == 412
    answer = api.ok.delete(f"/buckets/{versioned}", force=True)
    assert not answer["deleted"] and answer["run_id"] > 0
    run = ended(api, answer["run_id"])
    assert (run["workflow"], run["tenant_id"], run["state"], run["error"]) == ("delete_bucket", 0, "done", None)
    assert run["done"] == run["total"] > 4 and run["finished_ms"] >= run["created_ms"]
    assert api.get(f"/buckets/{versioned}").status_code == 404
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


def test_a_run_is_seen_by_the_administrators_of_its_tenant(api: Api, world):
    bucket = unique("b")
    world.admin.ok.post("/buckets", {"name": bucket})
    run_id = world.admin.ok.delete(f"/buckets/{bucket}", force=True)["run_id"]
    assert ended(world.admin, run_id)["tenant_id"] == world.ours.id
    assert world.admin.ok.get(f"/runs/{run_id}")["message"] is None and bucket in api.ok.get(f"/runs/{run_id}")["message"]
    stranger = signed_in(api, world.theirs.admin)
    missing, foreign = stranger.get(f"/runs/{1 << 40}"), stranger.get(f"/runs/{run_id}")
    assert (foreign.status_code, foreign.json() | {"request_id": ""}) == (404, missing.json() | {"request_id": ""})
    assert world.user.get(f"/runs/{run_id}").status_code == 403
    deleting = api.ok.delete(f"/tenants/{api.ok.post('/tenants', {'name': unique('t')})['id']}", force=True)["run_id"]
    assert ended(api, deleting)["workflow"] == "delete_tenant"
    assert world.admin.get(f"/runs/{deleting}").status_code == 404
