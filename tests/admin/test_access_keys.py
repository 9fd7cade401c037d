"""Access keys over the admin API, seen at the S3 listener: what is made works, and what is ended does not."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import World, new_user, signed_in


def s3_of(api: Api, key: dict):
    return api.server.client(credentials=(key["access_key"], key["secret_key"]))


def code_of(call) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return refused.value.response["Error"]["Code"]


@pytest.fixture
def owner(api: Api):
    """A user with all S3 rights."""
    return new_user(api, policies=["readwrite"])


@pytest.fixture
def path(owner):
    return f"/users/{owner['id']}/access-keys"


def test_a_key_works_and_its_secret_is_shown_once(api: Api, owner, path):
    made = api.ok.post(path, {"name": "laptop"})
    assert made["access_key"].startswith("AKIA") and len(made["access_key"]) == 20 and len(made["secret_key"]) == 40
    s3_of(api, made).list_buckets()
    shown = api.ok.get(f"{path}/{made['access_key']}")
    assert shown == {key: value for key, value in made.items() if key != "secret_key"} | {"last_used_ms": shown["last_used_ms"]}
    for where in (path, f"{path}/{made['access_key']}", "/access-keys?limit=1000", f"/users/{owner['id']}"):
        assert made["secret_key"] not in api.get(where).text


def test_one_makes_and_ends_ones_own(api: Api, owner, path):
    client = signed_in(api, owner)
    made = client.ok.post(path, {})
    assert [one["access_key"] for one in client.ok.get(path)["items"]] == [made["access_key"]]
    assert client.ok.put(f"{path}/{made['access_key']}", {"name": "mine"})["name"] == "mine"
    assert client.delete(f"{path}/{made['access_key']}").status_code == 204
    assert client.get("/access-keys").status_code == 403
    assert client.post(path, {"access_key": "AKIAMYOWNCHOICE", "secret_key": "x" * 40}).status_code == 403


def test_switched_off_and_deleted_keys_do_not_sign(api: Api, path):
    made = api.ok.post(path, {})
    client = s3_of(api, made)
    client.list_buckets()
    assert api.ok.put(f"{path}/{made['access_key']}", {"status": "inactive"})["status"] == "inactive"
    assert code_of(client.list_buckets) in ("InvalidAccessKeyId", "AccessDenied")
    api.ok.put(f"{path}/{made['access_key']}", {"status": "active"})
    client.list_buckets()
    assert api.delete(f"{path}/{made['access_key']}").status_code == 204
    assert code_of(client.list_buckets) == "InvalidAccessKeyId"
    assert api.get(f"{path}/{made['access_key']}").status_code == 404


def test_a_key_ends_when_it_was_said_to(api: Api, path):
    made = api.ok.post(path, {"expires_ms": int(time.time() * 1000) + 1500})
    client = s3_of(api, made)
    client.list_buckets()
    time.sleep(1.7)
    assert code_of(client.list_buckets) in ("InvalidAccessKeyId", "AccessDenied", "ExpiredToken")
    assert api.ok.get(f"{path}/{made['access_key']}")["status"] == "expired"
    assert api.put(f"{path}/{made['access_key']}", {"expires_ms": 5}).status_code == 400


def test_a_scope_narrows(api: Api, path, bucket, new_bucket):
    other = new_bucket()
    made = api.ok.post(path, {"scope": {"buckets": [bucket], "prefixes": ["in/"], "actions": ["write", "list"]}})
    client = s3_of(api, made)
    client.put_object(Bucket=bucket, Key="in/k", Body=b"x")
    assert made["scope"] == {"buckets": [bucket], "prefixes": ["in/"], "actions": ["write", "list"]}
    for call in (
        lambda: client.put_object(Bucket=bucket, Key="out", Body=b"x"), lambda: client.put_object(Bucket=other, Key="in/k", Body=b"x"),
        lambda: client.get_object(Bucket=bucket, Key="in/k"), lambda: client.delete_object(Bucket=bucket, Key="in/k"),
        lambda: client.delete_bucket(Bucket=other),
    ):
        assert code_of(call) == "AccessDenied"
    api.ok.put(f"{path}/{made['access_key']}", {"scope": None})
    assert client.get_object(Bucket=bucket, Key="in/k")["Body"].read() == b"x"


def test_policies_narrow_too(api: Api, owner, path, bucket):
    made = signed_in(api, owner).ok.post(path, {"policies": ["readonly"]})
    client = s3_of(api, made)
    assert code_of(lambda: client.put_object(Bucket=bucket, Key="k", Body=b"x")) == "AccessDenied"
    assert api.ok.delete(f"{path}/{made['access_key']}/policies/readonly") == {"policies": []}
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert api.ok.put(f"{path}/{made['access_key']}/policies", {"policies": ["writeonly"]}) == {"policies": ["writeonly"]}
    assert code_of(lambda: client.get_object(Bucket=bucket, Key="k")) == "AccessDenied"
    assert api.delete(f"{path}/{made['access_key']}/policies/readonly").status_code == 404


@pytest.mark.parametrize("scope", [
    {}, {"buckets": []}, {"buckets": [""]}, {"buckets": "b"}, {"actions": ["fly"]}, {"colour": ["red"]}, {"prefixes": ["x" * 1025]}, [],
    "read", {"buckets": ["b"] * 101},
])
def test_scopes_that_are_none(api: Api, path, scope):
    assert api.post(path, {"scope": scope}).status_code == 400
    assert api.ok.get(path)["items"] == []


def test_a_rotated_key_overlaps(api: Api, path):
    old = api.ok.post(path, {"name": "ci", "scope": {"actions": ["read", "list"]}, "policies": ["readonly"]})
    new = api.ok.post(f"{path}/{old['access_key']}/rotate", {"overlap_s": 3600})
    assert (new["name"], new["scope"], new["policies"]) == (old["name"], old["scope"], old["policies"])
    assert new["access_key"] != old["access_key"] and new["secret_key"] != old["secret_key"] and new["expires_ms"] is None
    for key in (old, new):
        s3_of(api, key).list_buckets()
    shown = api.ok.get(f"{path}/{old['access_key']}")
    assert abs(shown["expires_ms"] - time.time() * 1000 - 3_600_000) < 60_000


def test_no_overlap_ends_at_once(api: Api, path):
    old = api.ok.post(path, {})
    new = api.ok.post(f"{path}/{old['access_key']}/rotate", {"overlap_s": 0})
    s3_of(api, new).list_buckets()
    assert code_of(s3_of(api, old).list_buckets) in ("InvalidAccessKeyId", "AccessDenied", "ExpiredToken")
    assert api.post(f"{path}/{old['access_key']}/rotate", {}).status_code == 409
    for overlap in (-1, 90 * 86_400 + 1, "1"):
        assert api.post(f"{path}/{new['access_key']}/rotate", {"overlap_s": overlap}).status_code == 400


def test_given_ids_and_secrets(api: Api, path):
    given = {"access_key": unique("moved").replace("-", "_"), "secret_key": "a/secret+from=elsewhere"}
    made = api.ok.post(path, given)
    assert {key: made[key] for key in given} == given
    s3_of(api, made).list_buckets()
    assert api.post(path, given).status_code == 409
    for wrong in ({"access_key": given["access_key"] + "2"}, {**given, "access_key": "a/b"}, {**given, "secret_key": "short"}):
        assert api.post(path, wrong).status_code == 400


def test_a_tenants_limit(world: World):
    tenant = world.root.ok.post("/tenants", {"name": unique("t"), "max_access_keys": 1, "max_users": 2})
    user = new_user(world.root, tenant["id"], access_key={})
    path = f"/users/{user['id']}/access-keys"
    for call in (lambda: world.root.post(path, {}),
                 lambda: world.root.post("/users", {"username": unique(), "tenant_id": tenant["id"], "access_key": {}})):
        answer = call()
        assert (answer.status_code, answer.json()["code"]) == (403, "QuotaExceeded")
    shown = world.root.ok.get(f"/tenants/{tenant['id']}")
    assert (shown["current_users"], shown["current_access_keys"]) == (1, 1)
    new_user(world.root, tenant["id"])
    assert world.root.post("/users", {"username": unique(), "tenant_id": tenant["id"]}).status_code == 403


def test_root_has_its_one_key(api: Api):
    root = api.ok.get("/users", username="root")["items"][0]
    keys = f"/users/{root['id']}/access-keys"
    assert [one["access_key"] for one in api.ok.get(keys)["items"]] == [api.server.access_key]
    key = f"{keys}/{api.server.access_key}"
    for answer in (api.post(keys, {}), api.delete(key), api.put(key, {"status": "inactive"}), api.post(f"{key}/rotate", {})):
        assert answer.status_code == 409


def test_pages_of_all_keys(api: Api, path):
    made = sorted(api.ok.post(path, {})["access_key"] for _ in range(3))
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = api.ok.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [one["access_key"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made
