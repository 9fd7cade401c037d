"""Errors on their way out: what a client is told of any exception, and in the form that it asks in."""

from __future__ import annotations

import logging

from shared.blobs.engine import BlobCorrupt, BlobMissing
from shared.context import Context
from shared.errors import InternalError, S3Error, ServiceUnavailable
from shared.meta import database
from shared.protocol import control, query_api, website
from shared.protocol.error_xml import render_xml

HOST_ID = "bWF4aW9mcw=="       # x-amz-id-2: AWS support's second request id; constant, since one id finds a log line here
MAINTENANCE_RETRY_S = 60        # what Retry-After says to writers while nothing may change

log = logging.getLogger("maxiofs.pipeline")


def as_s3_error(error: Exception) -> S3Error:
    """What the client is told about any exception; what it is not told goes to the log under the request id."""
    if isinstance(error, S3Error):
        return error
    if isinstance(error, database.DRIVER_ERRORS):
        log.warning("the metadata database failed: %s", error)
        return database.unavailable(error)
    if isinstance(error, (BlobMissing, BlobCorrupt)):
        log.error("stored bytes are missing or damaged: %s", error)
        return InternalError()
    log.error("unexpected error", exc_info=error)
    return ServiceUnavailable() if isinstance(error, OSError) else InternalError()


def in_maintenance() -> ServiceUnavailable:
    """The refusal of a write while nothing may change."""
    error = ServiceUnavailable("The server is in maintenance: it can be read, but not written. Please try again later.")
    error.headers["Retry-After"] = str(MAINTENANCE_RETRY_S)
    return error


def rendered(ctx: Context, error: S3Error) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the answer: XML as S3 writes it, a page on a website, and what S3 Control and the query APIs write."""
    if query_api.is_query_api(ctx.request.method, ctx.target):
        return query_api.render(error, ctx.request.id)
    if ctx.target.site:
        return website.page(error, ctx.request.id, HOST_ID)
    if ctx.target.is_control:
        return control.render(error, ctx.request.id, HOST_ID)
    resource, head = ctx.request.target.partition("?")[0], ctx.request.method == "HEAD"
    return render_xml(error, resource=resource, request_id=ctx.request.id, host_id=HOST_ID, head=head)
