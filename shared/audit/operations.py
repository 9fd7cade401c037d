"""S3 requests as audit events: what writes by default, what reads when asked for."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from shared import dynamic
from shared.audit.event import FAILED, SUCCESS, Event
from shared.audit.recorder import write
from shared.context import Context
from shared.meta.models import INSTALLATION

NOT_AUDITED = frozenset({"UploadPart", "UploadPartCopy"})       # nothing is there before CompleteMultipartUpload, which is
KEYS_IN_EVENT = 100         # of a DeleteObjects; the next ones are in another event
NAMED = {                   # operation: event, action
    "PutObject": ("object_uploaded", "upload"),
    "PostObject": ("object_uploaded", "upload"),
    "CopyObject": ("object_uploaded", "upload"),
    "CompleteMultipartUpload": ("object_uploaded", "upload"),
    "GetObject": ("object_downloaded", "download"),
    "DeleteObject": ("object_deleted", "delete"),
    "DeleteObjects": ("object_deleted", "delete"),
    "PutBucketNotificationConfiguration": ("bucket_notification_configured", "update"),
    "PutPublicAccessBlock": ("bucket_public_access_block_configured", "update"),
    "DeletePublicAccessBlock": ("bucket_public_access_block_deleted", "delete"),
    "GetPublicAccessBlock": ("bucket_public_access_block_read", "read"),
}
VERBS = {                   # how an operation's name begins: how its event's name ends, action
    "Put": ("configured", "update"), "Create": ("created", "create"), "Delete": ("deleted", "delete"), "Abort": ("aborted", "delete"),
    "Get": ("read", "read"), "Head": ("read", "read"), "List": ("listed", "read"),
}
log = logging.getLogger("maxiofs.audit")
_PARTS = re.compile(r"[A-Z][a-z0-9]*")


def record_request(ctx: Context, status: int, code: str | None, *, address: str, bytes_in: int = 0, bytes_out: int = 0) -> None:
    """Record an S3 request that was answered, if its kind is switched on. Never waits; raises nothing.

    Not recorded: what named no operation of ours, and what was refused before identities were read.
    """
    try:
        if ctx.known is not None and ctx.function is not None and _is_wanted(ctx, ctx.function.name, ctx.known.value):
            details: dict[str, Any] = {"operation": ctx.function.name, "http_status": status}
            details |= {name: value for name, value in (("code", code), ("bytes_in", bytes_in), ("bytes_out", bytes_out)) if value}
            for event in _events(ctx, ctx.function.name, address, details):
                write(event)
    except Exception:       # the request was answered: whatever is wrong here, its client does not hear of it
        log.exception("a request could not be audited")


def _is_wanted(ctx: Context, name: str, generation: int) -> bool:
    if name in NOT_AUDITED:
        return False
    switch = "audit.log_s3_reads" if ctx.request.method in ("GET", "HEAD", "OPTIONS") else "audit.log_s3_operations"
    return bool(dynamic.get(switch, generation) and dynamic.get("audit.enabled", generation))


def _events(ctx: Context, name: str, address: str, details: dict[str, Any]) -> Iterator[Event]:
    caller, bucket = ctx.caller, ctx.target.bucket or ""
    key = ctx.target.key
    event_type, action = name_of(name)
    concerned = (ctx.bucket_found.tenant_id if ctx.bucket_found else 0) or (caller.tenant_id if caller else INSTALLATION)
    failed = "code" in details or details["http_status"] >= 400
    if ctx.auth and ctx.auth.access_key:
        details["access_key"] = ctx.auth.access_key
    if ctx.query.get("versionId"):
        details["version_id"] = ctx.query["versionId"]
    if "x-amz-copy-source" in ctx.headers:
        details["copy_source"] = ctx.headers["x-amz-copy-source"]
    if name == "RenameObject":
        details["rename_source"] = ctx.headers.get("x-amz-rename-source", "")
    event = Event(
        event_type, "object" if key is not None else "bucket", bucket if key is None else key.decode("utf-8", "backslashreplace"),
        bucket, action, FAILED if failed else SUCCESS, caller.id if caller else None, caller.name if caller else "",
        concerned, address, ctx.headers.get("user-agent", ""), ctx.request.id, details,
    )
    if name != "DeleteObjects" or failed:
        yield event
        return
    wanted = [one["Key"] for one in (ctx.params.get("Delete") or {}).get("Objects") or ()]
    for status, keys in ((SUCCESS, [one for one in wanted if one not in ctx.failed_keys]), (FAILED, list(ctx.failed_keys))):
        for first in range(0, len(keys), KEYS_IN_EVENT):
            some = keys[first:first + KEYS_IN_EVENT]
            codes = {"codes": sorted({ctx.failed_keys[one] for one in some})} if status == FAILED else {}
            yield event._replace(resource_type="object", status=status, details={**details, "keys": some, **codes})


def name_of(operation: str) -> tuple[str, str]:
    """(event name, action) of an S3 operation."""
    if operation in NAMED:
        return NAMED[operation]
    verb, *nouns = _PARTS.findall(operation)
    ending, action = VERBS.get(verb, (verb.lower(), verb.lower()))
    return "_".join([*map(str.lower, nouns), ending]), action
