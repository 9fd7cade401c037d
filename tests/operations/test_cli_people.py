"""`maxiofs user|group|role|tenant|policy|key|session|bucket|share` over a data folder without a running server."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from scripts.cli.access import duration, size
from scripts.cli.command import Failure
from scripts.cli.main import maxiofs

DOCUMENT = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}'


class Shell:
    """Runs commands on one data folder."""

    def __init__(self, folder) -> None:
        self._environ = {"MAXIOFS_DATA_DIR": str(folder), "MAXIOFS_ROOT_ACCESS_KEY": "AKIAROOT", "MAXIOFS_ROOT_SECRET_KEY": "x" * 40}

    def run(self, *arguments, stdin=None):
        return CliRunner().invoke(maxiofs, [str(one) for one in arguments], env=self._environ, input=stdin)

    def __call__(self, *arguments, stdin=None):
        """The JSON that a command prints; it must succeed."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def fails(self, *arguments, code=1):
        done = self.run(*arguments)
        assert done.exit_code == code, done.output
        return done.stderr


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def test_people_from_the_first_to_the_last(shell):
    acme = shell("tenant", "create", "acme", "--max-bytes", "2G", "--max-users", 5)
    assert (acme["max_storage_bytes"], acme["max_users"], acme["max_objects"]) == (2 << 30, 5, 0)
    group = shell("group", "create", "dev", "--tenant", "acme", "--policy", "readonly")
    assert group["policies"] == ["readonly"]
    ann = shell("user", "create", "ann", "--tenant", "acme", "--group", "dev", "--key", "--password-stdin", "--policy", "console",
                stdin="Correct-Horse-7\n")
    assert ann["tenant_id"] == acme["id"] and ann["has_password"] and len(ann["access_key"]["secret_key"]) == 40
    assert [one["username"] for one in shell("group", "members", "dev", "--tenant", "acme")["items"]] == ["ann"]
    assert shell("user", "attach", "ann", "readwrite")["policies"] == ["console", "readwrite"]
    assert shell("user", "detach", ann["id"], "console")["policies"] == ["readwrite"]
    assert shell("user", "update", "ann", "--email", "Ann@example.org")["email"] == "ann@example.org"
    assert shell("group", "remove", "dev", "ann")["members"] == 0
    assert [one["username"] for one in shell("user", "list", "--tenant", "acme")["items"]] == ["ann"]
    assert [one["username"] for one in shell("user", "list", "--tenant", "-")["items"]] == ["root"]
    assert "Conflict" in shell.fails("tenant", "delete", "acme")
    shell("user", "password", "ann", stdin="Another-Horse-8\n")
    shell("user", "delete", "ann")
    assert shell("tenant", "suspend", "acme")["status"] == "suspended"
    assert shell("tenant", "resume", "acme")["status"] == "active"
    assert shell("tenant", "delete", "acme") == {"deleted": True, "run_id": None}


def test_keys(shell):
    shell("user", "create", "ann")
    made = shell("key", "create", "ann", "--name", "ci", "--bucket", "b", "--action", "read", "--action", "list", "--expires-in", "1d")
    assert made["scope"] == {"buckets": ["b"], "prefixes": None, "actions": ["read", "list"]} and made["expires_ms"] > made["created_ms"]
    rotated = shell("key", "rotate", made["access_key"], "--overlap", "1h")
    assert rotated["name"] == "ci"
    listed = shell("key", "list", "--user", "ann")["items"]
    assert {one["access_key"] for one in listed} == {made["access_key"], rotated["access_key"]}
    assert made["secret_key"] not in shell.run("key", "list").output
    assert shell("key", "disable", rotated["access_key"])["status"] == "inactive"
    assert shell("key", "enable", rotated["access_key"])["status"] == "active"
    shell("key", "delete", rotated["access_key"])
    assert "there is no access key" in shell.fails("key", "delete", rotated["access_key"])


def test_policies_are_put_and_their_faults_told(shell, tmp_path):
    file = tmp_path / "p.json"
    file.write_text(DOCUMENT)
    assert shell("policy", "put", "p", file)["name"] == "p"
    assert shell("policy", "put", "p", "-", stdin=DOCUMENT.replace("GetObject", "PutObject"))["revision"] == 2
    shell("user", "create", "ann", "--policy", "p")
    assert [one["name"] for one in shell("policy", "show", "p")["attached_to"]] == ["ann"]
    assert "user ann has it" in shell.fails("policy", "delete", "p")
    file.write_text('{"Statement": [\n{}]}')
    assert "line: 2" in shell.fails("policy", "put", "p", file)
    shell("user", "detach", "ann", "p")
    shell("policy", "delete", "p")
    assert "p" not in {one["name"] for one in shell("policy", "list")["items"]}


def test_what_people_read(shell):
    shell("user", "create", "ann", "--policy", "readonly", "--display-name", "[b]Ann")
    table = shell.run("user", "list").stdout
    assert "username" in table and "ann" in table and "[b]Ann" in table
    done = shell.run("key", "create", "ann")
    assert "secret key: " in done.stdout and "not shown again" in done.stdout
    assert shell.run("tenant", "list").exit_code == shell.run("role", "list").exit_code == shell.run("session", "list").exit_code == 0


def test_what_is_refused(shell):
    shell("user", "create", "ann")
    assert "AlreadyExists" in shell.fails("user", "create", "ann")
    assert "username: " in shell.fails("user", "create", "a/b")
    assert "there is no user bob" in shell.fails("user", "show", "bob")
    assert "there is no tenant acme" in shell.fails("user", "create", "bob", "--tenant", "acme")
    shell.fails("session", "revoke", code=2)
    shell.fails("tenant", "create", "t", "--max-bytes", "many", code=2)
    shell.fails("user", "delete", "root")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("5", 5), ("1k", 1024), ("2G", 2 << 30), ("3TiB", 3 << 40), ("4MB", 4 << 20)])
def test_sizes(text, value):
    assert size(text) == value


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("90d", 90 * 86_400), ("12h", 43_200), ("5m", 300), ("7s", 7)])
def test_durations(text, value):
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "1y", "٣"])
def test_neither(text):
    for read in (size, duration):
        with pytest.raises(Failure):
            read(text)


def test_buckets_from_the_first_to_the_last(shell, tmp_path):
    tenant = shell("tenant", "create", "acme")
    shell("user", "create", "ann", "--tenant", "acme")
    made = shell("bucket", "create", "photos", "--owner", "ann", "--versioning", "--tag", "team=photo")
    assert (made["owner_name"], made["tenant_id"], made["versioning"]) == ("ann", tenant["id"], "Enabled")
    assert [one["name"] for one in shell("bucket", "list", "--tenant", "acme", "--prefix", "pho")["items"]] == ["photos"]
    assert shell("bucket", "list", "--tenant", "-")["items"] == []
    assert shell("bucket", "versioning", "photos", "suspended")["status"] == "Suspended"
    file, wanted = tmp_path / "p.json", json.loads(DOCUMENT)
    wanted["Statement"][0] |= {"Effect": "Deny", "Principal": "*", "Resource": "arn:aws:s3:::photos/*"}
    file.write_text(json.dumps(wanted))
    assert shell("bucket", "policy", "photos", file)["policy"] == shell("bucket", "policy", "photos")["policy"] == wanted
    shell("bucket", "policy", "photos", "--delete")
    assert shell("bucket", "show", "photos")["has_policy"] is False
    assert shell("bucket", "owner", "photos", "root")["tenant_id"] == 0
    assert shell("bucket", "delete", "photos") == {"deleted": True, "run_id": None}
    assert "NoSuchBucket" in shell.fails("bucket", "show", "photos")


def test_a_bucket_that_its_owner_may_not_have_is_not_left_behind(shell):
    shell("tenant", "create", "acme", "--max-buckets", 1)
    shell("user", "create", "ann", "--tenant", "acme")
    shell("bucket", "create", "first", "--owner", "ann")
    assert "TooManyBuckets" in shell.fails("bucket", "create", "second", "--owner", "ann")
    assert [one["name"] for one in shell("bucket", "list")["items"]] == ["first"]
    shell.fails("bucket", "create", "third", "--tag", "no-value", code=2)


def test_objects_are_found_and_shared(shell):
    shell("bucket", "create", "photos")
    key = "2026/" + "garden " * 20
    shell("invoke", "s3.PutObject", json.dumps({"Bucket": "photos", "Key": key, "Tagging": "year=2026"}), "--body", "-", stdin="x")
    shell("invoke", "s3.PutObject", json.dumps({"Bucket": "photos", "Key": "2026/house"}), "--body", "-", stdin="x" * 2000)
    assert [one["key"] for one in shell("bucket", "search", "photos", "gard", "--tag", "year=2026")["items"]] == [key]
    assert [one["key"] for one in shell("bucket", "search", "photos", "--min-size", "1K")["items"]] == ["2026/house"]
    assert len(shell("bucket", "search", "photos", "2026", "--most", 1)["items"]) == 1
    assert key in shell.run("bucket", "search", "photos", "garden").stdout, "a table for programs cuts nothing off"
    made = shell("share", "create", "photos", "2026/house", "--expires-in", "1h", "--password-stdin", stdin="let me in\n")
    assert made["has_password"] and made["url"].startswith("http")
    assert [one["id"] for one in shell("share", "list", "photos")["items"]] == [made["id"]]
    assert shell("share", "revoke", made["id"]) == {"revoked": made["id"]}
    assert "NotFound" in shell.fails("share", "revoke", made["id"])


def test_what_holds_something_is_deleted_by_a_run(shell):
    shell("bucket", "create", "photos")
    shell("invoke", "s3.PutObject", '{"Bucket": "photos", "Key": "a"}', "--body", "-", stdin="x")
    assert "BucketNotEmpty" in shell.fails("bucket", "delete", "photos")
    begun = shell("bucket", "delete", "photos", "--force")
    assert begun["deleted"] is False
    run = shell("invoke", "admin.get_run", json.dumps({"run": begun["run_id"]}))["result"]
    assert (run["workflow"], run["state"], run["finished_ms"]) == ("delete_bucket", "queued", None)
