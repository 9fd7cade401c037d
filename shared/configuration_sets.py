"""Configurations of which a bucket has up to 1,000, each under an id: inventory, analytics, metrics, intelligent tiering."""

from __future__ import annotations

import re
from typing import Any, Final

from shared.bucket_errors import NoSuchConfiguration, TooManyConfigurations
from shared.context import Context
from shared.errors import InvalidArgument
from shared.meta import configurations
from shared.protocol.tokens import name_of, token_of
from shared.protocol.xml_shapes import malformed

MOST: Final = 1000      # in a bucket, of each kind
PAGE: Final = 100
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def checked_id(ctx: Context, document: dict[str, Any]) -> str:
    """The id that a request puts its document under. Raises InvalidArgument for an unfit one, MalformedXML for another than the
    document's own.
    """
    wanted: str = ctx.params["Id"]
    if not _ID.fullmatch(wanted):
        raise InvalidArgument("The specified configuration id is not valid.", ArgumentName="id", ArgumentValue=wanted)
    if document["Id"] != wanted:
        raise malformed("<Id> is not that of the request")
    return wanted


def put(ctx: Context, kind: str, document: dict[str, Any]) -> None:
    """Write or replace the document. Raises what checked_id raises, TooManyConfigurations."""
    configurations.put(ctx.bucket, kind, document, checked_id(ctx, document), most=MOST, full=TooManyConfigurations)


def get(ctx: Context, kind: str) -> dict[str, Any]:
    """The document under the id that the request names. Raises NoSuchConfiguration."""
    found = configurations.find(ctx.bucket.id, kind, ctx.params["Id"]) if _ID.fullmatch(ctx.params["Id"]) else None
    if found is None:
        raise NoSuchConfiguration(BucketName=ctx.bucket.name)
    return found


def delete(ctx: Context, kind: str) -> None:
    """Remove the document under the id that the request names. Raises NoSuchConfiguration."""
    if not _ID.fullmatch(ctx.params["Id"]) or not configurations.delete(ctx.bucket, kind, ctx.params["Id"]):
        raise NoSuchConfiguration(BucketName=ctx.bucket.name)


def page(ctx: Context, kind: str, member: str) -> dict[str, Any]:
    """The result of a List operation: documents in order of id, under ``member``. Raises InvalidArgument for a token that is not ours."""
    token = ctx.params.get("ContinuationToken")
    after = name_of(token).decode("latin-1") if token else ""
    if token and not _ID.fullmatch(after):
        raise InvalidArgument("The continuation token provided is incorrect", ArgumentName="continuation-token", ArgumentValue=token)
    found = configurations.page(ctx.bucket.id, kind, after, PAGE + 1)
    out: dict[str, Any] = {"IsTruncated": len(found) > PAGE, "ContinuationToken": token, member: found[:PAGE]}
    if len(found) > PAGE:
        out["NextContinuationToken"] = token_of(found[PAGE - 1]["Id"].encode())
    return out
