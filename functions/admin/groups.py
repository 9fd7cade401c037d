"""Groups: users who share policies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.admin.context import AdminContext
from shared.admin.errors import NotFound
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.reach import check_gift
from shared.admin.sets import Kind, NewSet, SetChange, SetQuery, SetView
from shared.meta import attachments, groups, users
from shared.meta.groups import GroupRow, Member
from shared.registry import admin

GROUP = "/api/v1/groups/{group}"
_groups = Kind("Group", groups.groups)


class GroupView(SetView):
    """A group."""

    members: int = Field(description="How many users are in it.")


class MemberView(Model):
    """A user in a group."""

    id: int
    username: str
    display_name: str
    status: Literal["active", "inactive"]


class NewMember(Model):
    """Who is to be in the group."""

    user_id: int = Field(ge=1)


@admin("GET /api/v1/groups", allow="admin:ListGroups", query=SetQuery, gives=Page[GroupView], inside=True)
def list_groups(ctx: AdminContext) -> Page[GroupView]:
    """Return groups in order of their making. Who belongs to a tenant sees its groups."""
    page = _groups.page(ctx)
    sizes = groups.sizes([row.id for row in page.items])
    return Page(items=[_with_size(row, sizes.get(row.id, 0)) for row in page.items], next_cursor=page.next_cursor)


def _with_size(view: SetView, members: int) -> GroupView:
    return GroupView(**view.model_dump(), members=members)


@admin("POST /api/v1/groups", allow="admin:CreateGroup", takes=NewSet, gives=GroupView, status=201, event="group_created", inside=True)
def create_group(ctx: AdminContext) -> GroupView:
    """Make an empty group. Raises AlreadyExists for a name that its tenant has, NotFound for a tenant that is not there."""
    return _with_size(_groups.create(ctx), 0)


@admin(f"GET {GROUP}", allow="admin:GetGroup", gives=GroupView, inside=True)
def get_group(ctx: AdminContext) -> GroupView:
    """Return a group."""
    return _view(_groups.found(ctx, "admin:GetGroup"))


def _view(row: GroupRow) -> GroupView:
    return _with_size(_groups.shown([row])[0], groups.sizes([row.id]).get(row.id, 0))


@admin(f"PUT {GROUP}", allow="admin:UpdateGroup", takes=SetChange, gives=GroupView, event="group_updated", inside=True)
def update_group(ctx: AdminContext) -> GroupView:
    """Change name or description. Raises AlreadyExists, PreconditionFailed."""
    view = _groups.change(ctx)
    return _with_size(view, groups.sizes([view.id]).get(view.id, 0))


@admin(f"DELETE {GROUP}", allow="admin:DeleteGroup", event="group_deleted", inside=True)
def delete_group(ctx: AdminContext) -> None:
    """Delete a group; its members stay, without what they had through it. Raises LastAdministrator, PreconditionFailed."""
    _groups.delete(ctx)


@admin(f"GET {GROUP}/members", allow="admin:GetGroup", query=PageQuery, gives=Page[MemberView], inside=True)
def list_group_members(ctx: AdminContext) -> Page[MemberView]:
    """Return the users of a group in order of their making."""
    group = _groups.found(ctx, "admin:GetGroup")
    after = position_of(ctx.query.cursor, int) or (0,)
    rows = groups.members(group.id, int(after[0]), ctx.query.limit + 1)
    page = page_of(rows, ctx.query.limit, lambda row: (row.id,))
    return Page(items=[_member(row) for row in page.items], next_cursor=page.next_cursor)


def _member(row: Member) -> MemberView:
    status: Literal["active", "inactive"] = "active" if row.is_active else "inactive"
    return MemberView(id=row.id, username=row.name, display_name=row.display_name, status=status)


@admin(f"POST {GROUP}/members", allow="admin:AddGroupMember", takes=NewMember, gives=GroupView, event="group_member_added", inside=True)
def add_group_member(ctx: AdminContext) -> GroupView:
    """Put a user of the same tenant into a group; twice is fine.

    Raises AccessDenied for a group with policies that the caller may not hand out, NotFound for a user of another tenant,
    PreconditionFailed.
    """
    return _changed_members(ctx, ctx.body.user_id, "AddGroupMember")


@admin(f"DELETE {GROUP}/members/{{user}}", allow="admin:RemoveGroupMember", gives=GroupView, event="group_member_removed", inside=True)
def remove_group_member(ctx: AdminContext) -> GroupView:
    """Take a user out of a group. Raises NotFound for who is not in it, LastAdministrator, PreconditionFailed."""
    return _changed_members(ctx, ctx.id("user"), "RemoveGroupMember")


def _changed_members(ctx: AdminContext, user_id: int, verb: str) -> GroupView:
    group = _groups.found(ctx, f"admin:{verb}")
    user = users.find(user_id)
    if user is None or user.tenant_id != group.tenant_id:
        raise NotFound
    ctx.details.update(user_id=user.id, username=user.name)
    check_gift(ctx.user, attachments.of("group", group.id), group.tenant_id)
    if verb == "AddGroupMember":
        groups.add_member(group.id, user.id, expected=ctx.if_match)
    else:
        groups.remove_member(group.id, user.id, expected=ctx.if_match, by_root=ctx.user.is_root)
    changed = groups.groups.find(group.id)
    if changed is None:
        raise NotFound
    return _view(changed)
