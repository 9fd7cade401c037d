"""An ordinary WSGI application on the same host."""

from __future__ import annotations

import io

import pytest
from flask import Flask, Response, jsonify, request
from wire_app import Running

from shared.host.wsgi import WsgiApplication


@pytest.fixture
def console(start) -> Running:
    app = Flask("console")

    @app.route("/echo/<path:rest>", methods=["GET", "POST", "HEAD"])
    def echo(rest: str) -> Response:
        facts = {key: value for key, value in request.environ.items() if isinstance(value, str)}
        return jsonify(rest=rest, args=request.args, size=len(request.get_data()), environ=facts)

    @app.route("/empty")
    def empty() -> tuple[str, int, dict[str, str]]:
        return "", 204, {"x-lower-Case": "1"}

    @app.route("/stream")
    def stream() -> Response:
        return Response((b"%d\n" % number for number in range(3)), headers={"Content-Length": "6"})

    @app.route("/file")
    def file() -> Response:
        wrapped = request.environ["wsgi.file_wrapper"](io.BytesIO(b"y" * 3_000_000))
        return Response(wrapped, direct_passthrough=True, headers={"Content-Length": "3000000"})

    @app.route("/crash")
    def crash() -> Response:
        raise RuntimeError("a bug")

    app.wsgi_app = Breaking(app.wsgi_app)  # type: ignore[method-assign]
    return start(WsgiApplication(app), fast=2, slow=1)


class Breaking:
    """Fails outside Flask's own error handling."""

    def __init__(self, inner) -> None:
        self.inner = inner

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/break":
            raise RuntimeError("broken")
        return self.inner(environ, start_response)


def test_the_environment(console):
    client = console.connect()
    facts = client.ask("GET /echo/a%20b/c?d=e%20f HTTP/1.1\nHost: c.example:81\nX_Fake: 1\nX-Real: 2\nCookie: a=b\nCookie: c=d").json
    environ = facts["environ"]
    assert (facts["rest"], facts["args"]) == ("a b/c", {"d": "e f"})
    assert (environ["HTTP_HOST"], environ["HTTP_X_REAL"], environ["REMOTE_ADDR"]) == ("c.example:81", "2", "127.0.0.1")
    assert environ["SERVER_PORT"] == str(console.port)
    assert "HTTP_X_FAKE" not in environ


@pytest.mark.parametrize("size", [0, 10, 16384, 20000, 1 << 20])
def test_bodies_up_to_a_megabyte(console, size):
    client = console.connect()
    assert client.ask(f"POST /echo/a HTTP/1.1\nHost: x\nContent-Length: {size}", b"x" * size).json["size"] == size
    client.send(f"POST /echo/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {size + 1}\r\n\r\n")
    answer = client.reply()
    if size + 1 > 1 << 20:
        assert (answer.status, answer.json["error"], answer.get("Connection")) == (413, "EntityTooLarge", "close")
    else:
        assert answer.status == 100
        assert client.send(b"x" * (size + 1)).reply().json["size"] == size + 1


def test_a_chunked_body_is_bounded_too(console):
    client = console.connect()
    client.send(b"POST /echo/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"80000\r\n" + b"x" * 0x80000 + b"\r\n")
    client.send(b"80001\r\n" + b"x" * 0x80001 + b"\r\n0\r\n\r\n")
    assert (answer := client.reply()).status == 413 and answer.json["error"] == "EntityTooLarge"


def test_replies_keep_the_connection_and_their_spelling(console):
    client = console.connect()
    answer = client.ask("GET /empty HTTP/1.1\nHost: x")
    assert (answer.status, answer.get("x-lower-Case"), answer.get("Connection")) == (204, "1", None)
    assert client.ask("GET /stream HTTP/1.1\nHost: x").body == b"0\n1\n2\n"
    assert client.ask("GET /file HTTP/1.1\nHost: x").body == b"y" * 3_000_000
    client.send(b"HEAD /echo/a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.reply(head=True).status == 200
    assert client.ask("GET /crash HTTP/1.1\nHost: x").status == 500
    assert client.ask("GET /nothing HTTP/1.1\nHost: x").status == 404


def test_failures_outside_the_application_are_json(console):
    client = console.connect()
    answer = client.ask("GET /break HTTP/1.1\nHost: x")
    assert (answer.json["error"], answer.get("Connection")) == ("InternalError", "close")
    assert console.connect().ask("nonsense").json["error"] == "BadRequest"


def test_a_reply_to_head_has_no_body_whatever_the_application_gives(start):
    def careless(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return [b"bytes"]

    client = start(WsgiApplication(careless)).connect()
    for _ in range(2):
        client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.reply(head=True)
        assert (answer.status, answer.get("Content-Length")) == (200, "5")
    assert client.ask("GET / HTTP/1.1\nHost: x").body == b"bytes"
