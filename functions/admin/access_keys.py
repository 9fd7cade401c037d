"""Access keys: pairs of an id and a secret that sign S3 requests. One makes and ends one's own; administrators also other people's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.admin import issuing
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import NotFound, PreconditionFailed
from shared.admin.issuing import IssuedKey, KeyScope, KeyView, NewAccessKey
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.names import Label, Moment
from shared.admin.reach import check_over, listed_tenant, required
from shared.auth.keys import new_access_key, new_secret
from shared.meta import keys, users
from shared.meta.keys import KeyRow
from shared.meta.models import INSTALLATION
from shared.meta.users import UserRow
from shared.registry import admin

KEYS = "/api/v1/users/{user}/access-keys"
LONGEST_OVERLAP_S = 90 * 86_400


class KeyQuery(PageQuery):
    """Which access keys."""

    tenant_id: int | None = Field(None, ge=INSTALLATION, description="Of users of that tenant; 0: of no tenant.")


class KeyChange(Model):
    """What is to be different; what is left out stays."""

    name: Label = ""
    status: Literal["active", "inactive"] = "active"
    expires_ms: Moment | None = Field(None, description="When it stops working, UTC milliseconds; null: never.")
    scope: KeyScope | None = None


class Rotation(Model):
    """How a key is replaced."""

    overlap_s: int = Field(86_400, ge=0, le=LONGEST_OVERLAP_S, description="For how many seconds the old key goes on working.")


@admin("GET /api/v1/access-keys", allow="admin:ListAccessKeys", query=KeyQuery, gives=Page[KeyView], inside=True)
def list_all_access_keys(ctx: AdminContext) -> Page[KeyView]:
    """Return everybody's access keys, in order of their ids. Who belongs to a tenant sees those of its users."""
    tenant_id = listed_tenant(ctx, "admin:ListAccessKeys", "user", ctx.query.tenant_id)
    return _page(ctx.query, tenant_id=tenant_id)


def _page(query: PageQuery, **which: Any) -> Page[KeyView]:
    after = position_of(query.cursor, str) or ("",)
    page = page_of(keys.page(str(after[0]), query.limit + 1, **which), query.limit, lambda row: (row.id,))
    return Page(items=issuing.shown(page.items), next_cursor=page.next_cursor)


@admin(f"GET {KEYS}", allow=SIGNED_IN, query=PageQuery, gives=Page[KeyView])
def list_access_keys(ctx: AdminContext) -> Page[KeyView]:
    """Return the access keys of a user: one's own, or with admin:ListAccessKeys. Secrets are never shown again."""
    return _page(ctx.query, user_id=_owner(ctx, "admin:ListAccessKeys").id)


@admin(f"POST {KEYS}", allow=SIGNED_IN, takes=NewAccessKey, gives=IssuedKey, status=201, event="access_key_created")
def create_access_key(ctx: AdminContext) -> IssuedKey:
    """Make an access key for oneself, or with admin:CreateAccessKey. The secret is in this reply only.

    Raises QuotaExceeded when the tenant may not have another key, AccessDenied for a user who may do more than the caller, AlreadyExists,
    Conflict for root.
    """
    owner = _changed_owner(ctx, "admin:CreateAccessKey")
    issuing.check_new(ctx, ctx.body, owner.tenant_id)
    made = issuing.issue(ctx, owner.id, ctx.body)
    _about(ctx, made.access_key, owner)
    return made


@admin(f"GET {KEYS}/{{access_key}}", allow=SIGNED_IN, gives=KeyView)
def get_access_key(ctx: AdminContext) -> KeyView:
    """Return an access key, without its secret."""
    return issuing.shown([_found(ctx, _owner(ctx, "admin:ListAccessKeys"))])[0]


@admin(f"PUT {KEYS}/{{access_key}}", allow=SIGNED_IN, takes=KeyChange, gives=KeyView, event="access_key_updated")
def update_access_key(ctx: AdminContext) -> KeyView:
    """Change the name, status, expiry or scope of a key of one's own, or with admin:UpdateAccessKey. It binds at the next request."""
    key = _found(ctx, _changed_owner(ctx, "admin:UpdateAccessKey"))
    given: KeyChange = ctx.body
    values: dict[str, Any] = {name: getattr(given, name) for name in given.model_fields_set}
    if "status" in values:
        values["is_active"] = values.pop("status") == "active"
        ctx.event = "access_key_status_changed" if values["is_active"] != key.is_active else ctx.event
    if "scope" in values:
        values["scope"] = given.scope.stored() if given.scope else None
    if "expires_ms" in values:
        issuing.check_expiry(given.expires_ms)
    ctx.details.update(given.model_dump(exclude_unset=True))
    return issuing.shown([keys.change(key.id, values)])[0]


@admin(f"DELETE {KEYS}/{{access_key}}", allow=SIGNED_IN, event="access_key_deleted")
def delete_access_key(ctx: AdminContext) -> None:
    """Delete a key of one's own, or with admin:DeleteAccessKey: requests signed with it are refused from the next one on."""
    keys.delete(_found(ctx, _changed_owner(ctx, "admin:DeleteAccessKey")).id)


@admin(f"POST {KEYS}/{{access_key}}/rotate", allow=SIGNED_IN, takes=Rotation, gives=IssuedKey, status=201, event="access_key_rotated")
def rotate_access_key(ctx: AdminContext) -> IssuedKey:
    """Make a successor with the same name, scope, policies and length of life; the old key stops working after the overlap.

    One's own, or with admin:CreateAccessKey. Raises QuotaExceeded when the tenant has more keys than it may already, Conflict for a key
    that does not work.
    """
    key = _found(ctx, _changed_owner(ctx, "admin:CreateAccessKey"))
    key_id, secret = new_access_key(), new_secret()
    made = keys.rotate(key.id, key_id, issuing.seal(ctx, key_id, secret), ctx.body.overlap_s * 1000)
    ctx.details.update(successor=key_id, overlap_s=ctx.body.overlap_s)
    return issuing.issued(made, secret)


def _owner(ctx: AdminContext, action: str) -> UserRow:
    """The user of the path: oneself, or one with whose keys the caller may do this. Raises NotFound, AccessDenied."""
    user_id = ctx.id("user")
    user = users.find(user_id)
    if user is not None and user.id == ctx.user.id:
        return user
    return required(ctx, action, f"user/{user_id}", user)


def _changed_owner(ctx: AdminContext, action: str) -> UserRow:
    """The same, whose keys are to change. Raises AccessDenied for who may do more than the caller, Conflict for root."""
    user = _owner(ctx, action)
    check_over(ctx.user, user)
    issuing.check_not_root(user)
    _about(ctx, ctx.args.get("access_key", ""), user)
    if ctx.if_match is not None:
        raise PreconditionFailed("Access keys have no ETag.")
    return user


def _about(ctx: AdminContext, key_id: str, user: UserRow) -> None:
    ctx.about("access_key", key_id, key_id, user.tenant_id)
    ctx.details["username"] = user.name


def _found(ctx: AdminContext, owner: UserRow) -> KeyRow:
    key = keys.find(ctx.args["access_key"])
    if key is None or key.user_id != owner.id:
        raise NotFound
    return key
