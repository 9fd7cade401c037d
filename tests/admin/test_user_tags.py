"""Tags of users: what policies ask for as aws:PrincipalTag, in force at the next request."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.admin.admin_client import Api, unique
from tests.running import RunningServer

NAME = "${aws:PrincipalTag/Team}"


def statement(effect, resource, **more):
    return {"Effect": effect, "Action": ["s3:GetObject", "s3:PutObject"], "Resource": resource, **more}


@pytest.fixture
def teams(api: Api, server: RunningServer):
    """A bucket of root, a user of the red team who has a policy about tags, and that user's client."""
    bucket, policy = f"b-{unique('').lower()}", unique("team")
    server.client().create_bucket(Bucket=bucket)
    api.ok.post("/policies", {"name": policy, "document": {"Version": "2012-10-17", "Statement": [
        statement("Allow", f"arn:aws:s3:::{bucket}/{NAME}/*"),
        statement("Deny", f"arn:aws:s3:::{bucket}/*/secret", Condition={"StringNotEquals": {"aws:PrincipalTag/clearance": "high"}}),
    ]}})
    user = api.ok.post("/users", {"username": unique(), "tags": {"team": "red"}, "policies": [policy], "access_key": {}})
    key = user["access_key"]
    return bucket, user, server.client(credentials=(key["access_key"], key["secret_key"]))


def may_put(client, bucket, key) -> bool:
    try:
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
        return False
    return True


def test_policies_ask_for_them_and_a_change_counts_at_once(api: Api, teams):
    bucket, user, client = teams
    path = f"/users/{user['id']}"
    assert user["tags"] == api.ok.get(path)["tags"] == {"team": "red"}
    assert [may_put(client, bucket, key) for key in ("red/a", "blue/a", "red/secret")] == [True, False, False]
    assert api.ok.put(path, {"tags": {"TEAM": "blue", "clearance": "high"}})["tags"] == {"TEAM": "blue", "clearance": "high"}
    assert [may_put(client, bucket, key) for key in ("red/a", "blue/a", "blue/secret")] == [False, True, True]
    assert api.ok.put(path, {"display_name": "Blue"})["tags"] == {"TEAM": "blue", "clearance": "high"}
    assert api.ok.put(path, {"tags": {}})["tags"] == {}
    assert not any(may_put(client, bucket, key) for key in ("red/a", "blue/a", "/a"))


def test_two_tags_of_one_name_stand_for_nothing(api: Api, teams):
    bucket, user, client = teams
    api.ok.put(f"/users/{user['id']}", {"tags": {"team": "red", "Team": "blue"}})
    assert not any(may_put(client, bucket, key) for key in ("red/a", "blue/a"))


@pytest.mark.parametrize("tags", [
    {"": "x"}, {"k" * 129: ""}, {"k": "v" * 257}, {"k": 1}, ["k"], {f"k{n}": "" for n in range(51)}, {"k\0": ""},
])
def test_tags_that_are_none(api: Api, teams, tags):
    answer = api.put(f"/users/{teams[1]['id']}", {"tags": tags})
    assert answer.status_code == 400 and any(field.startswith("tags") for field in answer.json()["fields"]), answer.text
