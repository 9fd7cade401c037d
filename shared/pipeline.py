"""The life of a request: one visible list of steps, each with one job. No operation repeats a step.

``Pipeline.before_body`` lists what runs as soon as the headers are here; a body is received only when all of it has passed. The function is
called when the body is whole. Requests without a body, or with a small plain one, do both at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from shared import browser, cross_origin, dynamic, forms, health, intake, requester_pays
from shared.access_log import request_id
from shared.audit import operations
from shared.auth.model import Authenticated, Payload
from shared.auth.sigv4 import authenticate as check_signature
from shared.bucket_errors import NoSuchBucket
from shared.context import Context
from shared.errors import (
    AccessDenied,
    InternalError,
    InvalidAccessKeyId,
    MethodNotAllowed,
    NoSuchKey,
    NoSuchVersion,
    NotImplementedS3,
    S3Error,
)
from shared.host.contract import Admission, Body, Lane, Refusal, TakesLonger
from shared.meta import database
from shared.permissions import hidden, judge, refusal, require_owner, wanted
from shared.protocol import control, query_api
from shared.protocol.form import FormReader
from shared.protocol.model import load_model
from shared.protocol.target import Target, parse_target
from shared.protocol.unbuilt import refuse_unbuilt
from shared.refusals import HOST_ID, as_s3_error, in_maintenance, rendered
from shared.registry import Function
from shared.request import Reply, Request
from shared.services import Services

READING = frozenset({"GET", "HEAD", "OPTIONS"})
QUESTIONS = frozenset({"GetCallerIdentity"})    # operations that read, by whatever method
METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
NO_TARGET = Target(None, None, "", "", {})

Step = Callable[[Context], None]


class Pipeline:
    """Runs requests through the steps and answers whatever becomes of them; implements the host's Application."""

    def __init__(self, services: Services, functions: dict[str, Function]) -> None:
        self.services = services
        self.functions = {function.name: function for function in functions.values() if function.kind == "s3"}
        self.before_body: tuple[Step, ...] = (
            self.parse_the_target, self.resolve_the_operation, self.look_up, self.note_the_origin, self.authenticate,
            self.require_the_bucket, self.check_expected_owner, self.authorise, self.require_a_payer, self.refuse_writes_in_maintenance,
            self.refuse_what_is_not_built,
        )
        self._model = load_model()
        self._database_is_local = database.is_sqlite()
        self._slow = {
            (function.operation.method, header)
            for function in self.functions.values() if function.lane == "slow" and function.operation
            for header in function.operation.routed_headers or [""]
        }

    # ---- what the host calls ----------------------------------------------------------------------------------------------------

    def lane(self, request: Request) -> Lane:
        """Which lane: operations declared to take long go to the slow one; other writes wait for the disk, and for each other.

        ``now`` is a guess, since nothing is parsed yet: what turns out to take longer raises TakesLonger. With the database elsewhere
        even one row takes longer.
        """
        method = request.method
        if method == "OPTIONS":
            return "fast"
        if method in ("GET", "HEAD"):
            return "now" if self._database_is_local and _seems_to_name_a_key(request.target) else "fast"
        return "slow" if any(method == its and (not header or header in request.lower) for its, header in self._slow) else "write"

    def admit(self, request: Request) -> Admission | Refusal:
        """Everything before the body."""
        started = time.perf_counter()
        self.services.metrics.started()
        ctx = self._context(request)
        try:
            self._run(self.before_body, ctx)
            assert ctx.auth is not None
            if forms.is_form(ctx):
                return forms.admit(ctx, lambda sink: self._admit_file(ctx, sink))
            return intake.admit(ctx, ctx.auth.payload)
        except Exception as error:      # whatever it was, the client gets an answer
            return Refusal(self._answered(ctx, None, error, started))

    def _admit_file(self, ctx: Context, sink: forms.FormSink) -> Admission | Refusal:
        """Everything between the fields of a form and its file."""
        started = time.perf_counter()
        request_id.set(ctx.request.id)
        try:
            database.connection()       # the thread that admitted the fields was another one
            self._judge_form(ctx, sink.reader)
            forms.place(ctx, sink)
            return intake.Admitted(sink, context=ctx)
        except Exception as error:      # the same
            return Refusal(self._answered(ctx, None, error, started))

    def _judge_form(self, ctx: Context, reader: FormReader) -> None:
        """The steps that depend on fields; identities and buckets may have changed since the form began."""
        self.look_up(ctx)
        forms.understand(ctx, reader)
        self._run((self.require_the_bucket, self.authorise, self.require_a_payer, self.refuse_what_is_not_built), ctx)

    def respond(self, request: Request, admission: Admission | None, body: Body) -> Reply:
        """Everything, or everything after the body when the host asked before it."""
        if (reply := self._at_the_door(request)) is not None:
            return reply
        started = time.perf_counter()
        error: Exception | None = None
        if isinstance(admission, intake.Admitted) and admission.context is not None:
            ctx = admission.context
            request_id.set(request.id)
        else:
            self.services.metrics.started()
            ctx = self._context(request)
        ctx.body = body
        try:
            if request.method == "OPTIONS":
                reply = self._preflight(ctx)
            else:
                if ctx.auth is None:
                    self._run(self.before_body, ctx)
                    intake.refuse_undecoded(ctx)
                if body.error is not None:
                    raise body.error
                database.connection()       # the thread that admitted it was another one
                reply = self._call(ctx)
        except TakesLonger:
            self.services.metrics.put_off()
            raise
        except Exception as caught:     # the same
            error = caught
        finally:
            if body.sink is not None:
                body.sink.discard()
        return self._answered(ctx, reply, error, started)

    def _at_the_door(self, request: Request) -> Reply | None:
        """Answer who does not come for S3: probes and browsers."""
        if health.is_probe(request):
            if not request.may_wait:
                raise TakesLonger
            return health.answer(request, self.services.engine)
        return browser.visit(request, self.services)

    def refuse(self, request: Request | None, error: S3Error) -> Reply:
        """Answer what never became a request, through the same renderer and log."""
        self.services.metrics.started()
        ctx = self._context(request or Request("", "/", []))
        return self._answered(ctx, None, error, time.perf_counter())

    # ---- the steps --------------------------------------------------------------------------------------------------------------

    def parse_the_target(self, ctx: Context) -> None:
        """Find bucket, key and query in the raw target; never in a decoded one."""
        request, settings = ctx.request, self.services.settings
        target = parse_target(request.target, self.services.proxies.host(request), settings.domain, settings.website_domain)
        ctx.target = control.target_of(query_api.target_of(target, request.method, ctx.body.data if ctx.body else b""), request.lower)
        ctx.query = ctx.target.query if not ctx.target.action else {"Action": ctx.target.action}
        ctx.headers = request.lower

    def resolve_the_operation(self, ctx: Context) -> None:
        """Find out what is asked for. Raises MethodNotAllowed; TakesLonger for what is not to be answered by the I/O thread."""
        request, target = ctx.request, ctx.target
        if request.method not in METHODS:
            raise MethodNotAllowed(Method=request.method, ResourceType="SERVICE" if target.bucket is None else "BUCKET")
        operation = self._model.resolve(request.method, target.level, ctx.query, ctx.headers)
        ctx.operation = operation
        ctx.function = self.functions.get(operation.name) if operation else None
        if not request.may_wait and ctx.function is not None and ctx.function.lane != "now":
            raise TakesLonger

    def look_up(self, ctx: Context) -> None:
        """Ask once whether identities and buckets are still as this process knows them."""
        ctx.known = self.services.identity.current()

    def note_the_origin(self, ctx: Context) -> None:
        """Tell browsers what pages of other origins may do with the bucket, whatever comes of the request."""
        cross_origin.note(ctx)

    def authenticate(self, ctx: Context) -> None:
        """Find out who asks. Raises what shared.auth.sigv4.authenticate does."""
        settings = self.services.settings
        assert ctx.known is not None
        if ctx.target.site:
            return self._visit(ctx)
        try:
            ctx.auth = check_signature(
                ctx.request, ctx.target, credential=ctx.known.credential, now_s=ctx.now_ms / 1000, region=settings.region,
                proxies=self.services.proxies, domains=settings.domain, allow_sigv2_query=settings.presigned_v2,
                allow_sigv2_header=settings.header_v2, body=ctx.body.data if ctx.body else None,
            )
        except InvalidAccessKeyId as error:
            ctx.reason = ctx.known.refusal(error.fields["AWSAccessKeyId"])
            raise
        ctx.caller = ctx.auth.principal
        if ctx.auth.access_key is not None:
            self.services.identity.last_used.note(ctx.auth.access_key, ctx.now_ms)
        if ctx.auth.hoisted:
            ctx.headers = {**ctx.headers, **ctx.auth.hoisted}
            self.resolve_the_operation(ctx)     # a copy source in the query makes another operation of it
        if ctx.function is None:
            self._refuse_unclaimed(ctx)

    @staticmethod
    def _visit(ctx: Context) -> None:
        """On a website everybody is nobody, whatever they sign. Raises MethodNotAllowed: it can only be looked at."""
        ctx.auth = Authenticated("anonymous", Payload())
        if ctx.function is None:
            raise MethodNotAllowed(Method=ctx.request.method, ResourceType="OBJECT")

    def _refuse_unclaimed(self, ctx: Context) -> None:
        """Name what is not built. Only to those who signed: nobody else learns what this server has."""
        if ctx.caller is None:
            raise AccessDenied()
        if query_api.is_query_api(ctx.request.method, ctx.target):
            raise query_api.refusal(ctx.body.data if ctx.body else b"")
        name = self._model.name_of(ctx.request.method, ctx.target.level, ctx.query, ctx.headers)
        raise NotImplementedS3(f"The operation {name} is not implemented.", Operation=name)

    def require_the_bucket(self, ctx: Context) -> None:
        """Find the bucket. A missing one is NoSuchBucket for anyone, as on AWS; creating one needs none."""
        name = ctx.target.bucket
        if name is None:
            return
        assert ctx.known is not None and ctx.function is not None
        ctx.bucket_found = ctx.known.bucket(name)
        if ctx.bucket_found is None and ctx.function.name != "CreateBucket":
            raise NoSuchBucket(BucketName=name)

    def check_expected_owner(self, ctx: Context) -> None:
        """Refuse when the client expected the bucket to be somebody else's. Raises AccessDenied."""
        expected = ctx.headers.get("x-amz-expected-bucket-owner")
        if expected is not None and ctx.bucket_found is not None:
            require_owner(ctx, ctx.bucket_found, expected)

    def authorise(self, ctx: Context) -> None:
        """Ask the permission engine. Raises AccessDenied; NoSuchKey to those who may know that an object is missing.

        What depends on a body that has not come yet is asked again when it is here.
        """
        assert ctx.function is not None
        decision = judge(ctx, wanted(ctx, ctx.function))
        if not decision.allowed and not ctx.judge_again:
            raise refusal(ctx, decision)

    def require_a_payer(self, ctx: Context) -> None:
        """Where the requester pays, serve nobody of another account who does not say that they do. Raises AccessDenied.

        Who sends a form is known when its fields are here: it is asked then.
        """
        if ctx.bucket_found is not None and (ctx.form is not None or not forms.is_form(ctx)):
            requester_pays.require_a_payer(ctx, ctx.bucket_found)

    def refuse_writes_in_maintenance(self, ctx: Context) -> None:
        """Let nothing change while the setting system.maintenance_mode is on. Raises ServiceUnavailable."""
        assert ctx.known is not None and ctx.function is not None
        if ctx.request.method in READING or ctx.function.name in QUESTIONS:
            return
        if dynamic.get("system.maintenance_mode", ctx.known.value):
            raise in_maintenance()

    def refuse_what_is_not_built(self, ctx: Context) -> None:
        """Refuse headers that ask for features to come."""
        refuse_unbuilt(ctx.headers)

    def _preflight(self, ctx: Context) -> Reply:
        """Answer OPTIONS, which asks about another request and is never signed."""
        self._run((self.parse_the_target, self.look_up), ctx)
        return cross_origin.preflight(ctx)

    # ---- after the body ---------------------------------------------------------------------------------------------------------

    def _call(self, ctx: Context) -> Reply:
        if forms.is_form(ctx):
            forms.take_in(ctx, self._judge_form)
        operation, function = ctx.operation, ctx.function
        assert operation is not None and function is not None
        if operation.takes_bytes:
            body = b""
            intake.require_length(ctx)
        else:
            body = intake.document(ctx)
            if operation.checksum_required:
                intake.require_digest(ctx)
        path = {"Bucket": ctx.target.bucket, "Key": ctx.target.key}
        ctx.params = operation.read(path, ctx.query, ctx.headers, body)
        if ctx.judge_again:
            ctx.judge_again = False
            self.authorise(ctx)
        try:
            result = function.call(ctx)
        except (NoSuchKey, NoSuchVersion) as missing:
            raise hidden(ctx, missing) from None
        if isinstance(result, Reply):
            return result
        return Reply(*operation.write(result or {}))

    @staticmethod
    def _run(steps: Iterable[Step], ctx: Context) -> None:
        for step in steps:
            step(ctx)

    def _context(self, request: Request) -> Context:
        request_id.set(request.id)      # what this thread logs from now on is about this request
        return Context(self.services, request, NO_TARGET, {}, {})

    # ---- answering --------------------------------------------------------------------------------------------------------------

    def _answered(self, ctx: Context, reply: Reply | None, error: Exception | None, started: float) -> Reply:
        code = None
        if reply is None:
            told = as_s3_error(error or InternalError())
            code = told.code
            reply = Reply(*rendered(ctx, told))
        reply.headers += [("x-amz-request-id", ctx.request.id), ("x-amz-id-2", HOST_ID), *ctx.notes, *ctx.origin_notes]
        self._record(ctx, reply, code, time.perf_counter() - started)
        return reply

    def _record(self, ctx: Context, reply: Reply, code: str | None, duration_s: float) -> None:
        services, auth = self.services, ctx.auth
        name = ctx.function.name if ctx.function else "Unknown"
        client = services.proxies.client(ctx.request)
        bytes_in = ctx.body.size if ctx.body else 0
        bytes_out = len(reply.body) if isinstance(reply.body, bytes) else reply.length or 0
        services.metrics.finished(name, reply.status, code, bytes_in=bytes_in, bytes_out=bytes_out, duration_s=duration_s)
        services.log.write(
            ctx.request, status=reply.status, duration_s=duration_s, remote=client, operation=name,
            bucket=ctx.target.bucket, key=ctx.target.key, code=code, access_key=auth.access_key if auth else None,
            bytes_in=bytes_in, bytes_out=bytes_out, reason=ctx.reason if code is not None else None,
        )
        operations.record_request(ctx, reply.status, code, address=client, bytes_in=bytes_in, bytes_out=bytes_out)


def _seems_to_name_a_key(target: str) -> bool:
    return target.partition("?")[0][1:].partition("/")[2] != ""
