"""Dynamic settings: each one observed on the wire before and after it is changed, while the server runs."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from shared import dynamic
from shared.settings import ROOT
from tests.admin.admin_client import Api, unique
from tests.running import RunningServer

PASSWORD = "Correct-horse-1"
MIB = 1 << 20
PATIENT = 1000


@pytest.fixture(scope="module")
def tuned():
    """A server whose settings these tests alone change."""
    with RunningServer(processes=2) as running:
        root = Api(running).sign_in(running.access_key, running.secret_key)
        root.ok.put("/settings/security.ratelimit_login_per_minute", {"value": PATIENT})     # the tests sign in from one address
        yield running


@pytest.fixture
def change(tuned):
    """Change settings for one test: ``change("system.maintenance_mode", True)``. Root signs in anew when its session was ended by it."""
    root = Api(tuned).sign_in(tuned.access_key, tuned.secret_key)
    changed = set()

    def put(key, value):
        changed.add(key)
        answer = root.put(f"/settings/{key}", {"value": value})
        if answer.status_code == 401:
            root.sign_in(tuned.access_key, tuned.secret_key)
            answer = root.put(f"/settings/{key}", {"value": value})
        assert answer.status_code == 200, answer.text
        assert answer.json()["value"] == value
        return root

    yield put
    for key in changed:
        put(key, PATIENT if key == "security.ratelimit_login_per_minute" else dynamic.BY_NAME[key].default)


@pytest.fixture
def root(tuned):
    return Api(tuned).sign_in(tuned.access_key, tuned.secret_key)


def maxiofs(server, *arguments):
    command = [sys.executable, "-P", "-m", "scripts.cli", *arguments, "--data-dir", str(server.data_dir)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


def code_of(call, **arguments):
    """The error code that a boto3 call ends with; empty when it succeeds."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def new_bucket(server):
    name = unique("b")
    server.client().create_bucket(Bucket=name)
    return name


def new_user(root, password=PASSWORD, **more):
    name = unique("ann")
    answer = root.post("/users", {"username": name, "password": password, **more})
    return name, answer


def events(root, at_least=0, **filters):
    deadline = time.monotonic() + 10
    while True:
        found = root.ok.get("/audit-logs", limit=1000, **filters)["items"]
        if len(found) >= at_least or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


# ---- the settings themselves --------------------------------------------------------------------------------------------------------


def test_settings_are_listed_with_type_and_default(root):
    items = {item["key"]: item for item in root.ok.get("/settings")["items"]}
    assert items.keys() == dynamic.BY_NAME.keys()
    mode = items["system.maintenance_mode"]
    assert (mode["value"], mode["type"], mode["default"], mode["category"], mode["updated_by"]) == (False, "bool", False, "system", None)
    assert items["audit.retention_days"]["maximum"] == 36500
    assert items["storage.default_object_ownership"]["choices"] == [*dynamic.OWNERSHIPS, "none"]
    assert root.ok.get("/settings/categories")["items"] == ["security", "audit", "storage", "system"]
    assert {item["category"] for item in root.ok.get("/settings", category="audit")["items"]} == {"audit"}


def test_every_setting_has_a_test_here():
    text = Path(__file__).read_text()
    assert not [name for name in dynamic.BY_NAME if name not in text and name.partition(".")[2] not in text]


@pytest.mark.parametrize(("key", "value"), [
    ("system.maintenance_mode", "true"), ("system.maintenance_mode", 1), ("system.maintenance_mode", None), ("audit.retention_days", "7"),
    ("audit.retention_days", -1), ("audit.retention_days", 1.5), ("audit.retention_days", True), ("audit.retention_days", 1 << 80),
    ("storage.default_object_ownership", "Nobody"), ("storage.default_object_ownership", 1), ("storage.default_object_ownership", []),
    ("system.max_upload_size_mb", 0), ("system.max_upload_size_mb", 5121),
])
def test_a_value_that_does_not_fit_is_refused(root, key, value):
    before = root.ok.get(f"/settings/{key}")["value"]
    for answer in (root.put(f"/settings/{key}", {"value": value}), root.post("/settings/bulk", {"settings": {key: value}})):
        assert answer.status_code == 400 and answer.json()["fields"], answer.text
    assert root.ok.get(f"/settings/{key}")["value"] == before


def test_unknown_settings_and_fields_are_refused(root):
    assert root.get("/settings/system.nothing").status_code == 404
    assert root.put("/settings/system.nothing", {"value": 1}).status_code == 404
    assert root.put("/settings/system.maintenance_mode", {"value": True, "more": 1}).status_code == 400
    answer = root.post("/settings/bulk", {"settings": {"system.nothing": 1, "audit.retention_days": 5}})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["settings.system.nothing"])
    assert root.ok.get("/settings/audit.retention_days")["value"] == 90


def test_several_change_together_and_are_audited(root):
    items = root.ok.post("/settings/bulk", {"settings": {"audit.retention_days": 91, "security.password_history": 6}})["items"]
    assert [item["value"] for item in items] == [91, 6]
    assert items[0]["updated_by"] == "root" and items[0]["updated_ms"]
    root.ok.post("/settings/bulk", {"settings": {"audit.retention_days": 90, "security.password_history": 5}})
    found = events(root, 2, event_type="settings_bulk_updated", status="success")[1]
    assert found["details"]["changes"]["audit.retention_days"] == {"before": 90, "after": 91}
    assert found["username"] == "root" and found["tenant_id"] == 0


def test_nobody_else_reads_or_changes_settings(tuned, root):
    tenant = root.ok.post("/tenants", {"name": unique("t")})["id"]
    people = [({"tenant_id": tenant, "policies": ["tenant-admin"]}, (403, 404)), ({"policies": ["readwrite"]}, (403, 404))]
    for more, refusals in people:
        name, answer = new_user(root, **more)
        assert answer.status_code == 201, answer.text
        other = Api(tuned).sign_in(name, PASSWORD)
        asked = [other.get("/settings"), other.get("/settings/audit.enabled"), other.get("/settings/categories"),
                 other.put("/settings/audit.enabled", {"value": False}),
                 other.post("/settings/bulk", {"settings": {"audit.enabled": False}})]
        assert all(answer.status_code in refusals for answer in asked), [answer.status_code for answer in asked]
    assert Api(tuned).get("/settings").status_code == 401
    assert root.ok.get("/settings/audit.enabled")["value"] is True


def test_the_command_line_changes_a_running_server(tuned, change):
    change("system.maintenance_mode", False)
    done = maxiofs(tuned, "settings", "set", "system.maintenance_mode=true")
    assert (done.returncode, done.stdout) == (0, "system.maintenance_mode = true\n"), done.stderr
    assert code_of(tuned.client().create_bucket, Bucket=unique("b")) == "ServiceUnavailable"


# ---- system -------------------------------------------------------------------------------------------------------------------------


def test_maintenance_mode(tuned, change):
    s3, bucket = tuned.client(), new_bucket(tuned)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    root = change("system.maintenance_mode", True)
    writes = [
        (s3.put_object, {"Bucket": bucket, "Key": "k", "Body": b"2"}), (s3.delete_object, {"Bucket": bucket, "Key": "k"}),
        (s3.create_bucket, {"Bucket": unique("b")}), (s3.delete_bucket, {"Bucket": bucket}),
        (s3.copy_object, {"Bucket": bucket, "Key": "c", "CopySource": f"{bucket}/k"}),
        (s3.upload_part, {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1, "Body": b"x"}),
        (s3.put_bucket_versioning, {"Bucket": bucket, "VersioningConfiguration": {"Status": "Enabled"}}),
        (s3.delete_objects, {"Bucket": bucket, "Delete": {"Objects": [{"Key": "k"}]}}),
    ]
    for _ in range(3):      # connections reach both processes
        for call, arguments in writes:
            with pytest.raises(ClientError) as caught:
                call(**arguments)
            reply = caught.value.response
            assert reply["Error"]["Code"] == "ServiceUnavailable" and reply["ResponseMetadata"]["HTTPStatusCode"] == 503
            assert int(reply["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) > 0
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert new_user(root)[1].status_code == 201, "admins keep working"
    assert code_of(tuned.client(anonymous=True).put_object, Bucket=bucket, Key="k", Body=b"2") == "AccessDenied", "nobody learns of it"
    change("system.maintenance_mode", False)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")


def test_a_change_binds_in_every_process_at_the_next_request(tuned, change):
    import requests

    bucket = new_bucket(tuned)
    url = tuned.client().generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    for mode in (True, False):
        change("system.maintenance_mode", mode)
        statuses = {requests.put(url, data=b"1", timeout=10).status_code for _ in range(12)}     # a connection each
        assert statuses == {503 if mode else 200}


def test_max_upload_size_mb(tuned, change):
    import requests

    s3, bucket = tuned.client(), new_bucket(tuned)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    big = b"x" * (MIB + 1)

    def codes():
        return [code_of(s3.put_object, Bucket=bucket, Key="k", Body=big),
                code_of(s3.upload_part, Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=big)]

    assert codes() == ["", ""]
    form = s3.generate_presigned_post(bucket, "form")
    assert requests.post(form["url"], data=form["fields"], files={"file": big}, timeout=10).status_code == 204
    change("system.max_upload_size_mb", 1)
    assert codes() == ["EntityTooLarge", "EntityTooLarge"]
    assert b"EntityTooLarge" in requests.post(form["url"], data=form["fields"], files={"file": big}, timeout=10).content
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=big[:MIB]) == ""


# ---- storage ------------------------------------------------------------------------------------------------------------------------


def test_default_bucket_versioning(tuned, change):
    s3 = tuned.client()
    assert "Status" not in s3.get_bucket_versioning(Bucket=new_bucket(tuned))
    change("storage.default_bucket_versioning", True)
    assert s3.get_bucket_versioning(Bucket=new_bucket(tuned))["Status"] == "Enabled"


def test_default_object_ownership(tuned, change):
    def rule():
        return tuned.client().get_bucket_ownership_controls(Bucket=new_bucket(tuned))["OwnershipControls"]["Rules"][0]["ObjectOwnership"]

    assert rule() == "BucketOwnerEnforced"
    change("storage.default_object_ownership", "ObjectWriter")
    assert rule() == "ObjectWriter"
    change("storage.default_object_ownership", "none")
    assert code_of(rule) == "OwnershipControlsNotFoundError"


@pytest.mark.parametrize(("key", "switch"), [
    ("storage.default_block_public_acls", "BlockPublicAcls"), ("storage.default_ignore_public_acls", "IgnorePublicAcls"),
    ("storage.default_block_public_policy", "BlockPublicPolicy"), ("storage.default_restrict_public_buckets", "RestrictPublicBuckets"),
])
def test_default_public_access_block(tuned, change, key, switch):
    def block():
        return tuned.client().get_public_access_block(Bucket=new_bucket(tuned))["PublicAccessBlockConfiguration"]

    assert set(block().values()) == {True}
    change(key, False)
    assert {name for name, on in block().items() if not on} == {switch}


def test_without_any_switch_new_buckets_have_no_block(tuned, change):
    for row in dynamic.SETTINGS:
        if "public" in row.name:
            change(row.name, False)
    assert code_of(tuned.client().get_public_access_block, Bucket=new_bucket(tuned)) == "NoSuchPublicAccessBlockConfiguration"


# ---- audit --------------------------------------------------------------------------------------------------------------------------


def uploaded(root, bucket, last):
    """The keys whose upload was recorded, once that of ``last`` is."""
    deadline = time.monotonic() + 10
    while True:
        keys = {one["resource_id"] for one in events(root, resource_name=bucket, event_type="object_uploaded")}
        if last in keys or time.monotonic() > deadline:
            time.sleep(0.5)     # another process may be writing yet
            return {one["resource_id"] for one in events(root, resource_name=bucket, event_type="object_uploaded")}


@pytest.mark.parametrize("key", ["audit.enabled", "audit.log_s3_operations"])
def test_what_is_switched_off_is_not_audited(tuned, change, key):
    s3, bucket = tuned.client(), new_bucket(tuned)
    s3.put_object(Bucket=bucket, Key="before", Body=b"")
    change(key, False)
    s3.put_object(Bucket=bucket, Key="meanwhile", Body=b"")
    root = change(key, True)
    s3.put_object(Bucket=bucket, Key="after", Body=b"")
    assert uploaded(root, bucket, "after") == {"before", "after"}
    assert events(root, 2, event_type="setting_updated", resource_id=key), "changes of settings are recorded even then"


def test_reads_are_audited_when_switched_on(tuned, change):
    s3, bucket = tuned.client(), new_bucket(tuned)
    s3.put_object(Bucket=bucket, Key="k", Body=b"12")
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    root = change("audit.log_s3_reads", True)
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    s3.list_objects_v2(Bucket=bucket)
    found = events(root, 2, resource_name=bucket, text="read") + events(root, 1, resource_name=bucket, event_type="object_downloaded")
    assert [one["action"] for one in found if one["event_type"] == "object_downloaded"] == ["download"]
    assert events(root, 1, resource_name=bucket, event_type="objects_v2_listed")


def test_console_operations(tuned, change):
    root = change("audit.log_console_operations", False)
    quiet = root.ok.post("/tenants", {"name": unique("quiet")})["name"]
    change("audit.log_console_operations", True)
    loud = root.ok.post("/tenants", {"name": unique("loud")})["name"]
    assert events(root, 1, text=loud.replace("-", " "), event_type="tenant_created")
    assert not events(root, text=quiet.replace("-", " "), event_type="tenant_created")


def test_retention_days(tuned, change):
    root = change("audit.retention_days", 30)
    assert events(root, 1)
    with sqlite3.connect(tuned.data_dir / "audit.db", timeout=20) as conn:
        oldest, = conn.execute("SELECT MIN(id) FROM audit_event").fetchone()
        conn.execute("UPDATE audit_event SET at_ms = at_ms - 40 * 86400000 WHERE id = ?", [oldest])

    def run():
        done = maxiofs(tuned, "run", "audit_retention", "--wait")
        assert done.returncode == 0, done.stderr

    change("audit.retention_days", 50)
    run()
    assert root.get(f"/audit-logs/{oldest}").status_code == 200
    change("audit.retention_days", 30)
    run()
    assert root.get(f"/audit-logs/{oldest}").status_code == 404
    assert events(root, 1, event_type="audit_pruned")[0]["details"] == {"removed": 1, "retention_days": 30}


def test_a_run_of_retention_removes_a_month_at_most(tuned, change):
    """A clock that leaps ahead must not cost the whole log."""
    root = change("audit.retention_days", 30)
    for number in range(3):
        root.ok.post("/tenants", {"name": unique(f"old{number}")})
    assert events(root, 3, event_type="tenant_created")
    with sqlite3.connect(tuned.data_dir / "audit.db", timeout=20) as conn:
        first, second, third = (row[0] for row in conn.execute("SELECT id FROM audit_event ORDER BY id LIMIT 3"))
        for event, days in ((first, 400), (second, 370), (third, 360)):
            conn.execute("UPDATE audit_event SET at_ms = at_ms - ? * 86400000 WHERE id = ?", [days, event])
    there = []
    for _ in range(2):
        assert maxiofs(tuned, "run", "audit_retention", "--wait").returncode == 0
        there.append([root.get(f"/audit-logs/{event}").status_code for event in (first, second, third)])
    assert there == [[404, 404, 200], [404, 404, 404]]


# ---- security -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "column"), [("security.session_timeout", "created_ms"), ("security.session_idle_timeout", "seen_ms")])
def test_sessions_end(tuned, change, key, column):
    name, _ = new_user(change(key, 3600))
    ann = Api(tuned).sign_in(name, PASSWORD)
    with sqlite3.connect(tuned.data_dir / "maxiofs.db", timeout=20) as conn:
        whose = "principal_id = (SELECT id FROM principal WHERE name = ?)"
        conn.execute(f"UPDATE session SET {column} = {column} - 1800000 WHERE {whose}", [name])
    change(key, 1200)
    assert ann.get("/auth/me").status_code == 401
    change(key, 3600)
    again = Api(tuned).sign_in(name, PASSWORD)
    assert again.get("/auth/me").status_code == 200


def test_lockout(tuned, change):
    change("security.max_failed_attempts", 2)
    root = change("security.lockout_duration", 600)
    (one, _), (other, _) = new_user(root), new_user(root)

    def fail(name):
        return Api(tuned).post("/auth/login", {"username": name, "password": "wrong"}).status_code

    assert [fail(one) for _ in range(2)] == [401, 401]
    locked = Api(tuned).post("/auth/login", {"username": one, "password": PASSWORD})
    assert locked.status_code == 403
    until_ms = int(locked.json()["fields"]["locked_until_ms"])
    assert 500 < until_ms / 1000 - time.time() <= 600
    change("security.max_failed_attempts", 4)
    assert [fail(other) for _ in range(3)] == [401] * 3
    Api(tuned).sign_in(other, PASSWORD)


def test_require_2fa_admin(tuned, change):
    root = change("security.require_2fa_admin", False)
    name, _ = new_user(root, policies=["administrator"])
    admin = Api(tuned).sign_in(name, PASSWORD)
    assert admin.get("/settings").status_code == 200
    change("security.ratelimit_enabled", False)
    with sqlite3.connect(tuned.data_dir / "maxiofs.db", timeout=20) as conn:       # root, too, would have to set a factor up first
        conn.execute("INSERT INTO setting (name, value, updated_ms, updated_by) VALUES ('security.require_2fa_admin', 'true', 0, '')"
                     " ON CONFLICT (name) DO UPDATE SET value = 'true'")
        conn.execute("UPDATE change SET value = value + 1")
    assert admin.get("/settings").status_code == 403
    with sqlite3.connect(tuned.data_dir / "maxiofs.db", timeout=20) as conn:
        conn.execute("DELETE FROM setting WHERE name = 'security.require_2fa_admin'")
        conn.execute("UPDATE change SET value = value + 1")
    assert admin.get("/settings").status_code == 200


@pytest.mark.parametrize(("key", "value", "password"), [
    ("security.password_min_length", 20, "Correct-horse-1"), ("security.password_require_uppercase", False, "correct-horse-1"),
    ("security.password_require_numbers", False, "Correct-horse"), ("security.password_require_special", True, "Correcthorse1"),
])
def test_password_rules(root, change, key, value, password):
    looser = value is False
    assert new_user(root, password)[1].status_code == (400 if looser else 201)
    change(key, value)
    assert new_user(root, password)[1].status_code == (201 if looser else 400)


def test_password_history(tuned, change):
    root = change("security.password_history", 2)
    name, _ = new_user(root)

    def renew(old, new):
        return Api(tuned).sign_in(name, old).post("/auth/password", {"current_password": old, "new_password": new}).status_code

    assert renew(PASSWORD, "Another-horse-2") == 200
    assert renew("Another-horse-2", PASSWORD) == 400
    change("security.password_history", 0)
    assert renew("Another-horse-2", PASSWORD) == 200


def test_ratelimits(tuned, change):
    def attempts(number):
        return [Api(tuned).post("/auth/login", {"username": unique("nobody"), "password": "x"}).status_code for _ in range(number)]

    assert 429 not in attempts(8)
    change("security.ratelimit_login_per_minute", 2)
    assert attempts(8).count(429) >= 4
    root = change("security.ratelimit_enabled", False)
    assert 429 not in attempts(4)
    change("security.ratelimit_enabled", True)
    change("security.ratelimit_login_per_minute", PATIENT)
    assert {answer.status_code for answer in root.at_once("/auth/me", 10)} == {200}
    change("security.ratelimit_api_per_second", 1)
    root.patient = False
    assert 429 in {answer.status_code for answer in root.at_once("/auth/me", 10)}
    root.patient = True
    time.sleep(1.1)     # so that the setting can be put back
