"""Policies attached: to users, groups and roles, which they empower, and to access keys, which they narrow."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from shared.admin import issuing
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import NotFound
from shared.admin.model import Model
from shared.admin.names import Name
from shared.admin.reach import check_gift, check_over, check_seen, required
from shared.auth.policy import BUILTIN
from shared.meta import attachments, groups, keys, users
from shared.meta.administrators import identity_change
from shared.meta.attachments import Kind
from shared.registry import admin

USER, GROUP, ROLE = "/api/v1/users/{user}/policies", "/api/v1/groups/{group}/policies", "/api/v1/roles/{role}/policies"
KEY = "/api/v1/users/{user}/access-keys/{access_key}/policies"


class AttachedPolicies(Model):
    """The names of all policies that something has."""

    policies: list[Name] = Field(max_length=issuing.MOST_POLICIES)


class _Place:
    """Where policies are attached: what the path of a request names."""

    def __init__(self, kind: Kind, id: int | str, tenant_id: int) -> None:
        self.kind, self.id, self.tenant_id = kind, id, tenant_id

    def names(self) -> AttachedPolicies:
        """What is attached."""
        return AttachedPolicies(policies=attachments.of(self.kind, self.id))


def _place(ctx: AdminContext, kind: Kind, action: str) -> _Place:
    """What the path names, when the caller may do this to it. Raises NotFound, AccessDenied."""
    sets = {"group": groups.groups, "role": groups.roles}.get(kind)
    if sets is not None:
        found = required(ctx, action, f"{kind}/{ctx.id(kind)}", sets.find(ctx.id(kind)))
        ctx.about(kind, found.id, found.name, found.tenant_id)
        return _Place(kind, found.id, found.tenant_id)
    user = users.find(ctx.id("user"))
    if kind == "user" or user is None or user.id != ctx.user.id:
        user = required(ctx, action, f"user/{ctx.id('user')}", user)
    check_over(ctx.user, user)
    if kind == "user":
        ctx.about("user", user.id, user.name, user.tenant_id)
        return _Place(kind, user.id, user.tenant_id)
    issuing.check_not_root(user)
    key = keys.find(ctx.args["access_key"])
    if key is None or key.user_id != user.id:
        raise NotFound
    ctx.about("access_key", key.id, key.name, key.tenant_id)
    return _Place(kind, key.id, key.tenant_id)


def _check(ctx: AdminContext, place: _Place, names: set[str]) -> None:
    check = check_seen if place.kind == "key" else check_gift
    check(ctx.user, names, place.tenant_id)


def _replace(ctx: AdminContext, kind: Kind) -> AttachedPolicies:
    place, wanted = _place(ctx, kind, "admin:AttachPolicy"), set(ctx.body.policies)
    ctx.details["policies"] = sorted(wanted)
    by_root = ctx.user.is_root
    with identity_change(by_root=by_root):
        _check(ctx, place, wanted ^ set(attachments.of(kind, place.id)))
        attachments.replace(kind, place.id, wanted, BUILTIN, expected=ctx.if_match, by_root=by_root)
    return place.names()


def _one(ctx: AdminContext, kind: Kind, action: str, change: Callable[[_Place, str], None]) -> AttachedPolicies:
    place, name = _place(ctx, kind, action), ctx.args["policy"]
    ctx.details["policy"] = name
    with identity_change(by_root=ctx.user.is_root):
        _check(ctx, place, {name})
        change(place, name)
    return place.names()


def _attach(ctx: AdminContext, kind: Kind) -> AttachedPolicies:
    expected = ctx.if_match
    return _one(ctx, kind, "admin:AttachPolicy", lambda place, name: attachments.attach(kind, place.id, name, BUILTIN, expected=expected))


def _detach(ctx: AdminContext, kind: Kind) -> AttachedPolicies:
    expected, by_root = ctx.if_match, ctx.user.is_root
    return _one(
        ctx, kind, "admin:DetachPolicy", lambda place, name: attachments.detach(kind, place.id, name, expected=expected, by_root=by_root))


# ---- users ---------------------------------------------------------------------------------------------------------------------------


@admin(f"PUT {USER}", allow="admin:AttachPolicy", takes=AttachedPolicies, gives=AttachedPolicies, event="user_role_changed", inside=True)
def set_user_policies(ctx: AdminContext) -> AttachedPolicies:
    """Attach exactly these policies to a user. Raises AccessDenied for rights that the caller does not have, LastAdministrator."""
    return _replace(ctx, "user")


@admin(f"PUT {USER}/{{policy}}", allow="admin:AttachPolicy", gives=AttachedPolicies, event="user_role_changed", inside=True)
def attach_user_policy(ctx: AdminContext) -> AttachedPolicies:
    """Attach one policy more to a user; twice is fine. Raises AccessDenied, NotFound."""
    return _attach(ctx, "user")


@admin(f"DELETE {USER}/{{policy}}", allow="admin:DetachPolicy", gives=AttachedPolicies, event="user_role_changed", inside=True)
def detach_user_policy(ctx: AdminContext) -> AttachedPolicies:
    """Take a policy away from a user. Raises AccessDenied, NotFound, LastAdministrator."""
    return _detach(ctx, "user")


# ---- groups --------------------------------------------------------------------------------------------------------------------------


@admin(f"PUT {GROUP}", allow="admin:AttachPolicy", takes=AttachedPolicies, gives=AttachedPolicies, event="group_updated", inside=True)
def set_group_policies(ctx: AdminContext) -> AttachedPolicies:
    """Attach exactly these policies to a group. Raises AccessDenied for rights that the caller does not have, LastAdministrator."""
    return _replace(ctx, "group")


@admin(f"PUT {GROUP}/{{policy}}", allow="admin:AttachPolicy", gives=AttachedPolicies, event="group_updated", inside=True)
def attach_group_policy(ctx: AdminContext) -> AttachedPolicies:
    """Attach one policy more to a group; twice is fine. Raises AccessDenied, NotFound."""
    return _attach(ctx, "group")


@admin(f"DELETE {GROUP}/{{policy}}", allow="admin:DetachPolicy", gives=AttachedPolicies, event="group_updated", inside=True)
def detach_group_policy(ctx: AdminContext) -> AttachedPolicies:
    """Take a policy away from a group. Raises AccessDenied, NotFound, LastAdministrator."""
    return _detach(ctx, "group")


# ---- roles ---------------------------------------------------------------------------------------------------------------------------


@admin(f"PUT {ROLE}", allow="admin:AttachPolicy", takes=AttachedPolicies, gives=AttachedPolicies, event="role_updated", inside=True)
def set_role_policies(ctx: AdminContext) -> AttachedPolicies:
    """Attach exactly these policies to a role. Raises AccessDenied for rights that the caller does not have."""
    return _replace(ctx, "role")


@admin(f"PUT {ROLE}/{{policy}}", allow="admin:AttachPolicy", gives=AttachedPolicies, event="role_updated", inside=True)
def attach_role_policy(ctx: AdminContext) -> AttachedPolicies:
    """Attach one policy more to a role; twice is fine. Raises AccessDenied, NotFound."""
    return _attach(ctx, "role")


@admin(f"DELETE {ROLE}/{{policy}}", allow="admin:DetachPolicy", gives=AttachedPolicies, event="role_updated", inside=True)
def detach_role_policy(ctx: AdminContext) -> AttachedPolicies:
    """Take a policy away from a role. Raises AccessDenied, NotFound."""
    return _detach(ctx, "role")


# ---- access keys ---------------------------------------------------------------------------------------------------------------------


@admin(f"PUT {KEY}", allow=SIGNED_IN, takes=AttachedPolicies, gives=AttachedPolicies, event="access_key_updated")
def set_access_key_policies(ctx: AdminContext) -> AttachedPolicies:
    """Narrow an access key by exactly these policies: it may do what its user may and they allow. One's own, or with admin:AttachPolicy."""
    return _replace(ctx, "key")


@admin(f"PUT {KEY}/{{policy}}", allow=SIGNED_IN, gives=AttachedPolicies, event="access_key_updated")
def attach_access_key_policy(ctx: AdminContext) -> AttachedPolicies:
    """Narrow an access key by one policy more; twice is fine. One's own, or with admin:AttachPolicy."""
    return _attach(ctx, "key")


@admin(f"DELETE {KEY}/{{policy}}", allow=SIGNED_IN, gives=AttachedPolicies, event="access_key_updated")
def detach_access_key_policy(ctx: AdminContext) -> AttachedPolicies:
    """Narrow an access key no longer by a policy. One's own, or with admin:DetachPolicy. Raises NotFound."""
    return _detach(ctx, "key")
