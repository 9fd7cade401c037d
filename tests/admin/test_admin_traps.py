"""What strangers and neighbours may leave behind, or learn, by calls that are refused."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.admin.admin_client import Api, unique
from tests.admin.people_world import World, make, new_user, policy_for, signed_in
from tests.running import RunningServer

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def own() -> Iterator[RunningServer]:
    with RunningServer(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def there(own: RunningServer) -> World:
    root = Api(own).sign_in(own.access_key, own.secret_key)
    root.ok.put("/settings/security.ratelimit_enabled", {"value": False})
    return make(root)


def share(there: World, **settings) -> str:
    """The URL of a link to an object of root's."""
    s3, bucket = there.root.server.client(), unique("b")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"shared")
    return there.root.ok.post(f"/buckets/{bucket}/objects/k/shares", settings)["url"]


def audited(there: World, **filters) -> list[dict]:
    time.sleep(0.2)
    return there.root.ok.get("/audit-logs", limit=1000, **filters)["items"]


def test_the_access_log_has_no_tokens_of_share_links(there, own):
    url = share(there, password="let me in")
    token = url.rpartition("/")[2]
    for answer in (requests.get(url, timeout=20), requests.post(url, data={"password": "no"}, timeout=20),
                   requests.get(url + "?x=1", timeout=20), requests.get(url + "/more", timeout=20), requests.put(url, timeout=20)):
        line = own.logged(answer.headers["X-Request-Id"])
        assert token not in str(line) and line["path"].startswith("/share/"), line
    assert token not in own.log.read_text()


def test_nor_has_the_audit_log(there):
    url = share(there)
    token = url.rpartition("/")[2]
    assert requests.post(url, data=b"{}", headers=JSON, timeout=20).status_code == 415
    assert requests.get(url + "?%ff", timeout=20).status_code == 400
    assert token not in str(audited(there))


@pytest.mark.parametrize(("path", "body", "headers"), [
    ("/api/v1/auth/login", b"{", JSON),
    ("/api/v1/auth/login", b'{"username": "x"}', JSON),
    ("/api/v1/auth/login", b"x", {"Content-Type": "text/plain"}),
    ("/api/v1/auth/login", b'{"username": "x", "password": "y"}', {**JSON, "If-Match": "x"}),
    ("/api/v1/auth/login", b'{"username": "x", "password": "y"}', {**JSON, "Sec-Fetch-Site": "cross-site"}),
    ("/api/v1/auth/2fa/verify", b"[]", JSON),
    ("/api/v1/auth/2fa/verify", b'{"challenge": "x", "code": "y"}', {**JSON, "Sec-Fetch-Site": "same-site"}),
    ("/share/nothing", b"{}", JSON),
])
def test_nobody_fills_the_audit_log_without_an_attempt(there, own, path, body, headers):
    before = len(audited(there))
    answer = requests.post(own.console_url + path, data=body, headers=headers, timeout=20)
    assert 400 <= answer.status_code < 500
    assert len(audited(there)) == before


@pytest.mark.parametrize(("path", "body"), [
    ("/users", {"username": "planted"}),
    ("/policies", {"name": "planted", "document": policy_for("s3:GetObject")}),
])
def test_what_one_tries_in_another_tenant_is_in_ones_own_log(there, path, body):
    ours, theirs = there.ours.id, there.theirs.id
    assert there.admin.post(path, {**body, "tenant_id": theirs}).status_code == 404
    assert not [one for one in audited(there, tenant_id=theirs) if "planted" in one["resource_name"]]
    assert [one for one in audited(there, tenant_id=ours) if "planted" in one["resource_name"] and one["status"] == "failed"]


def test_what_happens_to_a_tenants_bucket_is_in_the_tenants_log(there):
    bucket = unique("b")
    there.admin.ok.post("/buckets", {"name": bucket})
    there.root.ok.put(f"/buckets/{bucket}/versioning", {"status": "Enabled"})
    there.root.server.client().put_object(Bucket=bucket, Key="k", Body=b"")
    there.root.ok.delete(f"/buckets/{bucket}/objects/k")
    seen = there.admin.ok.get("/audit-logs", limit=1000)["items"]
    kinds = {one["event_type"] for one in seen if bucket in one["resource_name"] and one["username"] == "root"}
    assert {"bucket_updated", "object_deleted"} <= kinds


@pytest.mark.parametrize(("action", "resource"), [
    ("admin:UpdateUser", "arn:maxiofs:::tenant/*/user/*"),
    ("admin:AttachPolicy", "arn:maxiofs:::tenant/{tenant}/group/*"),
    ("admin:UpdateUser", "arn:maxiofs:::tenant/{tenant}/user/{user}"),
    ("admin:CreateAccessKey", "*"),
    ("admin:AddGroupMember", "*"),
])
def test_whoever_has_power_over_somebody_needs_a_second_factor(there, action, resource):
    resource = resource.format(tenant=there.ours.id, user=there.ours.user["id"])
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    policy = there.root.ok.post("/policies", {"name": unique("p"), "document": document, "tenant_id": there.ours.id})["name"]
    desk = signed_in(there.root, new_user(there.root, there.ours.id, policies=[policy]))
    plain = signed_in(there.root, new_user(there.root, there.ours.id, policies=["readonly"]))
    with required_factor(there.root.server):
        assert desk.ok.get("/auth/me")["must_set_up_2fa"] is True
        assert desk.get("/auth/sessions").json()["code"] == "TwoFactorRequired"
        assert plain.ok.get("/auth/me")["must_set_up_2fa"] is False


@contextmanager
def required_factor(server: RunningServer) -> Iterator[None]:
    """security.require_2fa_admin is on, written where root needs no second factor to switch it off again."""
    def write(text: str) -> None:
        with sqlite3.connect(server.data_dir / "maxiofs.db", timeout=20) as conn:
            conn.execute(text)
            conn.execute("UPDATE change SET value = value + 1")

    write("INSERT INTO setting (name, value, updated_ms, updated_by) VALUES ('security.require_2fa_admin', 'true', 0, '')")
    try:
        yield
    finally:
        write("DELETE FROM setting WHERE name = 'security.require_2fa_admin'")


def test_the_name_of_a_tenants_policy_is_not_taken_for_one_of_the_installation(there):
    """Whoever attaches it from above would attach what the tenant says it is."""
    name = unique("guard")
    there.admin.ok.post("/policies", {"name": name, "document": policy_for("s3:GetObject")})
    guard = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}]}
    answer = there.root.post("/policies", {"name": name, "document": guard, "tenant_id": 0})
    assert (answer.status_code, answer.json()["fields"]) == (409, {"name": "taken"})
    there.root.ok.post("/policies", {"name": name, "document": guard, "tenant_id": there.theirs.id})    # tenants take no names from tenants
