"""The audit log in the admin API: filters and pages, one event, exports; a tenant sees its own events only."""

import csv
import io
import json
import time

import pytest

from tests.admin.admin_client import Api, unique
from tests.running import RunningServer

PASSWORD = "Correct-horse-1"


@pytest.fixture(scope="module")
def watched():
    with RunningServer(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def root(watched):
    return Api(watched).sign_in(watched.access_key, watched.secret_key)


@pytest.fixture(scope="module")
def tenants(watched, root):
    """Two tenants: (id, a client of its administrator)."""
    made = []
    for _ in range(2):
        tenant = root.ok.post("/tenants", {"name": unique("t")})["id"]
        name = root.ok.post("/users", {"username": unique("boss"), "password": PASSWORD, "tenant_id": tenant,
                                       "policies": ["tenant-admin"]})["username"]
        made.append((tenant, Api(watched).sign_in(name, PASSWORD)))
    return made


def wait_for(client, at_least=1, **filters):
    deadline = time.monotonic() + 10
    while True:
        found = client.ok.get("/audit-logs", **filters)["items"]
        if len(found) >= at_least or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_what_one_did_is_there_at_once(root):
    name = unique("g")
    root.ok.post("/groups", {"name": name})
    found = root.ok.get("/audit-logs", event_type="group_created")["items"][0]
    assert (found["status"], found["action"], found["username"], found["resource_type"]) == ("success", "create", "root", "group")
    assert found["address"] == "127.0.0.1" and found["request_id"] and found["agent"].startswith("python-requests")
    assert root.ok.get(f"/audit-logs/{found['id']}") == found


def test_failures_are_recorded_too(root):
    name = unique("g")
    root.ok.post("/groups", {"name": name})
    assert root.post("/groups", {"name": name}).status_code == 409
    found = root.ok.get("/audit-logs", event_type="group_created", status="failed")["items"][0]
    assert found["details"]["error"] == "AlreadyExists"


def test_sign_ins_are_recorded(watched, root):
    Api(watched).post("/auth/login", {"username": "nobody-here", "password": "a secret word"})
    assert wait_for(root, event_type="login_success")
    failed = wait_for(root, event_type="login_failed")[0]
    assert failed["status"] == "failed" and "a secret word" not in json.dumps(failed)


def test_pages_follow_one_another(root):
    for _ in range(5):
        root.ok.post("/groups", {"name": unique("p")})
    whole = [one["id"] for one in root.ok.get("/audit-logs", event_type="group_created", limit=100)["items"]]
    seen, cursor = [], ""
    while cursor is not None:
        page = root.ok.get("/audit-logs", event_type="group_created", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen == whole == sorted(whole, reverse=True)


def test_a_tenant_sees_its_own_events_only(root, tenants):
    (first, one), (second, other) = tenants
    for client in (one, other):
        client.ok.post("/groups", {"name": unique("secret")})
    mine, everything = wait_for(one, limit=1000), root.ok.get("/audit-logs", limit=1000)["items"]
    assert {event["tenant_id"] for event in mine} == {first}
    assert {0, first, second} <= {event["tenant_id"] for event in everything}
    foreign = next(event["id"] for event in everything if event["tenant_id"] == second)
    for client, status in ((one, 404), (other, 200), (root, 200)):
        assert client.get(f"/audit-logs/{foreign}").status_code == status
    for tenant_id in (0, second):
        assert one.get("/audit-logs", tenant_id=tenant_id).status_code == 404
        assert one.get("/audit-logs/export", tenant_id=tenant_id).status_code == 404
    assert {event["tenant_id"] for event in root.ok.get("/audit-logs", tenant_id=second)["items"]} == {second}
    lines = [json.loads(line) for line in one.get("/audit-logs/export").text.splitlines()]
    assert lines and {line["tenant_id"] for line in lines} == {first}
    assert not one.ok.get("/audit-logs", username="root", event_type="setting_updated")["items"]


def test_what_others_do_in_a_tenants_bucket_is_its_event(watched, root, tenants):
    tenant, boss = tenants[0]
    key = root.ok.post("/users", {"username": unique("u"), "tenant_id": tenant, "policies": ["readwrite"], "access_key": {}})["access_key"]
    bucket = unique("b")
    watched.client(credentials=(key["access_key"], key["secret_key"])).create_bucket(Bucket=bucket)
    watched.client().put_object(Bucket=bucket, Key="by-root", Body=b"")
    found = wait_for(boss, 2, resource_name=bucket)
    assert {(event["event_type"], event["username"] == "root") for event in found} == {("bucket_created", False), ("object_uploaded", True)}


def test_who_may_not_look(watched, root):
    name = root.ok.post("/users", {"username": unique("u"), "password": PASSWORD, "policies": ["readwrite"]})["username"]
    plain = Api(watched).sign_in(name, PASSWORD)
    for path in ("/audit-logs", "/audit-logs/1", "/audit-logs/export", "/audit-logs/export.csv"):
        assert plain.get(path).status_code in (403, 404)
        assert Api(watched).get(path).status_code == 401


@pytest.mark.parametrize("query", [
    {"limit": 0}, {"limit": 1001}, {"cursor": "x"}, {"status": "odd"}, {"tenant_id": -1}, {"since_ms": "soon"}, {"nothing": 1},
    {"since_ms": 5, "until_ms": 4}, {"since_ms": 1 << 80}, {"text": "x" * 401},
])
def test_bad_filters_are_refused(root, query):
    answer = root.get("/audit-logs", **query)
    assert answer.status_code == 400 and answer.json()["fields"], answer.text


@pytest.mark.parametrize("id", ["0", "-1", "x", "99999999999999999999", "1%00", "1e3"])
def test_ids_of_nothing_are_not_found(root, id):
    assert root.get(f"/audit-logs/{id}").status_code == 404


@pytest.mark.parametrize("text", ["'", '"', "\\", "a' OR 1=1 --", "NEAR(", "*", ":*", "&|!()", "日本"])
def test_search_text_is_no_syntax(root, text):
    assert root.get("/audit-logs", text=text).status_code == 200


def test_exports_are_files(root):
    name = unique("=g").removeprefix("=")
    root.ok.post("/groups", {"name": name})
    lines = root.get("/audit-logs/export", event_type="group_created", text=name)
    assert lines.headers["Content-Type"] == "application/x-ndjson" and "attachment" in lines.headers["Content-Disposition"]
    assert [json.loads(line)["event_type"] for line in lines.text.splitlines()] == ["group_created"]
    table = root.get("/audit-logs/export.csv", event_type="group_created", text=name)
    assert table.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["event_type"] for row in rows] == ["group_created"]
    assert wait_for(root, 2, event_type="audit_exported")[0]["details"]["format"] in ("csv", "jsonl")


def test_a_long_export_is_sent_while_it_is_read(watched, root):
    s3 = watched.client()
    s3.create_bucket(Bucket="many")
    for _ in range(6):
        s3.delete_objects(Bucket="many", Delete={"Objects": [{"Key": f"{number:04}" + "x" * 900} for number in range(1000)]})
    assert len(wait_for(root, 60, resource_name="many", event_type="object_deleted", limit=1000)) == 60
    answer = root.http.get(f"{watched.console_url}/api/v1/audit-logs/export", params={"resource_name": "many"}, stream=True, timeout=60)
    assert answer.headers.get("Content-Length") is None
    assert len(answer.content.splitlines()) == 61
