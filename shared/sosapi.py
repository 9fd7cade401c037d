"""Veeam's Smart Object Storage API: two documents that a backup server reads as objects of its bucket, below any prefix.

They are never stored and never listed; an object of the same key takes their place. Who may read the key may read them, but no other
tenant: what the bucket's has and uses is its own affair.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.context import Context
from shared.meta import tenants
from shared.meta.models import INSTALLATION
from shared.protocol.scalars import http_date, xml_text
from shared.protocol.xml_shapes import document
from shared.request import Reply

FOLDER = b".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/"
SYSTEM, CAPACITY = FOLDER + b"system.xml", FOLDER + b"capacity.xml"
ETAG = '"sosapi-virtual-object"'
MODEL = "MaxIOFS"
VERSION = '"1.0"'       # with its quotation marks: that is how the readers compare it
BLOCK_KIB = 4096        # the block size that suits: objects of about 4 MiB


class Room(NamedTuple):
    """In bytes: what there is, what may still be written, what is in use."""

    capacity: int
    available: int
    used: int


def answer(ctx: Context) -> Reply | None:
    """The document that a GET or HEAD of a missing key means; None for any other key, and for who is of another tenant, or nobody."""
    key = ctx.key
    if ctx.caller is None or ctx.caller.tenant_id not in (INSTALLATION, ctx.bucket.tenant_id) or "versionId" in ctx.query:
        return None
    if _names(key, SYSTEM):
        body = _system()
    elif _names(key, CAPACITY):
        body = _capacity(room(ctx))
    else:
        return None
    ctx.notes.clear()
    head = ctx.request.method == "HEAD"
    headers = [("Content-Type", "application/xml"), ("ETag", ETAG), ("Last-Modified", http_date(ctx.now_ms // 1000))]
    return Reply(200, [*headers, ("Content-Length", str(len(body)))], b"" if head else body)


def _names(key: bytes, name: bytes) -> bool:
    return key == name or key.endswith(b"/" + name)


def _system() -> bytes:
    return document(
        f"<SystemInfo><ProtocolVersion>{xml_text(VERSION)}</ProtocolVersion><ModelName>{MODEL}</ModelName>"
        "<ProtocolCapabilities><CapacityInfo>true</CapacityInfo><UploadSessions>false</UploadSessions><IAMSTS>false</IAMSTS>"
        f"</ProtocolCapabilities><SystemRecommendations><KbBlockSize>{BLOCK_KIB}</KbBlockSize></SystemRecommendations></SystemInfo>"
    )


def _capacity(found: Room) -> bytes:
    parts = {"Capacity": found.capacity, "Available": found.available, "Used": found.used}
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
    return document(f"<CapacityInfo>{inner}</CapacityInfo>")


def room(ctx: Context) -> Room:
    """What the quota of the bucket's tenant leaves, or else what fits on the disk; never more than that."""
    space = ctx.services.engine.space()
    tenant = tenants.find(ctx.bucket.tenant_id) if ctx.bucket.tenant_id != INSTALLATION else None
    if tenant is None or not tenant.max_bytes:
        return Room(space.total_bytes, space.free_bytes, space.total_bytes - space.free_bytes)
    left = max(0, tenant.max_bytes - tenant.bytes)
    return Room(tenant.max_bytes, min(left, space.free_bytes), tenant.bytes)
