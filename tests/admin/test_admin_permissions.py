"""Who may do what through the admin API: the rules of the S3 listener for buckets and objects, and nothing of another tenant."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest
import requests

from shared.admin import openapi
from shared.registry import load
from tests.admin.admin_client import Api, unique
from tests.running import ROOT, RunningServer

PASSWORD = "Correct-Horse-7-Battery"
BUCKET_CALLS = [function for function in openapi.functions() if "{bucket}" in function.line]
BODIES = {
    "put_bucket_owner": {"owner_id": 1}, "put_versioning": {"status": "Enabled"}, "put_bucket_tags": {"tags": {}},
    "put_policy_of_bucket": {"policy": {}}, "put_ownership": {"ownership": None}, "put_public_access": {"public_access": None},
    "put_object_tags": {"tags": {}},
    "put_acl_of_bucket": {"canned": "private"}, "put_acl_of_object": {"canned": "private"},
    "rename_object": {"new_key": "other"}, "restore_object": {"version_id": "null"}, "presign": {},
}


class People:
    """A tenant with its administrator, a user without any rights, and one of another tenant."""

    def __init__(self, server: RunningServer, root: Api) -> None:
        self.server, self.root = server, root
        self.here, self.there = (root.ok.post("/tenants", {"name": unique("tenant")})["id"] for _ in range(2))
        self.admin, self.admin_id = self.new(self.here, ["tenant-admin", "readwrite"])
        self.plain, _ = self.new(self.here, [])
        self.foreign, self.foreign_id = self.new(self.there, ["tenant-admin", "readwrite"])
        self.bucket = unique("bucket")
        self.admin.ok.post("/buckets", {"name": self.bucket})

    def new(self, tenant_id: int, policies: list[str]) -> tuple[Api, int]:
        name = unique("user")
        made = self.root.ok.post("/users", {"username": name, "password": PASSWORD, "tenant_id": tenant_id, "policies": policies})
        return Api(self.server).sign_in(name, PASSWORD), made["id"]


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    """They have a server of their own, without limits: they sign in one after the other."""
    with RunningServer(processes=1) as own:
        root = Api(own).sign_in(own.access_key, own.secret_key)
        root.ok.put("/settings/security.ratelimit_enabled", {"value": False})
        yield People(own, root)


def call(api: Api, function, bucket: str):
    method, _, path = function.line.partition(" ")
    path = path.replace("{bucket}", bucket).replace("{key}", "k")
    assert "{" not in path
    return api.ask(method, path, BODIES.get(function.name, {}) if function.takes else None)


@pytest.mark.parametrize("function", BUCKET_CALLS, ids=lambda one: one.name)
def test_who_has_no_rights_is_denied(people: People, function):
    answer = call(people.plain, function, people.bucket)
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied"), answer.text


@pytest.mark.parametrize("function", BUCKET_CALLS, ids=lambda one: one.name)
def test_another_tenants_bucket_is_not_there(people: People, function):
    answer = call(people.foreign, function, people.bucket)
    assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchBucket"), answer.text
    missing = call(people.foreign, function, "no-such-bucket-here")
    assert missing.json() | {"request_id": ""} == answer.json() | {"request_id": "", "fields": missing.json()["fields"]}


def test_lists_show_what_one_may_see(people: People):
    def seen(api: Api) -> list[str]:
        return [one["name"] for one in api.ok.get("/buckets", prefix=people.bucket)["items"]]

    assert seen(people.root) == seen(people.admin) == [people.bucket]
    assert seen(people.plain) == seen(people.foreign) == []
    assert people.foreign.get("/buckets", tenant_id=people.here).status_code == 404


def test_a_bucket_policy_reaches_who_it_names(people: People):
    name = people.plain.ok.get("/auth/me")["username"]
    made = unique("bucket")
    people.admin.ok.post("/buckets", {"name": made})
    tenant = people.root.ok.get(f"/tenants/{people.here}")["name"]
    people.admin.ok.put(f"/buckets/{made}/policy", {"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{tenant}:user/{name}"}, "Action": "s3:ListBucket",
         "Resource": f"arn:aws:s3:::{made}", "Condition": {"StringEquals": {"s3:prefix": "mine/"}}}]}})
    assert people.plain.get(f"/buckets/{made}/objects", prefix="mine/").status_code == 200
    assert people.plain.get(f"/buckets/{made}/objects", prefix="yours/").status_code == 403


def test_a_tenants_administrator_gives_buckets_to_its_own_people_only(people: People):
    made = unique("bucket")
    people.admin.ok.post("/buckets", {"name": made})
    refused = people.admin.put(f"/buckets/{made}/owner", {"owner_id": people.foreign_id})
    assert refused.status_code == 400 and refused.json()["fields"] == {"owner_id": "There is no such user."}
    moved = people.root.ok.put(f"/buckets/{made}/owner", {"owner_id": people.foreign_id})
    assert (moved["tenant_id"], moved["owner_id"]) == (people.there, people.foreign_id)
    assert people.admin.get(f"/buckets/{made}").status_code == 404 and people.foreign.get(f"/buckets/{made}").status_code == 200
    people.foreign.ok.delete(f"/buckets/{made}")


def test_what_was_done_and_what_was_refused_is_noted(people: People):
    made = unique("bucket")
    people.admin.ok.post("/buckets", {"name": made})
    refused = people.plain.delete(f"/buckets/{made}")
    found = people.root.ok.get("/audit-logs", resource_name=made)["items"]
    events = {(one["event_type"], one["status"], one["username"]) for one in found}
    admin, plain = (api.ok.get("/auth/me")["username"] for api in (people.admin, people.plain))
    assert events == {("bucket_created", "success", admin), ("bucket_deleted", "failed", plain)}
    failed = next(one for one in found if one["status"] == "failed")
    assert failed["request_id"] == refused.headers["X-Request-Id"] and failed["details"]["error"] == "AccessDenied"


def test_a_url_and_a_folder_hold_what_their_maker_may_have(people: People):
    """And not what is denied to them, be it by the policy of a bucket of their own."""
    made, api = unique("bucket"), people.admin
    api.ok.post("/buckets", {"name": made})
    refused = api.post(f"/buckets/{made}/objects/open/presigned-url", {"method": "PUT"})
    assert (refused.status_code, refused.json()["code"]) == (409, "Conflict"), "nobody can sign without a key"
    api.ok.post(f"/users/{people.admin_id}/access-keys", {})
    for key in ("open", "closed"):
        url = api.ok.post(f"/buckets/{made}/objects/{key}/presigned-url", {"method": "PUT", "endpoint": api.server.url})["url"]
        assert requests.put(url, data=b"x", timeout=10).status_code == 200
    api.ok.put(f"/buckets/{made}/policy", {"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{made}/closed"}]}})
    assert api.post(f"/buckets/{made}/objects/closed/presigned-url", {"method": "GET"}).status_code == 403
    assert api.get(f"/buckets/{made}/objects/closed").status_code == 403
    assert api.post(f"/buckets/{made}/objects/closed/rename", {"new_key": "stolen"}).status_code == 403
    with zipfile.ZipFile(io.BytesIO(api.get(f"/buckets/{made}/download-zip").content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"open": b"x", "NOT INCLUDED.txt": b"closed: AccessDenied\n"}


ADMINISTRATION = [one for one in openapi.functions() if one.allow[0].startswith("admin:") and "{bucket}" not in one.line]


@pytest.mark.parametrize("function", ADMINISTRATION, ids=lambda one: one.name)
def test_administration_is_for_who_may(people: People, function):
    method, _, path = function.line.partition(" ")
    for name, id in (("user", people.admin_id), ("tenant", people.here)):
        path = path.replace(f"{{{name}}}", str(id))
    answer = people.plain.ask(method, re.sub(r"\{\w+\}", "1", path), {} if function.takes else None)
    fits = function.takes is None or not any(field.is_required() for field in function.takes.model_fields.values())
    assert answer.status_code in ((403, 404) if fits else (400, 403, 404)), answer.text
    if answer.status_code == 403:
        assert answer.json()["code"] == "AccessDenied"


@pytest.mark.parametrize("function", [one for one in ADMINISTRATION if re.search(r"\{(user|tenant)\}", one.line)], ids=lambda one: one.name)
def test_another_tenants_people_are_not_there(people: People, function):
    """As far as its administrator can tell: the answer is the same as for what is nowhere."""
    method, _, path = function.line.partition(" ")

    def ask(user: int, tenant: int):
        filled = path.replace("{user}", str(user)).replace("{tenant}", str(tenant))
        return people.foreign.ask(method, re.sub(r"\{\w+\}", "1", filled), {} if function.takes else None)

    there, nowhere = ask(people.admin_id, people.here), ask(1 << 30, 1 << 30)
    assert there.status_code in (400, 403, 404), there.text
    assert (there.status_code, there.json()["code"]) == (nowhere.status_code, nowhere.json()["code"])


# ---- without HTTP -------------------------------------------------------------------------------------------------------------------


def invoke(server: RunningServer, function: str, arguments: dict) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "scripts.cli", "invoke", "--data-dir", str(server.data_dir), "--json", function, json.dumps(arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_functions_are_called_without_http_as_root(people: People):
    server, api = people.server, people.root
    made = unique("bucket")
    done = invoke(server, "admin.create_a_bucket", {"name": made, "tags": {"a": "b"}})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["owner_name"] == "root"
    assert api.ok.get(f"/buckets/{made}/tagging")["tags"] == {"a": "b"}
    assert json.loads(invoke(server, "admin.list_all_buckets", {"prefix": made, "limit": 5}).stdout)["result"]["items"][0]["name"] == made
    assert invoke(server, "admin.delete_a_bucket", {"bucket": made}).returncode == 0
    assert api.get(f"/buckets/{made}").status_code == 404
    events = [(one["event_type"], one["username"]) for one in api.ok.get("/audit-logs", resource_name=made)["items"]]
    assert events == [("bucket_deleted", "root"), ("bucket_created", "root")]
    wrong = invoke(server, "admin.create_a_bucket", {"name": 5})
    assert wrong.returncode == 1 and "name: " in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.parametrize("function", list(load(["admin.*"]).values()), ids=lambda one: one.name)
def test_every_function_says_how_it_is_protected(function):
    """An action, a session, or nothing: and what is for anyone is no more than this list."""
    anyone = {"welcome", "api_root", "api_root_with_slash", "version", "api_health", "openapi_document", "reference_page",
              "log_in", "verify_factor", "follow_share_link", "unlock_share_link"}
    allowed = function.allow[0]
    assert (allowed == "anyone") == (function.name in anyone)
    assert allowed in ("anyone", "signed-in") or re.fullmatch(r"(admin|s3):[A-Z]\w+", allowed)
