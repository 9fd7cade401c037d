"""What every function of the admin API has from its declaration: refusals, headers, description."""

from __future__ import annotations

import json
import re
import socket
from html.parser import HTMLParser

import pytest

from shared.admin import openapi
from shared.admin.calls import Calls
from shared.admin.context import AdminContext
from shared.admin.errors import AccessDenied, InvalidFields
from shared.admin.model import cursor_of, position_of
from shared.host.flask_host import FunctionHost
from shared.registry import Function, admin, load
from shared.request import Request
from tests.admin.admin_client import Api
from tests.running import RunningServer

FUNCTIONS = openapi.functions()


def refused(answer, status: int, code: str) -> dict:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json"), answer.text
    document = answer.json()
    assert set(document) == {"code", "message", "request_id", "fields"} and document["code"] == code, document
    assert document["request_id"] == answer.headers["X-Request-Id"] and document["message"]
    return document


# ---- what is answered to anybody --------------------------------------------------------------------------------------------------


def test_the_root_document_names_every_collection(anonymous: Api):
    document = anonymous.ok.get("")
    assert (document["name"], document["api"], document["documentation"]) == ("MaxIOFS", "v1", "/api/v1/docs")
    assert document == anonymous.ok.get("/") and document["endpoints"]["version"] == "/api/v1/version"
    assert anonymous.ok.get("/health") == {"status": "ok"}


def test_nothing_is_kept_embedded_or_guessed(anonymous: Api):
    for path in ("", "/docs", "/nothing"):
        headers = anonymous.get(path).headers
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'") and headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer" and headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Set-Cookie" not in headers and not any(name.startswith("Access-Control") for name in headers)


def test_unknown_paths_and_methods_are_json(anonymous: Api):
    for path in ("/nothing", "/api/v2", "/version/", "//version"):
        refused(anonymous.get(path), 404, "NotFound")
    assert refused(wrong := anonymous.delete("/version"), 405, "MethodNotAllowed") and wrong.headers["Allow"] == "GET, HEAD, OPTIONS"
    refused(anonymous.ask("BREW", "/version"), 405, "MethodNotAllowed")


def test_head_and_options(anonymous: Api):
    got, head = anonymous.get("/version"), anonymous.ask("HEAD", "/version")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.content))
    options = anonymous.ask("OPTIONS", "/version")
    assert (options.status_code, options.headers["Allow"], options.content) == (204, "GET, HEAD, OPTIONS", b"")
    refused(anonymous.ask("OPTIONS", "/nothing"), 404, "NotFound")


def test_unknown_parameters_and_bodies_are_refused(anonymous: Api):
    assert refused(anonymous.get("/version", colour="red"), 400, "InvalidFields")["fields"] == {"?colour": "There is no such parameter."}
    refused(anonymous.ask("GET", "/version", b"{}"), 400, "InvalidFields")
    refused(anonymous.get("/version?a=%ff"), 400, "InvalidFields")


def test_a_body_over_a_mebibyte_is_refused_in_the_same_shape(anonymous: Api):
    refused(anonymous.ask("POST", "/version", b"x" * ((1 << 20) + 1)), 413, "RequestTooLarge")


def test_a_chunked_body_over_a_mebibyte_too(server: RunningServer):
    host, _, port = server.console_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as conn:
        conn.sendall(b"POST /api/v1/version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(18):
                conn.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        except OSError:
            pass
        answer = conn.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 413") and b'"RequestTooLarge"' in answer


def test_a_request_is_found_in_the_log_by_its_id(server: RunningServer, anonymous: Api):
    answer = anonymous.get("/version")
    line = server.logged(answer.headers["X-Request-Id"])
    assert (line["operation"], line["status"], line["path"]) == ("admin.version", 200, "/api/v1/version")


# ---- who is nobody ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [one for one in FUNCTIONS if one.allow != ("anyone",)], ids=lambda one: one.id)
def test_nobody_is_refused_before_anything_is_read(function, anonymous: Api):
    method, _, path = function.line.partition(" ")
    answer = anonymous.ask(method, re.sub(r"\{\w+\}", "1", path), b"not JSON" if function.takes else None)
    refused(answer, 401, "NotSignedIn")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer nothing", "Bearer ", "Basic cm9vdDpyb290", "AWS4-HMAC-SHA256 Credential=x", "Bearer \xff"])
def test_who_is_not_known_is_nobody(anonymous: Api, header):
    signed_in = next(one for one in FUNCTIONS if one.allow != ("anyone",) and one.line.startswith("GET") and "{" not in one.line)
    refused(anonymous.ask("GET", signed_in.line.partition(" ")[2], headers={"Authorization": header.encode("latin-1")}), 401, "NotSignedIn")


# ---- what every function refuses --------------------------------------------------------------------------------------------------

STRANGE = ["0", "-1", "1e9", "9" * 30, "%00", "%27%20OR%201%3D1%20--", "%F0%9F%92%A5", "%ff", "..%2f..%2fetc", "{}", "null", "x" * 2000]


def filled(function, value: str = "1") -> tuple[str, str]:
    method, _, path = function.line.partition(" ")
    return method, re.sub(r"\{\w+\}", value, path)


@pytest.mark.parametrize("function", [one for one in FUNCTIONS if one.takes], ids=lambda one: one.id)
def test_a_name_nobody_declared_is_refused(function, api: Api):
    method, path = filled(function)
    document = refused(api.ask(method, path, {"no_such_field": 1}), 400, "InvalidFields")
    assert "no_such_field" in document["fields"]
    for body in (b"[]", b'"x"', b"7", b"null", b"{", b'{"a": 1, "a": 2}', b"\xff\xfe", b'{"a": "\\u0000"}', b'{"a": 1e999}', b"{}}"):
        assert api.ask(method, path, body).status_code == 400, body
    assert api.ask(method, path, b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


@pytest.mark.parametrize("function", [one for one in FUNCTIONS if one.line.startswith("GET ")], ids=lambda one: one.id)
def test_a_parameter_nobody_declared_is_refused(function, api: Api):
    document = refused(api.get(filled(function)[1], no_such_parameter="x"), 400, "InvalidFields")
    assert set(document["fields"]) == {"?no_such_parameter"}


@pytest.mark.parametrize("function", [one for one in FUNCTIONS if "{" in one.line], ids=lambda one: one.id)
def test_what_names_nothing_is_not_found(function, api: Api):
    """Or its body is refused first. Nothing breaks, and nothing is there."""
    for value in STRANGE:
        method, path = filled(function, value)
        answer = api.ask(method, path, {} if function.takes else None)
        assert answer.status_code in (400, 404) or (answer.status_code, method) == (409, "DELETE"), (value, answer.status_code, answer.text)
        assert set(answer.json()) == {"code", "message", "request_id", "fields"}


PAGED = [one for one in FUNCTIONS if one.query is not None and "cursor" in one.query.model_fields and "{" not in one.line]


@pytest.mark.parametrize("function", PAGED, ids=lambda one: one.id)
def test_every_list_comes_in_pages(function, api: Api):
    path = function.line.partition(" ")[2]
    page = api.ok.get(path, limit=1)
    assert set(page) >= {"items", "next_cursor"} and len(page["items"]) <= 1
    if page["next_cursor"] is not None:
        again = api.ok.get(path, limit=1, cursor=page["next_cursor"])
        assert again["items"] != page["items"] or not page["items"]
    for cursor in ("x", "e30", "W10", "WzFd", "WyJhIl0", "W251bGxd", "WzFlOTldIA", "_" * 9000, "é"):
        assert api.get(path, cursor=cursor).status_code in (200, 400), cursor       # 200: a cursor of the right kind is a place in the list
    for limit in ("0", "-1", "1001", "x", "1.5", "", "9" * 5000):
        assert "?limit" in refused(api.get(path, limit=limit), 400, "InvalidFields")["fields"]


# ---- the description --------------------------------------------------------------------------------------------------------------


def test_the_description_has_every_function(anonymous: Api):
    document = anonymous.ok.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    described = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    for_people = {"GET /", "GET /share/{token}", "POST /share/{token}"}
    assert described == {function.line for function in load(["admin.*"]).values()} - for_people
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_in_the_description_leads_somewhere():
    document = openapi.document()
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]
    for methods in document["paths"].values():
        for one in methods.values():
            for alternative in one["security"]:
                assert set(alternative) <= set(document["components"]["securitySchemes"])


def test_every_part_of_a_path_is_a_parameter():
    for path, methods in openapi.document()["paths"].items():
        for one in methods.values():
            assert [each["name"] for each in one["parameters"] if each["in"] == "path"] == re.findall(r"\{(\w+)\}", path)


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.outside: list[str] = []
        self.inside: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "src", "action"):
                (self.inside if value.startswith("#") else self.outside).append(value)


def test_the_page_needs_nothing_from_elsewhere(anonymous: Api):
    answer = anonymous.get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8" and "script-src" not in answer.headers["Content-Security-Policy"]
    page = Links()
    page.feed(answer.text)
    assert page.outside == ["/api/v1/openapi.json"] and not page.tags & {"script", "link", "img", "iframe"}
    assert {link[1:] for link in page.inside} <= set(page.ids)
    for function in FUNCTIONS:
        assert function.name in page.ids


# ---- without HTTP -----------------------------------------------------------------------------------------------------------------


def test_every_mutation_has_an_event_or_says_why_not():
    silent = {function.id for function in FUNCTIONS if not function.line.startswith("GET ") and not function.event}
    assert silent <= {"admin.set_up_factor"}, silent        # an offer that changes nothing until it is confirmed


def test_what_writes_or_takes_long_keeps_no_page_waiting():
    host = FunctionHost(load(["admin.*"]), None)    # type: ignore[arg-type]
    lanes = {line: host.lane(Request(*line.split(), [])) for line in (
        "GET /api/v1/version?x", "HEAD /api/v1/users", "POST /api/v1/buckets", "DELETE /api/v1/buckets/b",
        "GET /api/v1/buckets/b/folder-size?prefix=x", "GET /api/v1/buckets/a/b/folder-size")}
    assert list(lanes.values()) == ["fast", "fast", "write", "write", "slow", "fast"], lanes


def test_an_absolute_target_and_a_damaged_one(server: RunningServer):
    host, _, port = server.console_url.removeprefix("http://").partition(":")
    for target, status in (("http://other.example/api/v1/version", b"200"), ("/api/v1/version?a=%", b"400"), ("/api/v1/%", b"404"),
                           ("/api/v1/buckets/%ff", b"404"), ("/api/v1/v\xff", b"404"), ("*", b"404")):
        with socket.create_connection((host, int(port)), 10) as conn:
            conn.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
            answer = b"".join(iter(lambda: conn.recv(1 << 16), b""))
        assert answer.split()[1] in (status, b"401", b"400"), (target, answer)
        assert answer.count(b"X-Request-Id:") == 1 or status == b"400", answer


@pytest.mark.parametrize("line", ["FETCH /api/v1/x", "GET api/v1/x", "GET /api/v1/<int:x>", "GET /api/v1/{X}", "GET /api/v1/x y", "GET"])
def test_a_line_that_cannot_be_is_no_declaration(line):
    with pytest.raises(ValueError):
        admin(line, allow="admin:Nothing")


def test_a_function_that_forgets_to_ask_is_held_back():
    def forgetful(ctx: AdminContext) -> str:
        return "what nobody may see"

    function = Function("forgetful", "admin", forgetful, ("admin:GetUser",), line="GET /api/v1/x", gives="text/plain", inside=True)
    ctx = AdminContext(None, None, function, Request("GET", "/api/v1/x", []))     # type: ignore[arg-type]
    with pytest.raises(AccessDenied):
        Calls(None)._called(ctx)        # type: ignore[arg-type]
    ctx.asked = True
    assert Calls(None)._called(ctx) == "what nobody may see"      # type: ignore[arg-type]


@pytest.mark.parametrize("kinds", [(str,), (int,), (str, int)])
def test_cursors_come_back_as_they_were(kinds):
    values = tuple({str: "ü\0/\n", int: -(1 << 62)}[kind] for kind in kinds)
    assert position_of(cursor_of(*values), *kinds) == values
    assert position_of(None, *kinds) is None
    for other in ((), (bool,), (int, str), (str, str, str)):
        with pytest.raises(InvalidFields):
            position_of(cursor_of(*values), *other)
