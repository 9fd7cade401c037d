"""Users: the people and programs that may sign in and sign requests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.admin import issuing, passwords
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import Conflict, NotFound
from shared.admin.issuing import MOST_POLICIES, IssuedKey, NewAccessKey
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.names import LONGEST_NAME, Email, Label, Name, PersonTags
from shared.admin.reach import check_gift, check_over, home, listed_tenant, required
from shared.auth.passwords import LONGEST
from shared.auth.policy import BUILTIN
from shared.clock import now_ms
from shared.meta import attachments, groups, logins, users
from shared.meta.administrators import identity_change
from shared.meta.groups import groups as user_groups
from shared.meta.models import INSTALLATION
from shared.meta.users import UserRow
from shared.protocol import tags
from shared.registry import admin

Status = Literal["active", "inactive"]


class GroupName(Model):
    """A group that a user is in."""

    id: int
    name: str


class UserView(Model):
    """A user."""

    id: int
    username: str
    canonical_id: str = Field(description="The id that S3 replies show as owner.")
    display_name: str
    email: str | None
    status: Status
    tags: PersonTags = Field(description="What policies ask for as aws:PrincipalTag/….")
    tenant_id: int = Field(description="0: belongs to no tenant.")
    is_root: bool
    policies: list[str] = Field(description="Attached to the user itself.")
    groups: list[GroupName]
    has_password: bool
    must_change_password: bool
    two_factor_enabled: bool
    locked_until_ms: int | None = Field(description="Closed until then after too many wrong passwords, UTC milliseconds.")
    created_ms: int
    revision: int


class UserWithKey(UserView):
    """A user that was made just now."""

    access_key: IssuedKey | None = Field(None, description="The access key that was asked for: its secret is shown here only.")


class NewUser(Model):
    """A new user."""

    username: Name
    password: str | None = Field(None, min_length=1, max_length=LONGEST, description="Null: no sign-in to the console.")
    must_change_password: bool = False
    display_name: Label = ""
    email: Email | None = None
    status: Status = "active"
    tags: PersonTags = Field({}, description="What policies ask for as aws:PrincipalTag/….")
    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: of no tenant; null: of the caller's.")
    policies: list[Name] = Field([], max_length=MOST_POLICIES)
    groups: list[int] = Field([], max_length=MOST_POLICIES, description="Ids of groups.")
    access_key: NewAccessKey | None = Field(None, description="Also make an access key.")


class UserChange(Model):
    """What is to be different; what is left out stays. The name and the tenant never change."""

    display_name: Label = ""
    email: Email | None = None
    status: Status = "active"
    tags: PersonTags = Field({}, description="The whole set.")


class UserQuery(PageQuery):
    """Which users."""

    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: those of no tenant.")
    username: str | None = Field(None, max_length=LONGEST_NAME, description="That very name.")
    search: str = Field("", max_length=LONGEST_NAME, description="A part of the name, the display name or the address.")


@admin("GET /api/v1/users", allow="admin:ListUsers", query=UserQuery, gives=Page[UserView], inside=True)
def list_users(ctx: AdminContext) -> Page[UserView]:
    """Return users in order of their making. Who belongs to a tenant sees its users."""
    query: UserQuery = ctx.query
    tenant_id = listed_tenant(ctx, "admin:ListUsers", "user", query.tenant_id)
    return users_page(query, tenant_id)


def users_page(query: UserQuery, tenant_id: int | None) -> Page[UserView]:
    """A page of users, of one tenant or of all."""
    after = position_of(query.cursor, int) or (0,)
    rows = users.page(int(after[0]), query.limit + 1, tenant_id=tenant_id, name=query.username, search=query.search)
    page = page_of(rows, query.limit, lambda row: (row.id,))
    return Page(items=_shown(page.items), next_cursor=page.next_cursor)


def _shown(rows: list[UserRow]) -> list[UserView]:
    ids = [row.id for row in rows]
    attached, member_of, signs_in = attachments.of_many("user", ids), groups.of_users(ids), logins.find_many(ids)
    now = now_ms()
    return [
        UserView(
            id=row.id, username=row.name, canonical_id=row.canonical_id, display_name=row.display_name, email=row.email,
            status="active" if row.is_active else "inactive", tags=tags.load(row.tags), tenant_id=row.tenant_id,
            is_root=row.is_root, policies=attached.get(str(row.id), []),
            groups=[GroupName(id=one.id, name=one.name) for one in member_of.get(row.id, [])],
            has_password=login.password_hash is not None, must_change_password=login.must_change, two_factor_enabled=login.has_factor,
            locked_until_ms=login.locked_until_ms if login.is_locked(now) else None, created_ms=row.created_ms, revision=row.revision,
        )
        for row in rows for login in [signs_in[row.id]]
    ]


@admin("POST /api/v1/users", allow="admin:CreateUser", takes=NewUser, gives=UserWithKey, status=201, event="user_created", inside=True)
def create_user(ctx: AdminContext) -> UserWithKey:
    """Create a user, with password, policies, groups and an access key as asked for, all or nothing.

    Raises AlreadyExists for a name or an address that is taken, NotFound for a tenant, policy or group that is not there, AccessDenied for
    rights that the caller does not have, QuotaExceeded when the tenant may not have another user or key.
    """
    body: NewUser = ctx.body
    ctx.about("user", "", body.username)        # in whose log it belongs, ``home`` says: nobody writes into another tenant's
    tenant_id = ctx.tenant_id = home(ctx, "admin:CreateUser", "user", body.tenant_id)
    check_gift(ctx.user, body.policies, tenant_id)
    for group_id in body.groups:
        _check_group(ctx, group_id, tenant_id)
    if body.access_key:
        issuing.check_new(ctx, body.access_key, tenant_id)
    hashed = None if body.password is None else passwords.checked_hash(ctx, body.password, body.username)
    with identity_change(by_root=ctx.user.is_root):
        user = users.create(
            body.username, tenant_id, display_name=body.display_name, email=body.email, is_active=body.status == "active",
            tags=tags.dump(body.tags),
        )
        if body.policies:
            attachments.replace("user", user.id, body.policies, BUILTIN)
        for group_id in body.groups:
            groups.add_member(group_id, user.id)
        if hashed is not None:
            logins.set_password(user.id, hashed, must_change=body.must_change_password, now_ms=now_ms())
        key = issuing.issue(ctx, user.id, body.access_key) if body.access_key else None
        view = _view(user.id)
    ctx.about("user", user.id, user.name, tenant_id)
    ctx.details.update(policies=body.policies, groups=body.groups, **({"access_key": key.access_key} if key else {}))
    return UserWithKey(**view.model_dump(), access_key=key)


def _check_group(ctx: AdminContext, group_id: int, tenant_id: int) -> None:
    """Whether a new user of a tenant may be put into a group. Raises NotFound, AccessDenied."""
    group = user_groups.find(group_id) if 0 < group_id < 1 << 31 else None
    if group is None or group.tenant_id != tenant_id:
        raise NotFound(f"There is no group {group_id}.")
    check_gift(ctx.user, attachments.of("group", group_id), tenant_id)


def _view(user_id: int) -> UserView:
    row = users.find(user_id)
    if row is None:
        raise NotFound
    return _shown([row])[0]


def found_user(ctx: AdminContext, action: str) -> UserRow:
    """The user of the path, when the caller may do this to them. Raises NotFound, AccessDenied."""
    user_id = ctx.id("user")
    row = required(ctx, action, f"user/{user_id}", users.find(user_id))
    ctx.about("user", row.id, row.name, row.tenant_id)
    return row


@admin("GET /api/v1/users/{user}", allow=SIGNED_IN, gives=UserView)
def get_user(ctx: AdminContext) -> UserView:
    """Return a user: oneself, or whom one may see with admin:GetUser."""
    user_id = ctx.id("user")
    if user_id != ctx.user.id:
        found_user(ctx, "admin:GetUser")
    return _view(user_id)


@admin("PUT /api/v1/users/{user}", allow="admin:UpdateUser", takes=UserChange, gives=UserView, event="user_updated", inside=True)
def update_user(ctx: AdminContext) -> UserView:
    """Change a user. Who is made inactive is signed out everywhere, and their keys stop working at the next request.

    Raises AccessDenied for a user who may do more than the caller, Conflict for oneself or root made inactive, LastAdministrator.
    """
    user, body = found_user(ctx, "admin:UpdateUser"), ctx.body.model_dump(exclude_unset=True)
    check_over(ctx.user, user)
    values: dict[str, Any] = {name: value for name, value in body.items() if name != "status"}
    if "status" in body:
        values["is_active"] = body["status"] == "active"
        if user.id == ctx.user.id and not values["is_active"]:
            raise Conflict("You cannot make yourself inactive.")
        ctx.event = "user_status_changed" if values["is_active"] != user.is_active else ctx.event
    if "tags" in body:
        values["tags"] = tags.dump(body["tags"])
    ctx.details.update(body)
    users.change(user.id, values, ctx.if_match, by_root=ctx.user.is_root)
    return _view(user.id)


@admin("DELETE /api/v1/users/{user}", allow="admin:DeleteUser", event="user_deleted", inside=True)
def delete_user(ctx: AdminContext) -> None:
    """Delete a user with keys, memberships, sessions and password. What they stored stays, and keeps their id as owner.

    Raises AccessDenied for a user who may do more than the caller, Conflict for oneself and root, LastAdministrator.
    """
    user = found_user(ctx, "admin:DeleteUser")
    check_over(ctx.user, user)
    if user.id == ctx.user.id:
        raise Conflict("You cannot delete yourself.")
    users.delete(user.id, ctx.if_match, by_root=ctx.user.is_root)


class GroupNames(Model):
    """The groups of a user."""

    items: list[GroupName]


@admin("GET /api/v1/users/{user}/groups", allow=SIGNED_IN, gives=GroupNames)
def list_user_groups(ctx: AdminContext) -> GroupNames:
    """Return the groups that a user is in: one's own, or with admin:GetUser."""
    user_id = ctx.id("user")
    if user_id != ctx.user.id:
        found_user(ctx, "admin:GetUser")
    return GroupNames(items=[GroupName(id=row.id, name=row.name) for row in groups.of_user(user_id)])
