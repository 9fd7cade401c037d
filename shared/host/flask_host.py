"""The Flask host of the functions: S3 requests go straight into the pipeline, everything else is Flask as everybody knows it.

Flask's routing, context and session cost more than half of a small GET, and none of it serves an S3 request. So ``wsgi_app`` hands those to
the pipeline at once; each S3 function is still an endpoint, shows in ``flask routes`` and works in the test client.

Paths of admin functions are routed as they were sent, still percent-encoded: ``a%2Fb`` is one part, so that any key can be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Flask, Response
from flask import request as flask_request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from shared.errors import EntityTooLarge, InternalError, MethodNotAllowed, NotFound, S3Error
from shared.host.contract import Body, Lane
from shared.pipeline import Pipeline
from shared.registry import Function
from shared.request import Headers, Reply, Request

if TYPE_CHECKING:
    from shared.admin.calls import Calls

RULES = {"service": "/", "bucket": "/<bucket>", "object": "/<bucket>/<path:key>", "website": "/<path:key>",
         "control": "/v20180820/tags/<arn>", "query": "/"}
_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)     # which a server accepts too: RFC 9112, section 3.2.2
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))


class FunctionHost(Flask):
    """Hosts the functions of one process."""

    def __init__(self, functions: dict[str, Function], pipeline: Pipeline) -> None:
        super().__init__("maxiofs", static_folder=None)
        self.pipeline = pipeline
        self.functions = functions
        self.answers_s3 = any(function.kind == "s3" for function in functions.values())
        self.calls: Calls | None = None
        self._slow = [_pattern(function) for function in functions.values() if function.kind == "admin" and function.lane == "slow"]
        for function in functions.values():
            if function.operation:
                self._register(RULES[function.operation.level], function, function.operation.method, self._never_reached)
            else:
                method, _, path = function.line.partition(" ")
                self._register(re.sub(r"\{(\w+)\}", r"<\1>", path), function, method, self._view(function))
        self.register_error_handler(HTTPException, self._refusal)

    def _register(self, rule: str, function: Function, method: str, view: Callable[..., Any]) -> None:
        self.add_url_rule(rule, function.id, view, methods=[method], provide_automatic_options=False, merge_slashes=False)

    def _never_reached(self, **_: str) -> Response:
        raise AssertionError("S3 requests do not come through Flask's routing")

    def wsgi_app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request of any WSGI server. Our own host calls the pipeline without this detour."""
        request = request_of(environ)
        if not self.answers_s3:
            path = _ABSOLUTE.sub("", request.target.partition("?")[0]).encode("latin-1", "replace") or b"/"
            return super().wsgi_app({**environ, "PATH_INFO": quote(path, safe=PRINTABLE), "maxiofs.request": request}, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        reply = self.pipeline.respond(request, None, Body(data=body, size=len(body)))
        start_response(f"{reply.status} {reply.status}", list(_with_length(reply)))
        if isinstance(reply.body, bytes):
            return [reply.body]
        return [reply.body.read(reply.length or 0)]

    # ---- admin functions --------------------------------------------------------------------------------------------------------

    def _calls(self) -> Calls:
        if self.calls is None:
            from shared.admin.calls import Calls  # late: no process of S3 functions needs what it stands on

            self.calls = Calls(self.pipeline.services)
        return self.calls

    def _view(self, function: Function) -> Callable[..., Response]:
        def view(**raw_args: str) -> Response:
            request = flask_request.environ["maxiofs.request"]
            reply, stream = self._calls().answer(function, request, raw_args, flask_request.get_data(cache=False))
            return _response(reply, stream.chunks if stream else reply.body)

        return view

    def _refusal(self, error: HTTPException) -> Response:
        """What Flask itself refuses: an unknown path, a wrong method (with OPTIONS: the methods there are), a broken function of ours."""
        request = flask_request.environ["maxiofs.request"]
        allow = ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"})) if isinstance(error, WrongMethod) else ""
        reply = self._calls().refuse(request, _told(error))
        if allow and request.method == "OPTIONS":
            reply = Reply(204, [pair for pair in reply.headers if pair[0] != "Content-Type"])
        reply.headers += [("Allow", allow)] if allow else []
        return _response(reply, reply.body)

    def lane(self, request: Request) -> Lane:
        """The lane of the console's listener that answers: what waits, for the disk or for a slow hash, keeps no page waiting."""
        line = f"{request.method} {request.target.partition('?')[0]}"
        if any(pattern.fullmatch(line) for pattern in self._slow):
            return "slow"
        return "fast" if request.method in ("GET", "HEAD") else "write"

    def refuse(self, request: Request | None, error: S3Error) -> Reply:
        """Answer for the listener what never came as far as a function."""
        if isinstance(error, EntityTooLarge):
            from shared.admin.errors import RequestTooLarge

            error = RequestTooLarge()
        return self._calls().refuse(request or Request("", "/", []), error)


def _pattern(function: Function) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(function.line)))


def _response(reply: Reply, body: Any) -> Response:
    made = Response(body, reply.status, reply.headers)
    if not any(name.lower() == "content-type" for name, _ in reply.headers):
        del made.headers["Content-Type"]        # Flask's own guess
    return made


def _told(error: HTTPException) -> S3Error:
    if isinstance(error, WrongMethod):
        return MethodNotAllowed()
    return NotFound("There is nothing at this path.") if (error.code or 500) < 500 else InternalError()


def _with_length(reply: Reply) -> Headers:
    length = len(reply.body) if isinstance(reply.body, bytes) else reply.length or 0
    given = any(name.lower() == "content-length" for name, _ in reply.headers)
    return reply.headers if given else [*reply.headers, ("Content-Length", str(length))]


def request_of(environ: dict[str, Any]) -> Request:
    """The request that our own host put there, or one as WSGI describes it: header names have lost their case and their underscores."""
    if (there := environ.get("maxiofs.request")) is not None:
        assert isinstance(there, Request)
        return there
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
