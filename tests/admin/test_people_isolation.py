"""Who reaches whom: every function of people and tenants, asked about somebody else's by a tenant admin, and by those who may nothing."""

from __future__ import annotations

import pytest

from shared.registry import load
from tests.admin.admin_client import Api, unique
from tests.admin.people_world import ALLOW_ALL, Place, World, new_user, signed_in

NAMES = ("users", "access_keys", "groups", "policies", "roles", "tenants", "attachments", "auth_people")
MODULES = {f"functions.admin.{name}" for name in NAMES}
FUNCTIONS = [
    function for function in load(["admin.*"]).values()
    if function.call.__module__ in MODULES or function.line.startswith(("GET /api/v1/users/", "DELETE /api/v1/users/"))
]
ABOUT_ONE = [function for function in FUNCTIONS if "{" in function.line]
LISTS = [function for function in FUNCTIONS if function.line.startswith("GET ") and "{" not in function.line]

BODIES = {
    "update_user": {"display_name": "taken over"}, "create_access_key": {}, "update_access_key": {"status": "inactive"},
    "rotate_access_key": {}, "update_group": {"description": "taken over"}, "update_role": {"description": "taken over"},
    "add_group_member": {"user_id": 1}, "give_password": {"password": "Taken-Over-9"},
    "update_policy": {"description": "taken over"}, "update_tenant": {"max_users": 1000},
}


def body_of(function):
    """A body that would be good."""
    if function.takes is None:
        return None
    return {"policies": []} if function.takes.__name__ == "AttachedPolicies" else BODIES[function.name]


def ask(who: Api, function, place: Place):
    query = {"tenant_id": place.id} if "{policy}" in function.line and function.line.count("{") == 1 else {}
    return who.ask(function.line.partition(" ")[0], place.path(function.line), body_of(function), **query)


def snapshot(world: World, place: Place):
    """Everything that is in a place, as root sees it."""
    pages = ("/users", "/groups", "/roles", "/policies", "/access-keys")
    found = [world.root.ok.get(path, tenant_id=place.id, limit=1000)["items"] for path in pages]
    members = world.root.ok.get(f"/groups/{place.group['id']}/members")["items"]
    tenant = world.root.ok.get(f"/tenants/{place.id}") if place.id else None
    for row in found[0]:
        row.pop("locked_until_ms")
    for key in found[4]:
        key.pop("last_used_ms")
    return found, members, tenant


@pytest.mark.parametrize("function", ABOUT_ONE, ids=lambda one: one.name)
def test_what_is_another_tenants_is_not_there(world: World, function):
    before = snapshot(world, world.theirs)
    answer = ask(world.admin, function, world.theirs)
    assert (answer.status_code, answer.json()["code"]) == (404, "NotFound"), answer.text
    assert snapshot(world, world.theirs) == before


@pytest.mark.parametrize("function", [one for one in ABOUT_ONE if "{tenant}" not in one.line], ids=lambda one: one.name)
def test_what_is_the_installations_is_not_there_for_a_tenant(world: World, function):
    before = snapshot(world, world.installation)
    answer = ask(world.admin, function, world.installation)
    assert answer.status_code == 404, answer.text
    assert snapshot(world, world.installation) == before


@pytest.mark.parametrize("function", ABOUT_ONE, ids=lambda one: one.name)
def test_missing_and_foreign_look_the_same(world: World, function):
    nowhere = Place(1 << 40, {}, {"id": 1 << 40}, {"id": 1 << 40}, {"id": 1 << 40}, unique("p"), "AKIAMISSING", "")
    for who in (world.admin, world.user):
        missing, foreign = ask(who, function, nowhere), ask(who, function, world.theirs)
        assert missing.status_code == foreign.status_code and missing.status_code in (403, 404)
        assert missing.json() | {"request_id": ""} == foreign.json() | {"request_id": ""}


@pytest.mark.parametrize("function", LISTS, ids=lambda one: one.name)
def test_lists_show_a_tenant_its_own(world: World, function):
    path = function.line.partition(" ")[2].removeprefix("/api/v1")
    items = world.admin.ok.get(path, limit=1000)["items"]
    assert items
    assert {item.get("tenant_id", world.ours.id) for item in items if not item.get("is_builtin")} == {world.ours.id}
    if path == "/tenants":
        assert [item["id"] for item in items] == [world.ours.id]
    else:
        for other in (world.theirs.id, 0, 1 << 40):
            assert world.admin.get(path, tenant_id=other).status_code == 404
        assert world.admin.ok.get(path, tenant_id=world.ours.id, limit=1000)["items"] == items


@pytest.mark.parametrize(("path", "body"), [
    ("/users", {"username": "{}"}), ("/groups", {"name": "{}"}), ("/roles", {"name": "{}"}),
    ("/policies", {"name": "{}", "document": ALLOW_ALL}),
])
def test_nothing_is_made_in_another_tenant(world: World, path, body):
    made = {name: unique("x") if value == "{}" else value for name, value in body.items()}
    for other in (world.theirs.id, 0, 1 << 40):
        assert world.admin.post(path, made | {"tenant_id": other}).status_code == 404
        assert world.user.post(path, made | {"tenant_id": other}).status_code == 403
    assert world.root.post(path, made | {"tenant_id": 1 << 40}).status_code == 404
    answer = world.admin.ok.post(path, made)
    assert answer["tenant_id"] == world.ours.id


def test_what_is_theirs_does_not_get_into_what_is_ours(world: World):
    ours, theirs = world.ours, world.theirs
    for path, body in (
        (f"/groups/{ours.group['id']}/members", {"user_id": theirs.user["id"]}),
        (f"/groups/{ours.group['id']}/members", {"user_id": world.installation.user["id"]}),
        ("/users", {"username": unique("x"), "groups": [theirs.group["id"]]}),
        ("/users", {"username": unique("x"), "groups": [1 << 40]}),
        ("/users", {"username": unique("x"), "policies": [theirs.policy]}),
        ("/users", {"username": unique("x"), "policies": [world.installation.policy]}),
        (f"/users/{ours.user['id']}/access-keys", {"policies": [theirs.policy]}),
    ):
        assert world.admin.post(path, body).status_code == 404, (path, body)
    for policy in (theirs.policy, world.installation.policy, unique("p")):
        for path in (f"/users/{ours.user['id']}", f"/groups/{ours.group['id']}", f"/roles/{ours.role['id']}"):
            assert world.admin.put(f"{path}/policies/{policy}").status_code == 404
            assert world.admin.put(f"{path}/policies", {"policies": [policy]}).status_code == 404
    assert world.admin.get(f"/users/{ours.user['id']}/access-keys/{theirs.key}").status_code == 404
    assert world.admin.delete(f"/users/{ours.user['id']}/access-keys/{theirs.key}").status_code == 404


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.name)
def test_who_has_no_policy_for_it_is_refused(world: World, powerless: Api, function):
    """Readonly and readwrite are about S3; only oneself is there for everybody."""
    for who, places in ((world.user, (world.theirs,)), (powerless, (world.ours, world.theirs))):
        for place in places:
            if "{" in function.line:
                answer = ask(who, function, place)
            else:
                body = None if function.takes is None else {"name": unique("x")}
                if function.name == "create_policy":
                    body = {"name": unique("x"), "document": ALLOW_ALL}
                if function.name == "create_user":
                    body = {"username": unique("x")}
                answer = who.ask(function.line.partition(" ")[0], function.line.partition(" ")[2], body)
            if function.name == "list_tenants" and who is world.user:
                assert [item["id"] for item in answer.json()["items"]] == [world.ours.id]
            else:
                assert answer.status_code in (403, 404), answer.text


@pytest.fixture(scope="module")
def powerless(world: World) -> Api:
    """Somebody of no tenant, with all S3 rights and no others."""
    return signed_in(world.root, new_user(world.root, policies=["readwrite"]))


def test_a_tenants_limits_are_not_its_own_to_change(world: World):
    path = f"/tenants/{world.ours.id}"
    assert world.admin.ok.get(path) == world.user.ok.get(path)
    for answer in (
        world.admin.put(path, {"max_users": 1000}), world.admin.put(path, {"status": "active"}), world.admin.delete(path),
        world.admin.delete(path, force="true"), world.admin.post("/tenants", {"name": unique("t")}),
    ):
        assert answer.status_code == 403, answer.text


def test_ids_that_are_none_are_not_found(world: World):
    for text in ("0", "-1", "1e3", "x", "%00", "99999999999999999999999", "1%2F..", "٣"):
        for path in ("users", "groups", "roles", "tenants"):
            assert world.root.get(f"/{path}/{text}").status_code in (400, 404), (path, text)
