"""What browsers are told about requests from other origins: on preflights, and on every answer about a bucket with CORS rules."""

from __future__ import annotations

from typing import Any

from shared.context import Context
from shared.errors import AccessForbidden
from shared.host.contract import TakesLonger
from shared.protocol import cors
from shared.request import Reply

KIND = "cors"       # of configuration
_NO_RULE = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


def note(ctx: Context) -> None:
    """Add what the bucket's rules grant to whatever is answered, errors too: a page must be able to read why it was refused.

    Caches are told (Vary) even where no rule fits, or they would give one origin the answer to another. As on AWS, the method a page
    announces counts before that of the request. Raises TakesLonger where the I/O thread would compare many headers with many patterns.
    """
    rules = _rules(ctx)
    if not rules:
        return
    if ctx.headers.get("origin"):
        if not ctx.request.may_wait and ctx.headers.get("access-control-request-headers"):      # browsers say that in a preflight only
            raise TakesLonger
        method = ctx.headers.get("access-control-request-method") or ctx.request.method
        ctx.origin_notes += cors.granted(rules, ctx.headers, method) or []
    ctx.origin_notes.append(cors.VARY)


def preflight(ctx: Context) -> Reply:
    """Answer an OPTIONS request, whoever sends it. Raises BadRequest, AccessForbidden.

    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html
    """
    method = cors.asked_method(ctx.headers)
    fields = {"Method": method, "ResourceType": "BUCKET" if ctx.target.key is None else "OBJECT"}
    rules = _rules(ctx)
    if rules is None:
        raise AccessForbidden("CORSResponse: Bucket not found", **fields)
    if not rules:
        raise AccessForbidden("CORSResponse: CORS is not enabled for this bucket.", **fields)
    headers = cors.granted(rules, ctx.headers, method)
    if headers is None:
        raise AccessForbidden(_NO_RULE, **fields)
    return Reply(200, [*headers, cors.VARY])


def _rules(ctx: Context) -> list[dict[str, Any]] | None:
    """The CORS rules of the bucket of the request; [] for none, None when there is no such bucket."""
    assert ctx.known is not None
    bucket = ctx.known.bucket(ctx.target.bucket) if ctx.target.bucket is not None else None
    if bucket is None:
        return None
    found = ctx.known.configuration(bucket, KIND)
    return found["CORSRules"] if found else []
