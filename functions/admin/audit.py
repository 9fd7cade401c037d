"""The audit log: events in pages, one event, all of them as a file. Who belongs to a tenant sees that tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from shared.admin.context import AdminContext
from shared.admin.errors import InvalidFields, NotFound
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.audit import export, flush, search
from shared.audit.chain import Row
from shared.audit.recorder import store
from shared.meta.models import INSTALLATION
from shared.registry import admin

MOST_MS = 1 << 62
FLUSH_S = 0.5       # what this process has in memory is waited for so long, so that one sees what one just did


class AuditEventView(Model):
    """Something that somebody did, or tried."""

    id: int
    at: str = Field(description="When, ISO 8601, UTC.")
    at_ms: int
    event_type: str
    resource_type: str
    resource_id: str
    resource_name: str
    action: str
    status: str = Field(description="success or failed.")
    principal_id: int | None = Field(description="Who; null for nobody.")
    username: str
    tenant_id: int = Field(description="The tenant that it concerns; 0 for none.")
    address: str
    agent: str
    request_id: str
    details: Any = Field(description="What else is known of it.")


class AuditFilter(Model):
    """Which events."""

    tenant_id: int | None = Field(None, ge=0, le=MOST_MS, description="0: what concerns no tenant.")
    principal_id: int | None = Field(None, ge=0, le=(1 << 31) - 1)
    username: str | None = Field(None, max_length=256)
    event_type: str | None = Field(None, max_length=128)
    resource_type: str | None = Field(None, max_length=128)
    resource_id: str | None = Field(None, max_length=1024)
    resource_name: str | None = Field(None, max_length=1024)
    action: str | None = Field(None, max_length=64)
    status: Literal["success", "failed"] | None = None
    address: str | None = Field(None, max_length=64)
    request_id: str | None = Field(None, max_length=128)
    since_ms: int | None = Field(None, ge=0, le=MOST_MS, description="UTC milliseconds, inclusive.")
    until_ms: int | None = Field(None, ge=0, le=MOST_MS, description="UTC milliseconds, exclusive.")
    text: str | None = Field(None, max_length=400, description="Words that are in the event, or that words of it begin with; all of them.")


class AuditQuery(AuditFilter, PageQuery):
    """Which events, and which part of them."""


@admin("GET /api/v1/audit-logs", allow="admin:GetAuditLog", query=AuditQuery, gives=Page[AuditEventView], inside=True)
def list_audit_events(ctx: AdminContext) -> Page[Any]:
    """Return events, newest first."""
    wanted = _filter(ctx, ctx.query)
    flush(FLUSH_S)
    position = position_of(ctx.query.cursor, int)
    rows = search.page(store(), wanted, int(position[0]) if position else None, ctx.query.limit + 1)
    return page_of([export.view(row) for row in rows], ctx.query.limit, lambda event: (event["id"],))


@admin("GET /api/v1/audit-logs/export", allow="admin:GetAuditLog", query=AuditFilter, gives="application/x-ndjson",
       event="audit_exported", inside=True)
def export_audit_events(ctx: AdminContext) -> Iterator[bytes]:
    """Return all events that fit as JSON lines, newest first, sent while they are read."""
    return export.json_lines(_exported(ctx, "jsonl"))


@admin("GET /api/v1/audit-logs/export.csv", allow="admin:GetAuditLog", query=AuditFilter, gives="text/csv", event="audit_exported",
       inside=True)
def export_audit_events_as_csv(ctx: AdminContext) -> Iterator[bytes]:
    """Return all events that fit as CSV with a line of names, newest first, sent while they are read."""
    return export.comma_separated(_exported(ctx, "csv"))


def _exported(ctx: AdminContext, ending: str) -> Iterator[Row]:
    wanted = _filter(ctx, ctx.query)
    flush(FLUSH_S)
    ctx.details.update(ctx.query.model_dump(exclude_none=True), format=ending)
    ctx.about("system", "audit", "", wanted.tenant_id)
    ctx.reply_headers.append(("Content-Disposition", f'attachment; filename="audit.{ending}"'))
    return search.every(store(), wanted)


@admin("GET /api/v1/audit-logs/{id}", allow="admin:GetAuditLog", gives=AuditEventView, inside=True)
def get_audit_event(ctx: AdminContext) -> dict[str, Any]:
    """Return one event. Raises NotFound, also for one of another tenant."""
    ctx.require("admin:GetAuditLog", ctx.user.tenant_id, "audit/*")
    flush(FLUSH_S)
    row = search.find(store(), ctx.id("id"))
    if row is None or not (ctx.is_global or row.tenant_id == ctx.user.tenant_id):
        raise NotFound()
    return export.view(row)


def _filter(ctx: AdminContext, query: AuditFilter) -> search.Filter:
    """What is asked for, within what the caller may see: who belongs to a tenant sees that tenant's events only. Raises NotFound."""
    tenant_id = query.tenant_id
    if not ctx.is_global:
        if tenant_id not in (None, ctx.user.tenant_id):
            raise NotFound()
        tenant_id = ctx.user.tenant_id
    ctx.require("admin:GetAuditLog", INSTALLATION if tenant_id is None else tenant_id, "audit/*")
    if query.since_ms is not None and query.until_ms is not None and query.since_ms > query.until_ms:
        raise InvalidFields(fields={"?since_ms": "It is after until_ms."})
    values = query.model_dump(include=set(search.Filter._fields))
    return search.Filter(**{**values, "tenant_id": tenant_id})
