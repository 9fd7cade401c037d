"""Identity policies over the admin API: documents, the place of their faults, who has them."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import ALLOW_ALL, World, new_user, policy_for

BUILTIN = ["administrator", "console", "owner", "readonly", "readwrite", "tenant-admin", "writeonly"]


def test_built_in_policies_come_first_and_stay(world: World):
    for who in (world.root, world.admin):
        first = who.ok.get("/policies", limit=3)
        rest = who.ok.get("/policies", limit=1000, cursor=first["next_cursor"])
        items = first["items"] + rest["items"]
        assert [one["name"] for one in items[: len(BUILTIN)]] == BUILTIN
        assert [one["name"] for one in items if one["is_builtin"]] == BUILTIN
    assert world.root.ok.get("/policies/readonly")["document"]["Statement"]
    for answer in (world.root.put("/policies/readonly", {"description": "x"}), world.root.delete("/policies/readonly")):
        assert answer.status_code == 403
    assert world.root.post("/policies", {"name": "readonly", "document": ALLOW_ALL}).status_code == 409


def test_made_changed_and_deleted(api: Api):
    name = unique()
    text = json.dumps(ALLOW_ALL)
    made = api.ok.post("/policies", {"name": name, "document": text, "description": "all"})
    assert (made["document"], made["text"], made["description"]) == (ALLOW_ALL, text, "all")
    assert (made["is_builtin"], made["warnings"]) == (False, [])
    tag = api.get(f"/policies/{name}").headers["ETag"]
    assert api.ok.put(f"/policies/{name}", {"document": policy_for("s3:GetObject")})["document"] == policy_for("s3:GetObject")
    for method, body in (("PUT", {"description": "x"}), ("DELETE", None)):
        assert api.ask(method, f"/policies/{name}", body, headers={"If-Match": tag}).status_code == 412
    assert api.post("/policies", {"name": name, "document": ALLOW_ALL}).status_code == 409
    assert api.delete(f"/policies/{name}").status_code == 204
    assert api.get(f"/policies/{name}").status_code == 404


@pytest.mark.parametrize(("text", "line"), [
    ("", 1), ("[]", 1), ("{", 1), ('{"Statement": []', 1),
    ('{\n "Version": "2012-10-17",\n "Statement": [{"Effect": "Perhaps"}]\n}', 3),
    ('{\n "Version": "2012-10-17",\n "Statement": [\n  {"Effect": "Allow",\n   "Action": 5, "Resource": "*"}]}', 5),
])
def test_faults_are_told_by_their_place(api: Api, text, line):
    answer = api.post("/policies", {"name": (name := unique()), "document": text})
    document = answer.json()
    assert (answer.status_code, document["code"]) == (400, "MalformedPolicy"), document
    assert document["fields"]["document"] and document["fields"]["line"] == str(line) and int(document["fields"]["column"]) >= 1
    assert api.get(f"/policies/{name}").status_code == 404


def test_a_document_is_at_most_20_kib(api: Api):
    wide = policy_for("s3:GetObject")
    wide["Statement"][0]["Resource"] = [f"arn:aws:s3:::{'b' * 60}{number}/*" for number in range(400)]
    assert api.post("/policies", {"name": unique(), "document": wide}).json()["code"] == "MalformedPolicy"


def test_what_has_no_effect_is_warned_of(api: Api):
    made = api.ok.post("/policies", {"name": unique(), "document": policy_for("s3:GetObjet")})
    assert [sorted(one) for one in made["warnings"]] == [["column", "line", "message"]]


def test_who_has_it(world: World):
    name = world.admin.ok.post("/policies", {"name": unique(), "document": ALLOW_ALL})["name"]
    user = new_user(world.root, world.ours.id, policies=[name], access_key={"policies": [name]})
    world.admin.ok.put(f"/groups/{world.ours.group['id']}/policies/{name}")
    world.admin.ok.put(f"/roles/{world.ours.role['id']}/policies/{name}")
    shown = world.admin.ok.get(f"/policies/{name}")
    assert {(one["kind"], one["id"]) for one in shown["attached_to"]} == {
        ("user", str(user["id"])), ("key", user["access_key"]["access_key"]), ("group", str(world.ours.group["id"])),
        ("role", str(world.ours.role["id"])),
    }
    refused = world.admin.delete(f"/policies/{name}")
    assert (refused.status_code, refused.json()["code"]) == (409, "Conflict") and f"user/{user['id']}" in refused.json()["fields"]
    world.admin.ok.delete(f"/groups/{world.ours.group['id']}/policies/{name}")
    world.admin.ok.delete(f"/roles/{world.ours.role['id']}/policies/{name}")
    assert world.admin.delete(f"/users/{user['id']}").status_code == 204
    assert world.admin.delete(f"/policies/{name}").status_code == 204


def test_a_tenant_sees_who_has_a_built_in_policy_in_it(world: World):
    seen = world.admin.ok.get("/policies/readonly")["attached_to"]
    assert seen and {one["tenant_id"] for one in seen} == {world.ours.id}
    assert {world.ours.id, world.theirs.id} <= {one["tenant_id"] for one in world.root.ok.get("/policies/readonly")["attached_to"]}


def test_what_it_says_binds_at_the_next_request(api: Api, bucket):
    name = api.ok.post("/policies", {"name": unique(), "document": policy_for("s3:PutObject")})["name"]
    user = new_user(api, policies=[name], access_key={})
    client = api.server.client(credentials=(user["access_key"]["access_key"], user["access_key"]["secret_key"]))
    for _ in range(4):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
        api.ok.put(f"/policies/{name}", {"document": policy_for("s3:GetObject")})
        for _ in range(4):
            with pytest.raises(ClientError):
                client.put_object(Bucket=bucket, Key="k", Body=b"x")
        api.ok.put(f"/policies/{name}", {"document": policy_for("s3:PutObject")})
