"""Access control lists in the admin API."""

from __future__ import annotations

import pytest

from tests.admin.admin_client import Api

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.fixture
def listed(api: Api, bucket: str) -> str:
    """A bucket where ACLs count and may be public."""
    api.ok.put(f"/buckets/{bucket}/ownership", {"ownership": "ObjectWriter"})
    api.ok.put(f"/buckets/{bucket}/public-access-block", {"public_access": None})
    return bucket


def test_where_acls_are_switched_off_there_is_only_the_owners(api: Api, bucket):
    found = api.ok.get(f"/buckets/{bucket}/acl")
    assert found["grants"] == [{"grantee": found["owner"], "permission": "FULL_CONTROL"}]
    refused(api.put(f"/buckets/{bucket}/acl", {"canned": "public-read"}), 400, "AccessControlListNotSupported")


def test_a_buckets_list(api: Api, s3, listed):
    found = api.ok.put(f"/buckets/{listed}/acl", {"canned": "public-read"})
    assert {"grantee": EVERYBODY, "permission": "READ"} in found["grants"] and api.ok.get(f"/buckets/{listed}/acl") == found
    assert api.ok.get(f"/buckets/{listed}")["is_public"] is True
    mine = {"grants": [{"grantee": found["owner"], "permission": "FULL_CONTROL"}]}
    assert api.ok.put(f"/buckets/{listed}/acl", mine)["grants"] == mine["grants"]
    assert [one["Grantee"]["ID"] for one in s3.get_bucket_acl(Bucket=listed)["Grants"]] == [found["owner"]]
    nobody = {"grants": [{"grantee": "0" * 64, "permission": "READ"}]}
    refused(api.put(f"/buckets/{listed}/acl", nobody), 400, "InvalidArgument")
    refused(api.ask("PUT", f"/buckets/{listed}/acl", mine, headers={"If-Match": '"1"'}), 412, "PreconditionFailed")


def test_an_objects_list(api: Api, s3, nobody, listed):
    s3.put_object(Bucket=listed, Key="a/b", Body=b"x")
    path = f"/buckets/{listed}/objects/a%2Fb/acl"
    assert len(api.ok.get(path)["grants"]) == 1
    assert len(api.ok.put(path, {"canned": "public-read"})["grants"]) == 2
    assert nobody.get_object(Bucket=listed, Key="a/b")["Body"].read() == b"x"
    refused(api.get(f"/buckets/{listed}/objects/none/acl"), 404, "NoSuchKey")


def test_a_list_is_canned_or_told_and_not_both(api: Api, listed):
    for body in ({}, {"canned": "private", "grants": []}, {"canned": "mine"}, {"grants": [{"grantee": "x", "permission": "ALL"}]}):
        refused(api.put(f"/buckets/{listed}/acl", body), 400, "InvalidFields")
