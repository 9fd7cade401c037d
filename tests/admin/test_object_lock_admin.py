"""Object lock and the admin API: it makes such buckets, and does not get round it."""

from __future__ import annotations

import pytest

from tests.admin.admin_client import Api, unique
from tests.admin.test_force_delete import ended
from tests.s3.asking import read


@pytest.fixture
def locked(api: Api, s3):
    """A bucket with object lock and, under k, a version that is held; (its name, the version id)."""
    made = unique("bucket")
    document = api.ok.post("/buckets", {"name": made, "object_lock": True})
    assert (document["object_lock"], document["versioning"]) == (True, "Enabled")
    return made, s3.put_object(Bucket=made, Key="k", Body=b"data", ObjectLockLegalHoldStatus="ON")["VersionId"]


def test_a_bucket_is_made_with_object_lock_or_without(api: Api, s3, locked):
    assert s3.get_object_lock_configuration(Bucket=locked[0])["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    assert api.ok.post("/buckets", {"name": unique("bucket")})["object_lock"] is False
    answer = api.post("/buckets", {"name": unique("bucket"), "object_lock": True, "versioning": "Suspended"})
    assert (answer.status_code, answer.json()["code"]) == (409, "InvalidBucketState"), answer.text


def test_versioning_cannot_be_suspended(api: Api, locked):
    answer = api.put(f"/buckets/{locked[0]}/versioning", {"status": "Suspended"})
    assert (answer.status_code, answer.json()["code"]) == (409, "InvalidBucketState"), answer.text


def test_a_locked_version_is_not_deleted(api: Api, s3, locked):
    name, version = locked
    answer = api.delete(f"/buckets/{name}/objects/k", version_id=version)
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied"), answer.text
    assert api.post(f"/buckets/{name}/objects/k/rename", {"new_key": "n"}).status_code == 200
    assert read(s3, name, "k", VersionId=version) == b"data"


def test_force_does_not_delete_a_bucket_with_a_locked_version(api: Api, s3, locked):
    name, version = locked
    other = s3.put_object(Bucket=name, Key="other", Body=b"data")["VersionId"]
    run = ended(api, api.ok.delete(f"/buckets/{name}", force=True)["run_id"])
    assert run["state"] == "failed" and "Object lock" in run["error"]
    for key, one in (("k", version), ("other", other)):
        assert read(s3, name, key, VersionId=one) == b"data"
