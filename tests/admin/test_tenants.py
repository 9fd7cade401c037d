"""Tenants over the admin API: limits, suspension, deletion."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import PASSWORD, new_user, signed_in


def test_a_tenant_is_what_was_asked_for(api: Api):
    given = {
        "name": unique("t"), "display_name": "Acme", "description": "a customer", "max_storage_bytes": 1 << 40, "max_objects": 5,
        "max_buckets": 4, "max_users": 3, "max_access_keys": 2,
    }
    made = api.ok.post("/tenants", given)
    assert {key: made[key] for key in given} == given and made["status"] == "active" and made["revision"] == 1
    assert {key: value for key, value in made.items() if key.startswith("current_")} == dict.fromkeys(
        ("current_storage_bytes", "current_objects", "current_buckets", "current_users", "current_access_keys"), 0
    )
    assert api.ok.get(f"/tenants/{made['id']}") == made == api.ok.get("/tenants", name=given["name"])["items"][0]
    assert api.post("/tenants", given).json()["code"] == "AlreadyExists"


def test_a_name_that_looks_like_the_number_of_an_account_is_refused(api: Api):
    for name in ("000000000000", "123456789012"):
        refused = api.post("/tenants", {"name": name})
        assert (refused.status_code, refused.json()["code"]) == (409, "Conflict"), refused.text
    assert len({api.ok.post("/tenants", {"name": unique("12345678901")})["id"] for _ in range(2)}) == 2


@pytest.mark.parametrize("wrong", [
    {"max_users": -1}, {"max_users": "3"}, {"max_users": 1.5}, {"max_storage_bytes": 1 << 63}, {"status": "deleting"},
    {"name": "other"}, {"id": 4}, {"current_users": 0},
])
def test_changes_that_are_none(api: Api, wrong):
    made = api.ok.post("/tenants", {"name": unique("t")})
    assert api.put(f"/tenants/{made['id']}", wrong).status_code == 400
    assert api.ok.get(f"/tenants/{made['id']}") == made


def test_an_etag_that_is_old_changes_nothing(api: Api):
    made = api.ok.post("/tenants", {"name": unique("t")})
    path = f"/tenants/{made['id']}"
    tag = api.get(path).headers["ETag"]
    assert api.ok.put(path, {"max_users": 7})["max_users"] == 7
    for method, body in (("PUT", {"max_users": 8}), ("DELETE", None)):
        assert api.ask(method, path, body, headers={"If-Match": tag}).status_code == 412
    assert api.ok.get(path)["max_users"] == 7


def test_nobody_of_a_suspended_tenant_is_served(api: Api):
    tenant = api.ok.post("/tenants", {"name": unique("t")})
    user = new_user(api, tenant["id"], policies=["readwrite"], access_key={})
    client = signed_in(api, user)
    s3 = api.server.client(credentials=(user["access_key"]["access_key"], user["access_key"]["secret_key"]))
    s3.list_buckets()
    assert api.ok.put(f"/tenants/{tenant['id']}", {"status": "suspended"})["status"] == "suspended"
    with pytest.raises(ClientError):
        s3.list_buckets()
    assert client.get("/auth/me").status_code in (401, 403)
    assert api.post("/auth/login", {"username": user["username"], "password": PASSWORD}).status_code == 401
    api.ok.put(f"/tenants/{tenant['id']}", {"status": "active"})
    s3.list_buckets()


def test_a_tenant_with_something_in_it_stays_unless_forced(api: Api, s3):
    tenant = api.ok.post("/tenants", {"name": unique("t")})
    path = f"/tenants/{tenant['id']}"
    user = new_user(api, tenant["id"], policies=["readwrite"], access_key={})
    theirs = api.server.client(credentials=(user["access_key"]["access_key"], user["access_key"]["secret_key"]))
    bucket = unique("b")
    theirs.create_bucket(Bucket=bucket)
    theirs.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused = api.delete(path)
    assert (refused.status_code, refused.json()["fields"]) == (409, {"buckets": "1", "users": "1"})
    answer = api.ok.delete(path, force="true")
    assert answer["deleted"] is False and answer["run_id"] > 0
    with pytest.raises(ClientError):
        theirs.list_buckets()
    assert api.post("/users", {"username": unique(), "tenant_id": tenant["id"]}).status_code == 404
    deadline = time.monotonic() + 30
    while (shown := api.get(path)).status_code == 200:
        assert shown.json()["status"] == "deleting" and time.monotonic() < deadline
        assert api.put(path, {"status": "active"}).status_code in (404, 409)
        time.sleep(0.1)
    assert api.get(f"/users/{user['id']}").status_code == 404
    with pytest.raises(ClientError):
        s3.head_bucket(Bucket=bucket)


def test_an_empty_tenant_goes_with_its_groups_and_policies(api: Api):
    tenant = api.ok.post("/tenants", {"name": unique("t")})
    group = api.ok.post("/groups", {"name": unique(), "tenant_id": tenant["id"]})
    assert api.ok.delete(f"/tenants/{tenant['id']}") == {"deleted": True, "run_id": None}
    assert api.get(f"/groups/{group['id']}").status_code == api.get(f"/tenants/{tenant['id']}").status_code == 404
    assert api.get("/users", tenant_id=tenant["id"]).json()["items"] == []


def test_users_of_a_tenant(api: Api):
    tenant = api.ok.post("/tenants", {"name": unique("t")})
    made = [new_user(api, tenant["id"])["id"] for _ in range(2)]
    assert [one["id"] for one in api.ok.get(f"/tenants/{tenant['id']}/users")["items"]] == made
    assert api.get(f"/tenants/{1 << 40}/users").status_code == 404
