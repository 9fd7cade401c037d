"""Users over the admin API: what is made, shown, changed and refused; rights nobody hands out without having them."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import ALLOW_ALL, PASSWORD, World, new_user, policy_for, signed_in
from tests.running import RunningServer


def test_a_user_is_what_was_asked_for(api: Api):
    name, email = unique("Ann B."), f"{unique()}@Example.org"
    made = api.ok.post("/users", {
        "username": name, "password": PASSWORD, "display_name": "Ann", "email": email, "policies": ["readonly"],
        "must_change_password": True,
    })
    assert made.pop("access_key") is None
    assert made == api.ok.get(f"/users/{made['id']}")
    wanted = {
        "username": name, "display_name": "Ann", "email": email.lower(), "status": "active", "tenant_id": 0, "policies": ["readonly"],
        "has_password": True, "is_root": False,
    }
    assert {key: made[key] for key in wanted} == wanted
    assert made["must_change_password"] and len(made["canonical_id"]) == 64
    assert "password" not in made and "argon2" not in str(made)


def test_no_password_is_no_sign_in(api: Api, anonymous: Api):
    made = api.ok.post("/users", {"username": unique()})
    assert not made["has_password"]
    for password in ("x", ""):
        assert anonymous.post("/auth/login", {"username": made["username"], "password": password}).status_code in (400, 401)


@pytest.mark.parametrize("name", [
    "", " ann", "ann ", "a/b", "a\\b", "a\nb", "a\x00b", "a\x7fb", "a\u202eb", "a*", "a?", "${aws:username}", "a:b", "..", "-",
    "x" * 129, 'a"b', "<i>a", "a\u00a0b", "\ud800",
])
def test_names_that_are_none(api: Api, name):
    for path, field in (("/users", "username"), ("/groups", "name"), ("/roles", "name"), ("/tenants", "name"), ("/policies", "name")):
        answer = api.post(path, {field: name, **({"document": ALLOW_ALL} if path == "/policies" else {})})
        assert answer.status_code == 400 and field in answer.json()["fields"], answer.text


@pytest.mark.parametrize("name", ["ann@example.org", "Ann Müller", "名前", "o.k_+=,-~!", "Robert) DROP TABLE principal --", "ﾊﾝｶｸ"])
def test_names_of_all_kinds(api: Api, name):
    made = api.ok.post("/users", {"username": f"{name}{unique('')}"})
    assert api.ok.get("/users", username=made["username"])["items"] == [api.ok.get(f"/users/{made['id']}")]


@pytest.mark.parametrize("body", [
    {}, {"username": 5}, {"username": "x", "colour": "red"}, {"username": "x", "email": "no address"},
    {"username": "x", "status": "gone"}, {"username": "x", "password": ""}, {"username": "x", "password": "short"},
    {"username": "x", "tenant_id": "1"}, {"username": "x", "tenant_id": -1},
    {"username": "x", "policies": "readonly"}, {"username": "x", "groups": ["1"]}, {"username": "x", "is_root": True},
    {"username": "x", "access_key": {"expires_ms": 1}}, {"username": "x", "access_key": {"scope": {}}},
    {"username": "x", "access_key": {"access_key": "AKIAGIVEN"}},
])
def test_bodies_that_are_none(api: Api, body):
    body = {**body, **({"username": unique()} if body.get("username") == "x" else {})}
    answer = api.post("/users", body)
    assert answer.status_code == 400 and answer.json()["fields"], answer.text
    if isinstance(body.get("username"), str):
        assert api.ok.get("/users", username=body["username"])["items"] == []


def test_names_and_addresses_are_there_once(api: Api):
    made = api.ok.post("/users", {"username": unique(), "email": f"{unique()}@example.org"})
    for body, field in (
        ({"username": made["username"]}, "username"), ({"username": unique(), "email": made["email"].upper()}, "email"),
        ({"username": made["email"]}, "username"),
    ):
        answer = api.post("/users", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "AlreadyExists") and list(answer.json()["fields"]) == [field]


def test_all_or_nothing(api: Api):
    name = unique()
    assert api.post("/users", {"username": name, "policies": ["readonly", unique("none")]}).status_code == 404
    assert api.post("/users", {"username": name, "groups": [1 << 30]}).status_code == 404
    assert api.post("/users", {"username": name, "access_key": {"policies": [unique("none")]}}).status_code == 404
    assert api.ok.get("/users", username=name)["items"] == []


def test_an_etag_that_is_old_changes_nothing(api: Api):
    user = new_user(api)
    path = f"/users/{user['id']}"
    tag = api.get(path).headers["ETag"]
    assert api.ask("PUT", path, {"display_name": "first"}, headers={"If-Match": tag}).status_code == 200
    for method, body in (("PUT", {"display_name": "second"}), ("DELETE", None)):
        answer = api.ask(method, path, body, headers={"If-Match": tag})
        assert (answer.status_code, answer.json()["code"]) == (412, "PreconditionFailed")
    assert api.ok.get(path)["display_name"] == "first"
    assert api.ask("DELETE", path, headers={"If-Match": api.get(path).headers["ETag"]}).status_code == 204


def test_what_is_left_out_stays(api: Api):
    user = new_user(api, email=f"{unique()}@example.org", display_name="Ann")
    changed = api.ok.put(f"/users/{user['id']}", {"display_name": "Bea"})
    assert (changed["display_name"], changed["email"]) == ("Bea", user["email"])
    assert api.ok.put(f"/users/{user['id']}", {"email": None})["email"] is None
    assert api.put(f"/users/{user['id']}", {"username": "other"}).status_code == 400
    assert api.put(f"/users/{user['id']}", {"tenant_id": 5}).status_code == 400


def test_pages(world: World):
    first = world.root.ok.get("/users", tenant_id=world.ours.id, limit=1)
    rest = world.root.ok.get("/users", tenant_id=world.ours.id, cursor=first["next_cursor"], limit=1000)
    assert [one["id"] for one in first["items"] + rest["items"]] == [
        one["id"] for one in world.root.ok.get("/users", tenant_id=world.ours.id, limit=1000)["items"]
    ]
    assert rest["next_cursor"] is None and len(rest["items"]) >= 1
    found = world.root.ok.get("/users", search=world.ours.user["username"][2:].upper())["items"]
    assert [one["id"] for one in found] == [world.ours.user["id"]]
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 1001}, {"colour": 1}):
        assert world.root.get("/users", **wrong).status_code == 400


def test_one_sees_oneself_and_nobody_else(world: World):
    assert world.user.ok.get(f"/users/{world.ours.user['id']}")["username"] == world.ours.user["username"]
    assert [one["id"] for one in world.user.ok.get(f"/users/{world.ours.user['id']}/groups")["items"]] == [world.ours.group["id"]]
    assert world.user.get(f"/users/{world.ours.admin['id']}").status_code == 403
    assert world.user.put(f"/users/{world.ours.user['id']}", {"status": "active"}).status_code == 403


def test_who_is_switched_off_is_out_at_once(api: Api):
    user = new_user(api, policies=["readwrite"], access_key={})
    client = signed_in(api, user)
    s3 = api.server.client(credentials=(user["access_key"]["access_key"], user["access_key"]["secret_key"]))
    s3.list_buckets()
    api.ok.put(f"/users/{user['id']}", {"status": "inactive"})
    assert client.get("/auth/me").status_code == 401
    with pytest.raises(ClientError):
        s3.list_buckets()
    assert api.post("/auth/login", {"username": user["username"], "password": PASSWORD}).status_code == 401
    api.ok.put(f"/users/{user['id']}", {"status": "active"})
    s3.list_buckets()


def test_what_a_deleted_user_had_is_gone_and_what_they_stored_stays(api: Api, s3, bucket):
    user = new_user(api, policies=["readwrite"], access_key={}, groups=[(group := api.ok.post("/groups", {"name": unique()}))["id"]])
    client = signed_in(api, user)
    theirs = api.server.client(credentials=(user["access_key"]["access_key"], user["access_key"]["secret_key"]))
    theirs.put_object(Bucket=bucket, Key="k", Body=b"kept")
    assert api.delete(f"/users/{user['id']}").status_code == 204
    assert api.get(f"/users/{user['id']}").status_code == api.delete(f"/users/{user['id']}").status_code == 404
    assert client.get("/auth/me").status_code == 401
    with pytest.raises(ClientError) as refused:
        theirs.list_buckets()
    assert refused.value.response["Error"]["Code"] == "InvalidAccessKeyId"
    assert api.ok.get(f"/groups/{group['id']}")["members"] == 0
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    assert new_user(api)["id"] > user["id"]


def test_root_and_oneself_stay(api: Api, world: World):
    root = api.ok.get("/users", username="root")["items"][0]
    assert root["is_root"]
    assert api.delete(f"/users/{root['id']}").status_code == api.put(f"/users/{root['id']}", {"status": "inactive"}).status_code == 409
    me = f"/users/{world.ours.admin['id']}"
    assert world.admin.delete(me).status_code == world.admin.put(me, {"status": "inactive"}).status_code == 409


# ---- nobody hands out what they do not have ---------------------------------------------------------------------------------------------


def test_a_tenants_admin_hands_out_what_is_the_tenants(world: World):
    user = f"/users/{new_user(world.root, world.ours.id)['id']}"
    for name in ("readonly", "readwrite", "tenant-admin", world.ours.policy):
        assert name in world.admin.ok.put(f"{user}/policies/{name}")["policies"]
    assert world.admin.put(f"{user}/policies/administrator").status_code == 403
    assert world.admin.put(f"{user}/policies", {"policies": ["administrator"]}).status_code == 403
    assert world.admin.post("/users", {"username": unique(), "policies": ["administrator"]}).status_code == 403
    world.root.ok.put(f"/roles/{world.ours.role['id']}/policies/administrator")
    assert world.admin.delete(f"/roles/{world.ours.role['id']}/policies/administrator").status_code == 403
    world.root.ok.delete(f"/roles/{world.ours.role['id']}/policies/administrator")


def test_what_the_installation_attached_stays_and_is_not_replaced_under_its_name(world: World):
    guard = world.root.ok.post("/policies", {"name": unique("guard"), "document": ALLOW_ALL})["name"]
    user = f"/users/{new_user(world.root, world.ours.id, policies=[guard])['id']}"
    assert world.admin.delete(f"{user}/policies/{guard}").status_code == 404
    assert world.admin.put(f"{user}/policies", {"policies": []}).status_code == 404
    assert world.admin.post("/policies", {"name": guard, "document": ALLOW_ALL}).status_code == 409
    assert world.admin.ok.put(f"{user}/policies", {"policies": [guard, "readonly"]})["policies"] == sorted([guard, "readonly"])


@pytest.fixture(scope="module")
def desk(api: Api):
    """A global user who may do much with people, but is no administrator: (client, user, the policy)."""
    actions = ("List*", "Get*", "*User", "AttachPolicy", "DetachPolicy", "*AccessKey", "*GroupMember", "UpdatePolicy", "CreatePolicy",
               "DeleteGroup")
    document = policy_for(*(f"admin:{action}" for action in actions))
    name = api.ok.post("/policies", {"name": unique("desk"), "document": document})["name"]
    user = new_user(api, policies=[name])
    return signed_in(api, user), user, name


def test_who_is_no_administrator_hands_out_what_they_have(api: Api, desk):
    client, me, name = desk
    made = client.ok.post("/users", {"username": unique(), "policies": [name]})
    for policy in ("administrator", "readonly", "owner"):
        for path in (f"/users/{me['id']}", f"/users/{made['id']}"):
            assert client.put(f"{path}/policies/{policy}").status_code == 403
            assert client.put(f"{path}/policies", {"policies": [name, policy]}).status_code == 403
        assert client.post("/users", {"username": unique(), "policies": [policy]}).status_code == 403
    assert client.ok.delete(f"/users/{made['id']}/policies/{name}")["policies"] == []


def test_nobody_joins_a_group_that_may_do_more(api: Api, desk):
    client, me, _ = desk
    group = api.ok.post("/groups", {"name": unique()})
    api.ok.put(f"/groups/{group['id']}/policies/administrator")
    assert client.post(f"/groups/{group['id']}/members", {"user_id": me["id"]}).status_code == 403
    assert client.post("/users", {"username": unique(), "groups": [group["id"]]}).status_code == 403
    assert client.delete(f"/groups/{group['id']}").status_code == 403


def test_nobody_acts_as_who_may_do_more(api: Api, desk):
    client, _, _ = desk
    boss = new_user(api, policies=["administrator"], access_key={})
    path = f"/users/{boss['id']}"
    key = f"{path}/access-keys/{boss['access_key']['access_key']}"
    for method, where, body in (
        ("POST", f"{path}/access-keys", {}), ("POST", f"{key}/rotate", {}), ("DELETE", key, None), ("PUT", path, {"status": "inactive"}),
        ("PUT", path, {"email": "me@example.org"}), ("DELETE", path, None), ("PUT", f"{key}/policies", {"policies": []}),
        ("PUT", f"{path}/password", {"password": "Taken-Over-9"}),
    ):
        assert client.ask(method, where, body).status_code == 403, (method, where)
    root = api.ok.get("/users", username="root")["items"][0]
    for one in (client, signed_in(api, boss)):
        assert one.put(f"/users/{root['id']}", {"email": "me@example.org"}).status_code == 403


def test_nobody_rewrites_what_they_have(api: Api, desk):
    client, _, name = desk
    everything = {"document": policy_for("*")}
    assert client.put(f"/policies/{name}", everything).status_code == 403
    free = client.ok.post("/policies", {"name": unique(), "document": ALLOW_ALL})["name"]
    assert client.put(f"/policies/{free}", everything).status_code == 200
    assert client.put(f"/users/{desk[1]['id']}/policies/{free}").status_code == 403


def test_the_last_named_administrator_leaves_by_root_only():
    with RunningServer(processes=1) as server:
        root = Api(server).sign_in(server.access_key, server.secret_key)
        ann = new_user(root, policies=["administrator"])
        client, path = signed_in(root, ann), f"/users/{ann['id']}"
        for answer in (
            client.delete(f"{path}/policies/administrator"), client.put(f"{path}/policies", {"policies": ["readonly"]}),
            client.put(path, {"status": "inactive"}), client.delete(path),
        ):
            assert answer.status_code == 409, answer.text
        assert client.delete(f"{path}/policies/administrator").json()["code"] == "LastAdministrator"
        bob = new_user(root, policies=["administrator"])
        assert client.ok.delete(f"{path}/policies/administrator")["policies"] == []
        assert root.delete(f"/users/{bob['id']}").status_code == 204


def test_the_audit_log_tells_who_did_what(world: World):
    name = unique()
    made = world.admin.ok.post("/users", {"username": name, "password": PASSWORD})
    world.admin.post("/users", {"username": name})
    deadline = time.monotonic() + 10
    while len(events := world.admin.ok.get("/audit-logs", resource_name=name)["items"]) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {(one["event_type"], one["status"], one["tenant_id"]) for one in events} == {
        ("user_created", "success", world.ours.id), ("user_created", "failed", world.ours.id)
    }
    assert str(made["id"]) in {one["resource_id"] for one in events} and PASSWORD not in str(events)
