"""The bootstrap file: validated whole, applied in one go, a second time without effect; and the way back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError

from shared import bootstrap, dynamic
from shared.auth.sealing import MasterKey
from shared.bootstrap import BootstrapError, exporting
from shared.meta import attachments, buckets, groups, keys, logins, people, policies, tenants, users
from shared.meta import database as metadata
from shared.settings import ROOT
from tests.engines import postgres_server
from tests.running import RunningServer

KEY = MasterKey(b"m" * 32)
CANONICAL = "ab" * 32
READ_PHOTOS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}]}
OPEN = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}]}
WHOLE = """
[settings]
"audit.retention_days" = 30
"storage.default_object_ownership" = "ObjectWriter"

[[tenants]]
name = "acme"
display_name = "Acme Ltd"
max_buckets = 5

[[policies]]
name = "photos"
tenant = "acme"
[policies.document]
Version = "2012-10-17"
[[policies.document.Statement]]
Effect = "Allow"
Action = "s3:GetObject"
Resource = "arn:aws:s3:::photos/*"

[[groups]]
name = "viewers"
tenant = "acme"
policies = ["photos", "readonly"]

[[roles]]
name = "auditor"

[[users]]
username = "ann"
tenant = "acme"
canonical_id = "CANONICAL"
display_name = "Ann"
email = "ann@example.com"
password = "Correct-horse-1"
policies = ["readwrite"]
groups = ["viewers"]

[[users.access_keys]]
access_key = "AKIAANN0000000000000"
secret_key = "ann-secret-0123456789"
expires = 2036-01-01T00:00:00Z
scope = { buckets = ["photos"], actions = ["read"] }

[[buckets]]
name = "photos"
owner = "ann"
versioning = "Enabled"
public_access = { block_public_policy = false, restrict_public_buckets = false }
tags = { team = "red" }
[buckets.policy]
Version = "2012-10-17"
[[buckets.policy.Statement]]
Effect = "Allow"
Principal = "*"
Action = "s3:GetObject"
Resource = "arn:aws:s3:::photos/*"
""".replace("CANONICAL", CANONICAL)


@pytest.fixture(scope="module")
def postgres():
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    """A migrated database with root in it."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").fresh_database()
    metadata.connect(url, tmp_path)
    metadata.migrate()
    with metadata.session():
        people.create_root()
        dynamic.forget()
        yield tmp_path
    metadata.dispose()
    dynamic.forget()


def written(folder: Path, text: str | dict, name: str = "wanted.toml") -> Path:
    path = folder / name
    path.write_text(json.dumps(text) if isinstance(text, dict) else text)
    return path


def apply(folder, text, name="wanted.json"):
    return bootstrap.apply(bootstrap.read(written(folder, text, name)), KEY)


def refused(folder, text, name="wanted.json"):
    """The problems that the file is refused with; nothing may have changed."""
    before = buckets.change_value()
    with pytest.raises(BootstrapError) as caught:
        apply(folder, text, name)
    assert buckets.change_value() == before
    return caught.value.problems


def test_everything_that_is_named_is_there(empty):
    apply(empty, WHOLE, "wanted.toml")
    acme, ann = tenants.by_name("acme"), users.by_name("ann")
    assert (acme.display_name, acme.max_buckets) == ("Acme Ltd", 5)
    assert (ann.tenant_id, ann.canonical_id, ann.display_name, ann.email) == (acme.id, CANONICAL, "Ann", "ann@example.com")
    assert json.loads(policies.find(acme.id, "photos").document) == READ_PHOTOS
    group = groups.groups.by_name(acme.id, "viewers")
    assert attachments.of("group", group.id) == ["photos", "readonly"]
    assert attachments.of("user", ann.id) == ["readwrite"]
    assert [one.name for one in groups.of_user(ann.id)] == ["viewers"]
    assert groups.roles.by_name(0, "auditor")
    key = people.access_key("AKIAANN0000000000000")
    assert KEY.open(key.sealed_secret, b"AKIAANN0000000000000") == b"ann-secret-0123456789"
    assert key.expires_ms == 2082758400000 and json.loads(key.scope) == {"buckets": ["photos"], "actions": ["read"]}
    assert logins.find(ann.id).password_hash.startswith("$argon2id$")
    photos = buckets.find("photos")
    assert (photos.owner_id, photos.tenant_id, photos.versioning, photos.public_access) == (ann.id, acme.id, 1, 3)
    assert photos.ownership == "ObjectWriter", "the default is the file's own setting"
    assert json.loads(photos.policy) == OPEN and json.loads(photos.tags) == {"team": "red"}
    assert dynamic.get("audit.retention_days") == 30


def test_a_second_time_there_is_nothing_to_do(empty):
    assert apply(empty, WHOLE, "wanted.toml")
    before = buckets.change_value()
    assert apply(empty, WHOLE, "wanted.toml") == []
    assert bootstrap.plan(bootstrap.read(empty / "wanted.toml"), KEY) == []
    assert dynamic.get("audit.retention_days") == 30
    assert buckets.change_value() == before, "caches need not hear of it"


def test_a_plan_says_the_same_and_changes_nothing(empty):
    before = buckets.change_value()
    wanted = bootstrap.read(written(empty, WHOLE))
    planned = bootstrap.plan(wanted, KEY)
    assert (buckets.change_value(), users.by_name("ann"), tenants.by_name("acme")) == (before, None, None)
    assert dynamic.get("audit.retention_days") == 90
    assert bootstrap.apply(wanted, KEY) == planned
    assert planned[0].text() == "setting audit.retention_days updated (90 to 30)"
    assert "user ann created" in [change.text() for change in planned]
    assert not any("secret" in change.text() or "horse" in change.text() for change in planned)


@pytest.mark.parametrize(("more", "fields"), [
    ({"tenants": [{"name": "acme", "status": "suspended", "max_users": 3}]}, ("status", "max_users")),
    ({"policies": [{"name": "photos", "tenant": "acme", "document": OPEN | {"Statement": []}}]}, None),
    ({"groups": [{"name": "viewers", "tenant": "acme", "policies": []}]}, ("policies",)),
    ({"groups": [{"name": "viewers", "tenant": "acme", "description": "who looks"}]}, ("description",)),
    ({"users": [{"username": "ann", "tenant": "acme", "display_name": "Anna", "status": "inactive"}]}, ("display_name", "is_active")),
    ({"users": [{"username": "ann", "tenant": "acme", "groups": []}]}, ("groups",)),
    ({"users": [{"username": "ann", "tenant": "acme", "password": "Another-pass-2"}]}, "nothing"),
    ({"users": [{"username": "ann", "tenant": "acme", "access_keys": [
        {"access_key": "AKIAANN0000000000000", "secret_key": "another-secret-012345", "status": "inactive"}]}]},
     ("is_active", "secret_key")),
    ({"buckets": [{"name": "photos", "owner": "ann", "versioning": "Suspended", "policy": "off", "public_access": "off"}]},
     ("versioning", "public_access", "policy")),
    ({"buckets": [{"name": "photos", "owner": "ann", "tags": {}}]}, ("tags",)),
    ({"buckets": [{"name": "photos", "owner": "ann"}]}, "nothing"),
    ({"settings": {"audit.retention_days": 31}}, ("30 to 31",)),
    ({}, "nothing"),
])
def test_what_is_said_changes_and_the_rest_stays(empty, more, fields):
    apply(empty, WHOLE, "wanted.toml")
    if fields is None:
        assert refused(empty, more)
        return
    changes = apply(empty, more)
    assert [change.fields for change in changes] == ([] if fields == "nothing" else [fields])
    assert len(attachments.of("user", users.by_name("ann").id)) == 1
    assert keys.find("AKIAANN0000000000000").expires_ms == 2082758400000


@pytest.mark.parametrize(("wanted", "problem"), [
    ({"users": [{"username": "ann", "emial": "x"}]}, "users.0.emial"),
    ({"settings": {"audit.retention_day": 3}}, "there is no setting audit.retention_day"),
    ({"settings": {"audit.retention_days": "3"}}, "settings.audit.retention_days must be a whole number"),
    ({"users": [{"username": "root"}]}, "root is not made here"),
    ({"users": [{"username": "ann"}, {"username": "ann"}]}, "user ann is there twice"),
    ({"users": [{"username": "ann", "tenant": "nobody"}]}, "user ann: There is no tenant nobody."),
    ({"users": [{"username": "ann", "policies": ["nothing"]}]}, "user ann: There is no policy nothing."),
    ({"users": [{"username": "ann", "groups": ["nothing"]}]}, "user ann: There is no group nothing"),
    ({"users": [{"username": "ann", "password": "short"}]}, "user ann: the password"),
    ({"users": [{"username": "ann", "canonical_id": "xyz"}]}, "users.0.canonical_id"),
    ({"users": [{"username": "ann", "access_keys": [{"access_key": "AKIA1"}]}]}, "AKIA1: secret_key or secret_key_file is missing"),
    ({"users": [{"username": "ann", "access_keys": [{"access_key": "AKIA1", "secret_key_file": "none"}]}]}, "No such file"),
    ({"policies": [{"name": "p", "document": {"Statement": [{"Effect": "Permit"}]}}]}, "policy p:"),
    ({"policies": [{"name": "readonly", "document": READ_PHOTOS}]}, "built-in"),
    ({"buckets": [{"name": "Not_A_Name"}]}, "bucket Not_A_Name:"),
    ({"buckets": [{"name": "photos", "owner": "nobody"}]}, "bucket photos: There is no user nobody."),
    ({"buckets": [{"name": "photos", "policy": OPEN}]}, "the public access block forbids that"),
    ({"buckets": [{"name": "other", "policy": OPEN}]}, "bucket other: policy:"),
    ({"buckets": [{"name": "photos", "tags": {"aws:x": "1"}}]}, "bucket photos:"),
])
def test_what_is_wrong_is_refused_whole(empty, wanted, problem):
    good = {"tenants": [{"name": "made-before"}]}
    problems = refused(empty, good | wanted)
    assert problem in " | ".join(problems)
    assert tenants.by_name("made-before") is None


def test_all_problems_of_a_file_are_told_at_once(empty):
    problems = refused(empty, {"settings": {"no.such": 1}, "policies": [{"name": "p", "document": "{"}], "buckets": [{"name": "A"}]})
    assert len(problems) == 3


def test_what_never_changes_is_refused(empty):
    apply(empty, WHOLE, "wanted.toml")
    for wanted, problem in (
        ({"users": [{"username": "ann"}]}, "of another tenant"),
        ({"users": [{"username": "ann", "tenant": "acme", "canonical_id": "cd" * 32}]}, "another canonical_id"),
        ({"users": [{"username": "bob", "access_keys": [{"access_key": "AKIAANN0000000000000", "secret_key": "x" * 20}]}]},
         "somebody else's"),
        ({"buckets": [{"name": "photos"}]}, "is not root's"),
    ):
        assert problem in " | ".join(refused(empty, wanted))


IN_YAML = """
settings: {audit.retention_days: 30}
tenants:
  - name: acme
users:
  - username: ann
    tenant: acme
    access_keys:
      - access_key: AKIAANN0000000000000
        secret_key: ann-secret-0123456789
        expires: 2036-01-01T00:00:00Z
buckets:
  - name: photos
    owner: ann
    ownership: off
    public_access: off
    tags: {answer: no}
    policy:
      Version: 2012-10-17
      Statement:
        - {Effect: Allow, Principal: "*", Action: s3:GetObject, Resource: "arn:aws:s3:::photos/*"}
"""


def test_yaml_says_the_same(empty):
    apply(empty, IN_YAML, "wanted.yaml")
    photos = buckets.find("photos")
    assert (photos.ownership, json.loads(photos.tags)) == (None, {"answer": "no"})
    assert json.loads(photos.policy)["Version"] == "2012-10-17"
    assert users.by_name("ann").tenant_id == tenants.by_name("acme").id
    assert apply(empty, IN_YAML, "wanted.yml") == []


@pytest.mark.parametrize(("text", "problem"), [
    ("users: []\nusers: []\n", "users is there twice"),
    ("tenants: &all []\nusers: *all\n", "aliases are not read"),
    ("users: [\n", "cannot be read"),
    ("settings: {audit.retention_days: yes}\n", "audit.retention_days"),
    ("settings: !!python/object/apply:os.getcwd []\n", "cannot be read"),
    ("users: " + "[" * 5000, "cannot be read"),
    ("users:\n  - {username: ann, access_keys: [{access_key: AKIA1, secret_key: 12345678, expires: 2036-13-01}]}\n", "cannot be read"),
])
def test_yaml_that_cannot_be_meant_is_refused(empty, text, problem):
    assert problem in refused(empty, text, "wanted.yaml")[0]


def test_a_folder_is_read_in_order_and_secrets_from_files(empty):
    folder = empty / "conf.d"
    folder.mkdir()
    written(folder, {"users": [{"username": "ann", "access_keys": [{"access_key": "AKIA1", "secret_key_file": "ann.secret"}]}]}, "20.json")
    written(folder, 'settings = { "audit.retention_days" = 7 }', "10.toml")
    (folder / "ann.secret").write_text("from-a-file-0123\n")
    (folder / "README").write_text("not read")
    bootstrap.apply(bootstrap.read(folder), KEY)
    assert KEY.open(people.access_key("AKIA1").sealed_secret, b"AKIA1") == b"from-a-file-0123"
    assert dynamic.get("audit.retention_days") == 7


def test_an_export_makes_the_same_installation(empty, tmp_path_factory):
    apply(empty, WHOLE, "wanted.toml")
    exported = exporting.export(KEY, secrets=True)
    assert bootstrap.plan(bootstrap.read(written(empty, exported, "exported.json")), KEY) == []
    metadata.hang_up()
    metadata.connect("", tmp_path_factory.mktemp("other"))
    metadata.migrate()
    people.create_root()
    dynamic.forget()
    assert bootstrap.apply(bootstrap.read(empty / "exported.json"), KEY)
    assert exporting.export(KEY, secrets=True) == exported
    assert "secret_key" not in json.dumps(exporting.export(KEY, secrets=False))


# ---- the whole server ---------------------------------------------------------------------------------------------------------------


def test_the_server_starts_as_the_file_says(tmp_path):
    path = written(tmp_path, WHOLE)
    with RunningServer(environ={"MAXIOFS_BOOTSTRAP": str(path)}) as server:
        ann = server.client(credentials=("AKIAANN0000000000000", "ann-secret-0123456789"))
        server.client().put_object(Bucket="photos", Key="cat", Body=b"meow")
        assert ann.get_object(Bucket="photos", Key="cat")["Body"].read() == b"meow"
        with pytest.raises(ClientError):
            ann.put_object(Bucket="photos", Key="dog", Body=b"wuff")      # the scope of the key
        assert requests.get(f"{server.url}/photos/cat", timeout=10).content == b"meow"
        server.stop()
        server.start()
        assert "0 changes" in server.log.read_text()


def test_a_server_does_not_start_with_a_broken_file(tmp_path):
    path = written(tmp_path, {"users": [{"username": "ann", "emial": ""}]}, "wanted.json")
    with pytest.raises(RuntimeError, match=r"users\.0\.emial"), RunningServer(environ={"MAXIOFS_BOOTSTRAP": str(path)}):
        pass


def test_the_command_line_plans_applies_and_exports(tmp_path):
    (tmp_path / "data").mkdir()
    path = written(tmp_path, {"tenants": [{"name": "acme"}]}, "wanted.json")

    def maxiofs(*arguments):
        command = [sys.executable, "-P", "-m", "scripts.cli", "bootstrap", *arguments, "--data-dir", str(tmp_path / "data")]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "MAXIOFS_BOOTSTRAP": str(path)}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert maxiofs("plan").stdout == "tenant acme created\n"
    assert maxiofs("apply", str(path)).stdout == "tenant acme created\n"
    assert json.loads(maxiofs("apply", "--json").stdout) == {"changes": []}
    assert json.loads(maxiofs("export").stdout) == {"tenants": [{"name": "acme", "status": "active"}]}
    path.write_text("{")
    done = maxiofs("plan")
    assert (done.returncode, "wanted.json" in done.stderr) == (2, True)
