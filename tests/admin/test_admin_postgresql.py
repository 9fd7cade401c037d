"""The admin API over PostgreSQL, which is stricter than SQLite about types, NULs and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from shared.admin import openapi
from tests.admin.admin_client import Api, unique
from tests.engines import postgres_server
from tests.running import RunningServer

STRANGE = ["0", str(1 << 31), str(1 << 62), "9" * 19, "%00", "%F0%9F%92%A5", "%27%3B--", "x" * 300]
QUERY = {"integer": ["0", str(1 << 31), str((1 << 63) - 1), str(1 << 63)], "string": ["%00", "%27%25_%5C", "%F0%9F%92%A5"]}


@pytest.fixture(scope="module")
def root() -> Iterator[Api]:
    with postgres_server() as postgres, RunningServer(database_url=postgres.fresh_database(), processes=1) as server:
        api = Api(server).sign_in(server.access_key, server.secret_key)
        api.ok.put("/settings/security.ratelimit_enabled", {"value": False})
        yield api


def test_a_bucket_from_beginning_to_end(root: Api):
    name = unique("bucket")
    made = root.ok.post("/buckets", {"name": name, "versioning": "Enabled", "tags": {"ä": "ö"}})
    assert (made["versioning"], made["objects"], made["owner_name"]) == ("Enabled", 0, "root")
    stale = root.ask("PUT", f"/buckets/{name}/tagging", {"tags": {}}, headers={"If-Match": '"1"'})
    assert stale.status_code == (200 if made["revision"] == 1 else 412)
    assert [one["name"] for one in root.ok.get("/buckets", prefix=name)["items"]] == [name]
    client = root.server.client()
    version = client.put_object(Bucket=name, Key="a/b", Body=b"x")["VersionId"]
    marker = root.ok.delete(f"/buckets/{name}/objects/a%2Fb")["version_id"]
    assert root.ok.post(f"/buckets/{name}/objects/a%2Fb/restore", {"version_id": marker})["version_id"] == version
    moved = root.ok.post(f"/buckets/{name}/objects/a%2Fb/rename", {"new_key": "c"})
    assert root.ok.get(f"/buckets/{name}/objects/c")["version_id"] == moved["version_id"]
    assert root.delete(f"/buckets/{name}").status_code == 409


@pytest.mark.parametrize("function", [one for one in openapi.functions() if "{" in one.line], ids=lambda one: one.id)
def test_what_names_nothing_breaks_nothing(function, root: Api):
    method, _, path = function.line.partition(" ")
    for value in STRANGE:
        answer = root.ask(method, re.sub(r"\{\w+\}", value, path), {} if function.takes else None)
        assert answer.status_code in (400, 403, 404, 409), (value, answer.status_code, answer.text)


@pytest.mark.parametrize("function", [one for one in openapi.functions() if one.query and "{" not in one.line], ids=lambda one: one.id)
def test_strange_parameters_break_nothing(function, root: Api):
    path = function.line.partition(" ")[2]
    operation = openapi.document()["paths"][path][function.line.partition(" ")[0].lower()]
    for one in operation["parameters"]:
        for value in QUERY.get(one["schema"].get("type", ""), ()):
            answer = root.ask("GET", f"{path}?{one['name']}={value}")
            assert answer.status_code in (200, 400, 403, 404), (one["name"], value, answer.text)
