"""Roles: named sets of policies, to be assumed. Nothing assumes them until the STS protocol comes."""

from __future__ import annotations

from shared.admin.context import AdminContext
from shared.admin.model import Page
from shared.admin.sets import Kind, NewSet, SetChange, SetQuery, SetView
from shared.meta import groups
from shared.registry import admin

ROLE = "/api/v1/roles/{role}"
_roles = Kind("Role", groups.roles)


class RoleView(SetView):
    """A role."""


def _as_role(view: SetView) -> RoleView:
    return RoleView(**view.model_dump())


@admin("GET /api/v1/roles", allow="admin:ListRoles", query=SetQuery, gives=Page[RoleView], inside=True)
def list_roles(ctx: AdminContext) -> Page[RoleView]:
    """Return roles in order of their making. Who belongs to a tenant sees its roles."""
    page = _roles.page(ctx)
    return Page(items=[_as_role(view) for view in page.items], next_cursor=page.next_cursor)


@admin("POST /api/v1/roles", allow="admin:CreateRole", takes=NewSet, gives=RoleView, status=201, event="role_created", inside=True)
def create_role(ctx: AdminContext) -> RoleView:
    """Make a role without policies. Raises AlreadyExists for a name that its tenant has, NotFound for a tenant that is not there."""
    return _as_role(_roles.create(ctx))


@admin(f"GET {ROLE}", allow="admin:GetRole", gives=RoleView, inside=True)
def get_role(ctx: AdminContext) -> RoleView:
    """Return a role."""
    return _as_role(_roles.shown([_roles.found(ctx, "admin:GetRole")])[0])


@admin(f"PUT {ROLE}", allow="admin:UpdateRole", takes=SetChange, gives=RoleView, event="role_updated", inside=True)
def update_role(ctx: AdminContext) -> RoleView:
    """Change name or description. Raises AlreadyExists, PreconditionFailed."""
    return _as_role(_roles.change(ctx))


@admin(f"DELETE {ROLE}", allow="admin:DeleteRole", event="role_deleted", inside=True)
def delete_role(ctx: AdminContext) -> None:
    """Delete a role. Raises PreconditionFailed."""
    _roles.delete(ctx)
