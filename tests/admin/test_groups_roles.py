"""Groups, their members and policies, and roles, over the admin API."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import World, new_user


@pytest.mark.parametrize("kind", ["groups", "roles"])
def test_made_changed_and_deleted(api: Api, kind):
    name = unique()
    made = api.ok.post(f"/{kind}", {"name": name, "description": "first"})
    path = f"/{kind}/{made['id']}"
    assert api.ok.get(path) == made and (made["name"], made["description"], made["tenant_id"], made["policies"]) == (name, "first", 0, [])
    assert api.post(f"/{kind}", {"name": name}).status_code == 409
    tag = api.get(path).headers["ETag"]
    changed = api.ok.put(path, {"description": "second"})
    assert (changed["name"], changed["description"], changed["revision"]) == (name, "second", 2)
    for method, body in (("PUT", {"name": unique()}), ("DELETE", None)):
        assert api.ask(method, path, body, headers={"If-Match": tag}).status_code == 412
    other = api.ok.post(f"/{kind}", {"name": unique()})
    assert api.put(f"/{kind}/{other['id']}", {"name": name}).status_code == 409
    for wrong in ({"name": ""}, {"name": "a/b"}, {"description": "a\x07b"}, {"description": "x" * 1025}, {"tenant_id": 1}):
        assert api.put(path, wrong).status_code == 400, wrong
    assert [one["id"] for one in api.ok.get(f"/{kind}", name=name)["items"]] == [made["id"]]
    assert api.delete(path).status_code == 204 and api.get(path).status_code == 404


def test_an_old_etag_adds_and_removes_nothing(api: Api):
    """Neither members nor single policies, of which the reply of the group tells too."""
    group, user = api.ok.post("/groups", {"name": unique()}), new_user(api, access_key={})
    path, key = f"/groups/{group['id']}", f"/users/{user['id']}/access-keys/{user['access_key']['access_key']}"
    old = {"If-Match": api.get(path).headers["ETag"]}
    api.ok.put(f"{path}/policies/readonly")
    for method, line, body in (
        ("PUT", f"{path}/policies/writeonly", None), ("DELETE", f"{path}/policies/readonly", None),
        ("POST", f"{path}/members", {"user_id": user["id"]}), ("PUT", key, {"name": "x"}), ("PUT", f"{key}/policies/readonly", None),
    ):
        answer = api.ask(method, line, body, headers=old)
        assert (answer.status_code, answer.json()["code"]) == (412, "PreconditionFailed"), line
    shown = api.ok.get(path)
    assert (shown["policies"], shown["members"], api.ok.get(key)["name"]) == (["readonly"], 0, "")
    new = {"If-Match": api.get(path).headers["ETag"]}
    assert api.ask("POST", f"{path}/members", {"user_id": user["id"]}, headers=new).status_code == 200
    assert api.ask("DELETE", f"{path}/members/{user['id']}", headers=new).status_code == 412
    assert api.ask("DELETE", f"{path}/policies/readonly", headers={"If-Match": api.get(path).headers["ETag"]}).status_code == 200


def test_one_name_in_each_tenant(world: World):
    name = unique()
    assert world.admin.ok.post("/groups", {"name": name})["tenant_id"] == world.ours.id
    assert world.root.ok.post("/groups", {"name": name, "tenant_id": world.theirs.id})["tenant_id"] == world.theirs.id
    assert world.root.ok.post("/groups", {"name": name})["tenant_id"] == 0


def test_members_have_what_the_group_has(api: Api, bucket):
    group, user = api.ok.post("/groups", {"name": unique()}), new_user(api, access_key={})
    client = api.server.client(credentials=(user["access_key"]["access_key"], user["access_key"]["secret_key"]))
    path = f"/groups/{group['id']}"

    def may_put() -> bool:
        try:
            client.put_object(Bucket=bucket, Key="k", Body=b"x")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
            return False
        return True

    api.ok.put(f"{path}/policies", {"policies": ["readwrite"]})
    assert not may_put()
    assert api.ok.post(f"{path}/members", {"user_id": user["id"]})["members"] == 1
    assert api.ok.post(f"{path}/members", {"user_id": user["id"]})["members"] == 1
    assert may_put()
    assert [one["username"] for one in api.ok.get(f"{path}/members")["items"]] == [user["username"]]
    assert api.ok.get(f"/users/{user['id']}")["groups"] == [{"id": group["id"], "name": group["name"]}]
    api.ok.delete(f"{path}/policies/readwrite")
    assert not may_put()
    api.ok.put(f"{path}/policies/readwrite")
    assert may_put()
    assert api.ok.delete(f"{path}/members/{user['id']}")["members"] == 0
    assert not may_put()
    assert api.delete(f"{path}/members/{user['id']}").status_code == 404
    api.ok.post(f"{path}/members", {"user_id": user["id"]})
    assert api.delete(path).status_code == 204
    assert not may_put() and api.ok.get(f"/users/{user['id']}")["groups"] == []


def test_pages_of_members(api: Api):
    group = api.ok.post("/groups", {"name": unique()})
    made = [new_user(api, groups=[group["id"]])["id"] for _ in range(3)]
    first = api.ok.get(f"/groups/{group['id']}/members", limit=2)
    rest = api.ok.get(f"/groups/{group['id']}/members", limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in first["items"] + rest["items"]] == made and rest["next_cursor"] is None


@pytest.mark.parametrize("body", [{}, {"user_id": "1"}, {"user_id": 0}, {"user_id": 1, "x": 2}, [], None])
def test_members_that_are_none(api: Api, body):
    group = api.ok.post("/groups", {"name": unique()})
    assert api.post(f"/groups/{group['id']}/members", body).status_code == 400
    assert api.post(f"/groups/{group['id']}/members", {"user_id": 1 << 40}).status_code == 404
