"""The life of a call of the admin API: find out who asks, ask whether they may, read what they sent, call, note it, answer."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from shared import audit
from shared.access_log import HIDDEN, request_id
from shared.admin import reading, sessions
from shared.admin.context import ANYONE, SIGNED_IN, AdminContext
from shared.admin.errors import InvalidFields, NotSignedIn, S3Error, TooManyRequests, reply_of
from shared.errors import AccessDenied
from shared.meta import people
from shared.refusals import as_s3_error
from shared.registry import Function
from shared.request import Headers, Reply, Request
from shared.services import Services

log = logging.getLogger("maxiofs.admin")

JSON = "application/json"
ALWAYS: Headers = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
NOTHING_MORE = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
UNNOTED = (NotSignedIn, TooManyRequests)        # nobody may fill the audit log without being somebody
_SHARED = re.compile(r"^((?:https?://[^/]*)?/+share/)[^?]+", re.IGNORECASE)     # behind it stands the token of a share link, a secret


@dataclass
class Stream:
    """A reply that is made while it is sent."""

    chunks: Iterator[bytes]


class Calls:
    """Answers the calls of one process."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def answer(self, function: Function, request: Request, raw_args: dict[str, str], body: bytes) -> tuple[Reply, Stream | None]:
        """One request over HTTP. Whatever happens, it is answered. ``raw_args`` are parts of the path, still percent-encoded."""
        started = time.perf_counter()
        request_id.set(request.id)
        self.services.metrics.started()
        reply, code, stream, ctx = Reply(500), None, None, None
        try:
            ctx = AdminContext(self.services, self.services.identity.current(), function, request, event=function.event,
                               address=self.services.proxies.client(request))
            ctx.args = {name: reading.path_value(name, value) for name, value in raw_args.items()}
            reply, stream = self._answer(ctx, request.target.partition("?")[2], body)
        except Exception as caught:     # whatever it was, the client gets an answer
            error = as_s3_error(caught)
            code, reply = error.code, reply_of(error, request.id)
        finally:
            self._record(function.id, request, reply, code=code, bytes_in=len(body), duration_s=time.perf_counter() - started,
                         reason=ctx.reason if ctx and code else None)
        return finish(reply, request.id), stream

    def refuse(self, request: Request, error: S3Error) -> Reply:
        """Answer what is no call of anything: an unknown path or method."""
        self.services.metrics.started()
        reply = reply_of(error, request.id)
        self._record("admin.unknown", request, reply, code=error.code)
        return finish(reply, request.id)

    def invoke(self, function: Function, arguments: dict[str, Any]) -> Any:
        """Call as root, without HTTP: one document with the parts of the path, the parameters and the fields of the body together.

        Returns the reply as plain values, None when it has none. Raises what the function raises, InvalidFields.
        """
        request = Request(function.line.partition(" ")[0], function.line.partition(" ")[2], [("User-Agent", "maxiofs invoke")], peer="")
        ctx = AdminContext(self.services, self.services.identity.current(), function, request, caller=people.root(), event=function.event)
        ctx.args, query, body = _sorted_out(function, arguments)

        def call() -> Any:
            self._authorise(ctx)
            if function.query is not None:
                ctx.query = _checked(function.query, query)
            if function.takes is not None:
                ctx.body = _checked(function.takes, body)
            return self._called(ctx)

        return _plain(function, self._noted(ctx, call))

    # ---- the steps --------------------------------------------------------------------------------------------------------------

    def _answer(self, ctx: AdminContext, query: str, body: bytes) -> tuple[Reply, Stream | None]:
        def call() -> Any:
            self._identify(ctx)
            self._authorise(ctx)
            try:
                ctx.query = reading.query_of(query, ctx.function.query)
                ctx.body = reading.body_of(ctx.request, body, ctx.function.takes)
                ctx.if_match = reading.revision_wanted(ctx.request)
            except S3Error:
                ctx.event = ctx.event if ctx.caller is not None else ""     # what nobody sent and nobody can read was no attempt
                raise
            return self._called(ctx)

        return _rendered(ctx, self._noted(ctx, call))

    def _identify(self, ctx: AdminContext) -> None:
        if ctx.function.allow == (ANYONE,):
            return
        found = sessions.identify(ctx)
        if found is None:
            raise NotSignedIn()
        ctx.caller, ctx.session = found

    def _authorise(self, ctx: AdminContext) -> None:
        """Ask about the declared action. Raises AccessDenied, NotFound."""
        assert not callable(ctx.function.allow)
        action = ctx.function.allow[0]
        if action not in (ANYONE, SIGNED_IN) and not _asks_itself(ctx.function):
            ctx.require(action, ctx.user.tenant_id, "*")

    def _called(self, ctx: AdminContext) -> Any:
        result = ctx.function.call(ctx)
        if _asks_itself(ctx.function) and not ctx.asked:
            log.error("%s did not ask whether it is allowed", ctx.function.id)
            raise AccessDenied()
        return result

    def _noted(self, ctx: AdminContext, call: Callable[[], Any]) -> Any:
        """Call, and write the audit event whether it succeeds or not."""
        try:
            result = call()
        except Exception as error:
            if not isinstance(error, UNNOTED):
                _note(ctx, "failed", {"error": as_s3_error(error).code, **({"reason": ctx.reason} if ctx.reason else {})})
            raise
        _note(ctx, "success", {})
        return result

    def _record(self, name: str, request: Request, reply: Reply, *, code: str | None, bytes_in: int = 0, duration_s: float = 0.0,
                reason: str | None = None) -> None:
        bytes_out = len(reply.body) if isinstance(reply.body, bytes) else 0
        self.services.metrics.finished(name, reply.status, code, bytes_in=bytes_in, bytes_out=bytes_out, duration_s=duration_s)
        self.services.log.write(
            replace(request, target=_SHARED.sub(rf"\1{HIDDEN}", request.target)),
            status=reply.status, duration_s=duration_s, remote=self.services.proxies.client(request), operation=name, code=code,
            bytes_in=bytes_in, bytes_out=bytes_out, reason=reason,
        )


def _asks_itself(function: Function) -> bool:
    return function.inside or (not callable(function.allow) and function.allow[0].startswith("s3:"))


# ---- results → replies ------------------------------------------------------------------------------------------------------------


def finish(reply: Reply, id: str) -> Reply:
    """Add what every reply of the console's listener has."""
    there = {name.lower() for name, _ in reply.headers}
    reply.headers += [pair for pair in [*ALWAYS, NOTHING_MORE, ("X-Request-Id", id)] if pair[0].lower() not in there]
    return reply


def _rendered(ctx: AdminContext, result: Any) -> tuple[Reply, Stream | None]:
    """What the function returned as a reply. Its own Reply goes out as it is."""
    function = ctx.function
    if isinstance(result, Reply):
        result.headers += ctx.reply_headers
        return result, None
    if function.gives is None:
        return Reply(204, ctx.reply_headers), None
    if isinstance(function.gives, str):
        headers = [("Content-Type", function.gives), *ctx.reply_headers]
        if isinstance(result, (bytes, str)):
            return Reply(function.status, headers, result.encode() if isinstance(result, str) else result), None
        return Reply(function.status, headers), Stream(iter(result))
    kind = reading.adapter_of(function.gives)
    made = kind.validate_python(result, from_attributes=True)
    headers = [("Content-Type", JSON), *ctx.reply_headers]
    revision = getattr(made, "revision", None)
    if isinstance(revision, int):
        headers.append(("ETag", f'"{revision}"'))
    return Reply(function.status, headers, kind.dump_json(made) + b"\n"), None


def _plain(function: Function, result: Any) -> Any:
    """What the function returned as plain values; text for what is no JSON."""
    if isinstance(result, Reply):
        result = result.body if isinstance(result.body, bytes) else result.body.read()
    if function.gives is None or isinstance(result, str):
        return result
    if isinstance(function.gives, str):
        return (result if isinstance(result, bytes) else b"".join(result)).decode("utf-8", "backslashreplace")
    kind = reading.adapter_of(function.gives)
    return kind.dump_python(kind.validate_python(result, from_attributes=True), mode="json")


# ---- the audit event --------------------------------------------------------------------------------------------------------------


def _note(ctx: AdminContext, status: str, more: dict[str, Any]) -> None:
    if not ctx.event:
        return
    kind, id, name = ctx.resource or _named_by_the_path(ctx)
    caller = ctx.caller
    tenant_id = ctx.tenant_id if ctx.tenant_id is not None else caller.tenant_id if caller else 0
    audit.record(audit.Event(
        event_type=ctx.event, resource_type=kind, resource_id=id, resource_name=name, action=_action_of(ctx.event), status=status,
        principal_id=caller.id if caller else None, username=caller.name if caller else "", tenant_id=tenant_id, address=ctx.address,
        agent=ctx.agent, request_id=ctx.request_id, details={**ctx.details, **more},
    ))


ACTIONS = {
    "created": "create", "added": "create", "deleted": "delete", "removed": "delete", "enabled": "enable", "disabled": "disable",
    "blocked": "block", "unblocked": "unblock", "shared": "share", "uploaded": "upload", "downloaded": "download", "revoked": "delete",
    "login_success": "login", "login_failed": "login", "logout": "logout", "2fa_verify_success": "verify", "2fa_verify_failed": "verify",
}


def _action_of(event: str) -> str:
    """The verb of an event: user_created → create; what changes something is an update."""
    return ACTIONS.get(event) or ACTIONS.get(event.rpartition("_")[2], "update")


def _named_by_the_path(ctx: AdminContext) -> tuple[str, str, str]:
    """The kind is the first word of the event; the thing is the last part of the path that has a name."""
    kind = "access_key" if ctx.event.startswith("access_key") else ctx.event.partition("_")[0]
    name = next(reversed(ctx.args.values()), "")
    return kind, name, "" if name.isdigit() else name


# ---- arguments of `maxiofs invoke` ------------------------------------------------------------------------------------------------


def _sorted_out(function: Function, arguments: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    """The parts of the path, the parameters and the body among the arguments. Raises InvalidFields."""
    names = re.findall(r"\{(\w+)\}", function.line)
    if missing := [name for name in names if not isinstance(arguments.get(name), (str, int))]:
        raise InvalidFields(fields=dict.fromkeys(missing, "It is a part of the path: a text or number."))
    args = {name: str(arguments[name]) for name in names}
    rest = {name: value for name, value in arguments.items() if name not in args}
    asked = set() if function.query is None else set(function.query.model_fields)
    query = {name: value for name, value in rest.items() if name in asked}
    body = {name: value for name, value in rest.items() if name not in asked}
    if function.takes is None and body:
        raise InvalidFields(fields=dict.fromkeys(body, "There is no such argument."))
    return args, query, body


def _checked(model: Any, values: dict[str, Any]) -> Any:
    return reading.document(json.dumps(values).encode(), model)
