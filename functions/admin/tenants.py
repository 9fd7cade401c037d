"""Tenants: who shares the installation, with which limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from functions.admin.users import UserQuery, UserView, users_page
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import AccessDenied, NotFound
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.names import LONGEST_NAME, Label, Name, Text
from shared.admin.reach import sees
from shared.meta import runs, tenants
from shared.meta.database import transaction
from shared.meta.identity_models import TENANT_ACTIVE, TENANT_DELETING, TENANT_SUSPENDED
from shared.meta.models import INSTALLATION
from shared.meta.tenants import TenantRow
from shared.registry import admin

TENANT = "/api/v1/tenants/{tenant}"
STATUS: dict[int, Literal["active", "suspended", "deleting"]] = {
    TENANT_ACTIVE: "active", TENANT_SUSPENDED: "suspended", TENANT_DELETING: "deleting",
}
STATUS_BITS = {"active": TENANT_ACTIVE, "suspended": TENANT_SUSPENDED}
COLUMNS = {"max_storage_bytes": "max_bytes", "max_access_keys": "max_keys"}     # what the API calls otherwise
Limit = Annotated[int, Field(ge=0, le=(1 << 62), description="0: no limit.")]


class TenantView(Model):
    """A tenant, its limits (0: none) and what it uses."""

    id: int
    name: str
    display_name: str
    description: str
    status: Literal["active", "suspended", "deleting"]
    max_storage_bytes: Limit
    max_objects: Limit
    max_buckets: Limit
    max_users: Limit
    max_access_keys: Limit
    current_storage_bytes: int = Field(description="Of all versions, and of parts of unfinished uploads.")
    current_objects: int = Field(description="All versions that are no delete markers.")
    current_buckets: int
    current_users: int
    current_access_keys: int = Field(description="That have not expired.")
    created_ms: int
    revision: int


class TenantChange(Model):
    """What is to be different; what is left out stays. The name never changes."""

    display_name: Label = ""
    description: Text = ""
    status: Literal["active", "suspended"] = Field("active", description="Nobody of a suspended tenant signs in or is served.")
    max_storage_bytes: Limit = 0
    max_objects: Limit = 0
    max_buckets: Limit = 0
    max_users: Limit = 0
    max_access_keys: Limit = 0


class NewTenant(TenantChange):
    """A new tenant."""

    name: Name


class TenantQuery(PageQuery):
    """Which tenants."""

    name: str | None = Field(None, max_length=LONGEST_NAME, description="That very name.")


class TenantDeletion(Model):
    """What became of the wish to delete a tenant."""

    deleted: bool = Field(description="It is gone.")
    run_id: int | None = Field(description="The run that deletes it with all it has: see `GET /api/v1/runs/{run}`. Null without one.")


class Force(Model):
    """Whether what it has goes too."""

    force: bool = Field(False, description="Delete its buckets, objects and users too, for good.")


@admin("GET /api/v1/tenants", allow=SIGNED_IN, query=TenantQuery, gives=Page[TenantView])
def list_tenants(ctx: AdminContext) -> Page[TenantView]:
    """Return all tenants with admin:ListTenants; who belongs to a tenant sees that one."""
    if ctx.is_global:
        ctx.require("admin:ListTenants", INSTALLATION, "tenant/*")
    after = position_of(ctx.query.cursor, int) or (0,)
    only = None if ctx.is_global else ctx.user.tenant_id
    rows = tenants.page(int(after[0]), ctx.query.limit + 1, only=only, name=ctx.query.name)
    page = page_of(rows, ctx.query.limit, lambda row: (row.id,))
    return Page(items=_shown(page.items), next_cursor=page.next_cursor)


def _shown(rows: list[TenantRow]) -> list[TenantView]:
    held = tenants.holdings_of([row.id for row in rows])
    return [
        TenantView(
            id=row.id, name=row.name, display_name=row.display_name, description=row.description, status=STATUS[row.status],
            max_storage_bytes=row.max_bytes, max_objects=row.max_objects, max_buckets=row.max_buckets, max_users=row.max_users,
            max_access_keys=row.max_keys, current_storage_bytes=row.bytes, current_objects=row.objects,
            current_buckets=held[row.id].buckets, current_users=held[row.id].users, current_access_keys=held[row.id].keys,
            created_ms=row.created_ms, revision=row.revision,
        )
        for row in rows
    ]


@admin("POST /api/v1/tenants", allow="admin:CreateTenant", takes=NewTenant, gives=TenantView, status=201, event="tenant_created",
       inside=True)
def create_tenant(ctx: AdminContext) -> TenantView:
    """Make a tenant. Nobody of a tenant may. Raises AlreadyExists, Conflict for a name of 12 digits."""
    body: NewTenant = ctx.body
    ctx.about("tenant", "", body.name)
    if not ctx.is_global:
        ctx.asked = True
        raise AccessDenied
    ctx.require("admin:CreateTenant", INSTALLATION, "tenant/*")
    row = tenants.create(body.name, _columns(body))
    ctx.about("tenant", row.id, row.name, row.id)
    return _shown([row])[0]


def _columns(body: TenantChange) -> dict[str, object]:
    """What was given, as columns of the table."""
    values = {COLUMNS.get(name, name): value for name, value in body.model_dump(exclude_unset=True).items() if name != "name"}
    return values | ({"status": STATUS_BITS[str(values["status"])]} if "status" in values else {})


@admin(f"GET {TENANT}", allow=SIGNED_IN, gives=TenantView)
def get_tenant(ctx: AdminContext) -> TenantView:
    """Return a tenant: one's own, or any with admin:GetTenant."""
    row = _found(ctx)
    if ctx.is_global:
        ctx.require("admin:GetTenant", INSTALLATION, f"tenant/{row.id}")
    return _shown([row])[0]


def _found(ctx: AdminContext) -> TenantRow:
    tenant_id = ctx.id("tenant")
    row = tenants.find(tenant_id) if sees(ctx, tenant_id) else None
    if row is None:
        raise NotFound
    return row


def _changed(ctx: AdminContext, action: str) -> TenantRow:
    """The tenant of the path, for those of the installation that may do this to it. Raises NotFound, AccessDenied."""
    ctx.asked = True
    if ctx.is_global:
        ctx.require(action, INSTALLATION, f"tenant/{ctx.id('tenant')}")
    row = _found(ctx)
    ctx.about("tenant", row.id, row.name, row.id)
    if not ctx.is_global:
        raise AccessDenied
    return row


@admin(f"PUT {TENANT}", allow="admin:UpdateTenant", takes=TenantChange, gives=TenantView, event="tenant_updated", inside=True)
def update_tenant(ctx: AdminContext) -> TenantView:
    """Change limits, status or description of a tenant. Nobody of a tenant may, so that limits mean something.

    A limit below what is in use takes nothing away, and lets nothing be added. Raises PreconditionFailed, Conflict while it is being
    deleted.
    """
    row = _changed(ctx, "admin:UpdateTenant")
    ctx.details.update(ctx.body.model_dump(exclude_unset=True))
    return _shown([tenants.change(row.id, _columns(ctx.body), ctx.if_match)])[0]


@admin(f"DELETE {TENANT}", allow="admin:DeleteTenant", query=Force, gives=TenantDeletion, event="tenant_deleted", inside=True)
def delete_tenant(ctx: AdminContext) -> TenantDeletion:
    """Delete a tenant that has neither buckets nor users; with ``force`` start the run that deletes it with all it has.

    From the moment of the wish nobody of the tenant is served. Raises Conflict, which says what it has; PreconditionFailed.
    """
    row = _changed(ctx, "admin:DeleteTenant")
    ctx.details["force"] = ctx.query.force
    if not ctx.query.force:
        tenants.delete(row.id, ctx.if_match)
        return TenantDeletion(deleted=True, run_id=None)
    with transaction():
        # In the order of the runner, which locks its run before it touches the tenant.
        run_id = runs.enqueue("delete_tenant", {"tenant": row.id}, subject=str(row.id), again=False)
        tenants.begin_deletion(row.id, ctx.if_match)
    ctx.details["run_id"] = run_id
    return TenantDeletion(deleted=False, run_id=run_id)


@admin(f"GET {TENANT}/users", allow="admin:ListUsers", query=UserQuery, gives=Page[UserView], inside=True)
def list_tenant_users(ctx: AdminContext) -> Page[UserView]:
    """Return the users of a tenant in order of their making."""
    tenant_id = ctx.id("tenant")
    if not sees(ctx, tenant_id) or tenants.find(tenant_id) is None:
        ctx.require("admin:ListUsers", ctx.user.tenant_id, "user/*")
        raise NotFound
    ctx.require("admin:ListUsers", tenant_id, "user/*")
    return users_page(ctx.query, tenant_id)
