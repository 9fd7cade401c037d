"""Calling S3 functions for somebody who is signed in: the same checks and the same permissions as on the S3 listener, but no XML.

A call is prepared (target, bucket, permission) and then made. What is prepared can be made inside a transaction, together with others:
nothing that is read there is remembered should it be undone.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from shared import requester_pays
from shared.admin.context import AdminContext
from shared.auth.model import Authenticated, Payload
from shared.bucket_errors import NoSuchBucket
from shared.context import Context
from shared.errors import AccessDenied, Conflict, NoSuchKey
from shared.meta import buckets
from shared.meta.buckets import BucketInfo
from shared.pipeline import NO_TARGET, Pipeline
from shared.protocol.target import MAX_KEY_BYTES
from shared.registry import load
from shared.request import Reply, Request
from shared.services import Services

PASSED_ON = ("user-agent", "referer", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip")    # what conditions may ask about
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


_made: tuple[Services, Pipeline] | None = None      # one process has one


def _pipeline(services: Services) -> Pipeline:
    global _made
    made = _made
    if made is None or made[0] is not services:
        made = _made = services, Pipeline(services, load(["s3.*"]))
    return made[1]


def prepare(
    ctx: AdminContext, name: str, bucket: str, key: str | None = None, *, query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None, **params: Any,
) -> Context:
    """A call of the S3 operation ``name`` that the caller is allowed to make. ``params`` are those of boto3, without Bucket and Key.

    ``query`` (``versionId``) and ``headers`` are what the operation reads from there. Raises NoSuchBucket, also for another tenant's
    bucket that the caller may not touch; AccessDenied; NoSuchKey for what cannot be a key.
    """
    if not _BUCKET.fullmatch(bucket):
        raise NoSuchBucket(BucketName=bucket)
    if key is not None and not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
        raise NoSuchKey(Key=key)
    pipeline = _pipeline(ctx.services)
    call = _context(ctx, name, f"/{bucket}" + ("" if key is None else "/" + quote(key, safe="")), query or {}, headers or {})
    call.params = {"Bucket": bucket, **({"Key": key} if key is not None else {}), **params}
    try:
        for step in pipeline.before_body:
            if step != pipeline.authenticate:
                step(call)
    except AccessDenied:
        ctx.reason = call.reason
        _hide(ctx, call.bucket_found)
        raise
    finally:
        ctx.asked = True
    assert call.function is not None and call.function.name == name, f"the request of {name} is {call.function}"
    if ctx.tenant_id is None and call.bucket_found is not None:
        ctx.tenant_id = call.bucket_found.tenant_id or None     # what happens to a tenant's bucket is in the tenant's log, whoever does it
    return call


def _context(ctx: AdminContext, name: str, target: str, query: dict[str, str], headers: dict[str, str]) -> Context:
    operation = _pipeline(ctx.services).functions[name].operation
    assert operation is not None
    asked = {**operation.literals, **query}
    passed = [(name, value) for name, value in ctx.request.headers if name.lower() in PASSED_ON]
    passed.append((requester_pays.HEADER, "requester"))     # there is no place here to say it, and nobody is charged
    request = Request(
        operation.method, f"{target}?{urlencode(asked)}" if asked else target, [*passed, *headers.items()], peer=ctx.request.peer,
        scheme=ctx.request.scheme, _id=ctx.request.id,
    )
    call = Context(ctx.services, request, NO_TARGET, {}, {})
    call.auth, call.caller = Authenticated("header", Payload(), principal=ctx.user), ctx.user
    return call


def _hide(ctx: AdminContext, bucket: BucketInfo | None) -> None:
    """Who may not touch another tenant's bucket is not told that it is there. Raises NoSuchBucket."""
    if bucket is not None and not ctx.is_global and bucket.tenant_id != ctx.user.tenant_id:
        raise NoSuchBucket(BucketName=bucket.name) from None


def make(call: Context, bucket: BucketInfo | None = None) -> Any:
    """Make a prepared call; ``bucket`` is the bucket as it stands now. Returns the function's own dict or Reply; raises what it raises."""
    if bucket is not None:
        call.bucket_found = bucket
    assert call.function is not None
    return call.function.call(call)


def as_judged(ctx: AdminContext, was: BucketInfo) -> BucketInfo:
    """The bucket as it stands, inside the transaction of a change, provided that the caller was judged by this very one.

    Raises NoSuchBucket when it is gone, also when another one has its name by now; Conflict when it is somebody else's now;
    PreconditionFailed.
    """
    found = buckets.find(was.name)
    if found is None or found.id != was.id:
        raise NoSuchBucket(BucketName=was.name)
    if (found.owner_id, found.tenant_id) != (was.owner_id, was.tenant_id):
        raise Conflict("The bucket was given to somebody else in the meantime.")
    ctx.check_revision(found.revision)
    return found


def call(ctx: AdminContext, name: str, bucket: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    """Prepare and make a call whose answer is a document."""
    result = make(prepare(ctx, name, bucket, key, **more))
    assert not isinstance(result, Reply)
    return result or {}


def allows(ctx: AdminContext, name: str, bucket: str, key: str | None = None, **more: Any) -> bool:
    """Whether ``prepare`` would let the caller through."""
    try:
        prepare(ctx, name, bucket, key, **more)
    except (AccessDenied, NoSuchBucket):
        return False
    return True


def for_new(ctx: AdminContext, name: str, bucket: BucketInfo, **params: Any) -> Context:
    """A prepared call about a bucket that is about to be made: may the caller do it to a bucket of theirs? Raises AccessDenied."""
    pipeline = _pipeline(ctx.services)
    call = _context(ctx, name, f"/{bucket.name}", {}, {})
    call.params = {"Bucket": bucket.name, **params}
    pipeline.parse_the_target(call)
    pipeline.resolve_the_operation(call)
    call.known, call.bucket_found = ctx.known, bucket
    pipeline.authorise(call)
    ctx.asked = True
    return call
