"""The Flask host of the functions: S3 requests go straight into the pipeline, everything else is Flask as everybody knows it.

Flask's routing, context and session cost more than half of a small GET, and none of it serves an S3 request. So ``wsgi_app`` hands those to
the pipeline at once; each S3 function is still an endpoint, shows in ``flask routes`` and works in the test client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from flask import Flask, Response

from shared.auth.engine import ANYONE
from shared.host.contract import Body
from shared.pipeline import Pipeline
from shared.registry import Function
from shared.request import Headers, Reply, Request

RULES = {"service": "/", "bucket": "/<bucket>", "object": "/<bucket>/<path:key>"}


class FunctionHost(Flask):
    """Hosts the functions of one process."""

    def __init__(self, functions: dict[str, Function], pipeline: Pipeline) -> None:
        super().__init__("maxiofs", static_folder=None)
        self.pipeline = pipeline
        self.functions = functions
        self.answers_s3 = any(function.kind == "s3" for function in functions.values())
        for function in functions.values():
            if function.operation:
                self._register(RULES[function.operation.level], function, function.operation.method, self._never_reached)
            else:
                method, _, rule = function.line.partition(" ")
                self._register(rule, function, method, _json_view(function))

    def _register(self, rule: str, function: Function, method: str, view: Callable[..., Any]) -> None:
        self.add_url_rule(rule, function.id, view, methods=[method], provide_automatic_options=False, merge_slashes=False)

    def _never_reached(self, **_: str) -> Response:
        raise AssertionError("S3 requests do not come through Flask's routing")

    def wsgi_app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request of any WSGI server. Our own host calls the pipeline without this detour."""
        if not self.answers_s3:
            return super().wsgi_app(environ, start_response)
        request = request_of(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        reply = self.pipeline.respond(request, None, Body(data=body, size=len(body)))
        start_response(f"{reply.status} {reply.status}", list(_with_length(reply)))
        if isinstance(reply.body, bytes):
            return [reply.body]
        return [reply.body.read(reply.length or 0)]


def _json_view(function: Function) -> Callable[..., Any]:
    if function.allow != (ANYONE,):
        raise NotImplementedError(f"{function.id} asks for a permission, and nobody checks those of admin functions yet")

    def view(**arguments: str) -> Any:
        return function.call(arguments)

    return view


def _with_length(reply: Reply) -> Headers:
    length = len(reply.body) if isinstance(reply.body, bytes) else reply.length or 0
    given = any(name.lower() == "content-length" for name, _ in reply.headers)
    return reply.headers if given else [*reply.headers, ("Content-Length", str(length))]


def request_of(environ: dict[str, Any]) -> Request:
    """A request as WSGI describes it: header names have lost their case and their underscores, which our own host keeps."""
    target = environ.get("REQUEST_URI") or quote(environ["PATH_INFO"].encode("latin-1")) + (
        "?" + environ["QUERY_STRING"] if environ.get("QUERY_STRING") else ""
    )
    headers = [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]
    headers += [(name.replace("_", "-"), environ[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
    length = environ.get("CONTENT_LENGTH")
    return Request(
        environ["REQUEST_METHOD"], target, headers, environ.get("REMOTE_ADDR", ""), environ["wsgi.url_scheme"],
        content_length=int(length) if length else None,
    )
