"""The admin API keeps to its OpenAPI document, whatever is sent: sound requests, unsound ones, and those of nobody.

Half of the requests name what is there, so that they get behind the first look-up; the rest name what nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.admin import openapi
from tests.admin.admin_client import Api, segment, unique
from tests.admin.people_world import PASSWORD
from tests.running import RunningServer

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
)
ENDS_THE_SESSION = {"log_out"}
FEW, MANY = 10, 150
SCHEMA = schemathesis.openapi.from_dict(openapi.document())
SCHEMA.config.generation.update(with_security_parameters=False)
FOUND = {found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()}
OPERATIONS = {name: found for name, found in FOUND.items() if name not in ENDS_THE_SESSION}
CLOSED = [name for name, found in FOUND.items() if found.definition.raw["security"]]
KINDS = {"sound": GenerationMode.POSITIVE, "unsound": GenerationMode.NEGATIVE}
TRIED = [(name, "sound") for name in OPERATIONS] + [     # where there are only names in the path, nothing can be of a wrong kind
    (name, "unsound") for name, found in OPERATIONS.items() if len(list(found.query)) or len(list(found.body))
]


class Place:
    """A server with something of each kind in it, and root signed in."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.api = Api(server).sign_in(server.access_key, server.secret_key)
        self.api.ok.put("/settings/security.ratelimit_enabled", {"value": False})
        self.root_id = str(self.api.ok.get("/auth/me")["id"])
        self._there: dict[str, str] = {}

    def there(self) -> dict[str, str]:
        """Parts of paths that name something."""
        if not self._there:
            self._there = self._made()
        return self._there

    def used(self, method: str) -> None:
        """What was there may be gone."""
        if method == "delete":
            self._there = {}

    def _made(self) -> dict[str, str]:
        make, bucket = self.api.ok, unique("b")
        tenant = make.post("/tenants", {"name": unique("t")})["id"]
        group, role = (make.post(path, {"name": unique("s")})["id"] for path in ("/groups", "/roles"))
        user = make.post("/users", {"username": unique("u"), "password": PASSWORD, "groups": [group], "access_key": {}})
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        policy = make.post("/policies", {"name": unique("p"), "document": document})["name"]
        make.post("/buckets", {"name": bucket})
        self.server.client().put_object(Bucket=bucket, Key="a/k", Body=b"x", Metadata={"some": "thing"})
        session = Api(self.server).sign_in(user["username"], PASSWORD).ok.get("/auth/me")["session_id"]
        share = make.post(f"/buckets/{bucket}/objects/a%2Fk/shares", {})["id"]
        event = make.get("/audit-logs", limit=1)["items"][0]["id"]
        found = {
            "tenant": tenant, "group": group, "role": role, "user": user["id"], "access_key": user["access_key"]["access_key"],
            "policy": policy, "bucket": bucket, "key": "a/k", "session": session, "id": event,
            "share": share,
        }
        return {name: str(value) for name, value in found.items()}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with RunningServer(processes=1) as own:
        yield Place(own)


def named(operation: Any, there: dict[str, str]) -> dict[str, str]:
    """The parts of this operation's path that name something."""
    names = [parameter.name for parameter in operation.path_parameters]
    known = there | ({"key": "storage.default_bucket_versioning"} if "settings" in operation.path else {})
    return {name: known[name] for name in names if name in known}


def try_out(place: Place, name: str, kind: str, examples: int) -> None:
    """Send so many requests of a kind, and check all replies against the document."""
    operation, checks = OPERATIONS[name], [*CHECKS, *[negative_data_rejection] * (kind == "unsound")]

    @settings(max_examples=examples, deadline=None, database=None, derandomize=examples == FEW, phases=[Phase.generate, Phase.shrink],
              suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data: Any) -> None:
        parts = named(operation, place.there()) if data.draw(st.booleans()) else {}
        case = data.draw(operation.as_strategy(KINDS[kind], path_parameters=parts or None))
        if str((case.path_parameters or {}).get("user")) == place.root_id:
            return      # whose sessions and password these are
        headers = {"X-CSRF-Token": place.api.csrf}
        case.call_and_validate(place.server.console_url, session=place.api.http, headers=headers, checks=checks)
        place.used(operation.method)

    run()
    place.api.ok.get("/auth/me")        # root is still signed in, and has not been asked to wait


@pytest.mark.parametrize(("name", "kind"), TRIED)
def test_replies_are_as_described(place: Place, name: str, kind: str):
    try_out(place, name, kind, FEW)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "kind"), TRIED)
def test_replies_are_as_described_to_many_more(place: Place, name: str, kind: str):
    try_out(place, name, kind, MANY)


@pytest.mark.parametrize("name", CLOSED)
def test_nobody_is_answered(place: Place, name: str):
    operation = FOUND[name]
    parts = {parameter.name: "x" for parameter in operation.path_parameters} | named(operation, place.there())
    path = operation.path.format(**{key: segment(value) for key, value in parts.items()})
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic cm9vdDpyb290"}, {"Cookie": "maxiofs_session=x"}):
        answer = requests.request(operation.method, place.server.console_url + path, json={}, headers=headers, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (401, "NotSignedIn"), answer.text


def test_only_what_is_said_to_be_open_is_left_out():
    assert set(FOUND) - set(CLOSED) == {
        "api_root", "api_root_with_slash", "version", "api_health", "openapi_document", "reference_page", "log_in", "verify_factor",
    }
