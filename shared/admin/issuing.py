"""Access keys as the admin API shows and makes them: the secret is in the reply that made it, and never again anywhere."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.admin.context import AdminContext
from shared.admin.errors import InvalidFields
from shared.admin.model import Model
from shared.admin.names import Label, Moment, Name
from shared.admin.reach import check_seen, is_administrator
from shared.auth import scopes
from shared.auth.keys import new_access_key, new_secret
from shared.auth.policy import BUILTIN
from shared.clock import now_ms
from shared.errors import AccessDenied, Conflict
from shared.meta import attachments, keys
from shared.meta.administrators import identity_change
from shared.meta.keys import KeyRow
from shared.meta.users import UserRow

MOST_POLICIES = 50
ScopeName = Annotated[str, StringConstraints(min_length=1, max_length=scopes.MAX_NAME_BYTES)]
ScopeNames = Annotated[list[ScopeName], Field(min_length=1, max_length=scopes.MOST_NAMES)]


class KeyScope(Model):
    """What a key is limited to, at most what its user may do. What is left out is not limited."""

    buckets: ScopeNames | None = Field(None, description="Names of buckets, literally.")
    prefixes: ScopeNames | None = Field(None, description="What the keys of objects begin with, literally.")
    actions: list[Literal["read", "write", "list", "delete"]] | None = Field(None, min_length=1, max_length=4)

    def stored(self) -> str:
        """The scope as the database has it. Raises InvalidFields."""
        try:
            return scopes.read(self.model_dump(exclude_none=True)).stored()
        except scopes.ScopeError as error:
            raise InvalidFields(fields={"scope": str(error)}) from None


class NewAccessKey(Model):
    """A new access key."""

    name: Label = Field("", description="For people: what uses it.")
    expires_ms: Moment | None = Field(None, description="When it stops working, UTC milliseconds; null: never.")
    scope: KeyScope | None = None
    policies: list[Name] = Field([], max_length=MOST_POLICIES, description="Policies that narrow the key: it may do what they, too, allow.")
    access_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{3,128}$")] | None = Field(
        None, description="An id of one's own, for moving in from elsewhere: administrators only."
    )
    secret_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{8,128}$")] | None = Field(None, description="With an id: its secret.")


class KeyView(Model):
    """An access key, without its secret."""

    access_key: str
    user_id: int
    tenant_id: int = Field(description="Of its user; 0 for none.")
    name: str
    status: Literal["active", "inactive", "expired"]
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None = Field(description="When it was last used, give or take a few minutes.")
    scope: KeyScope | None
    policies: list[str]


class IssuedKey(KeyView):
    """An access key that was made just now. Its secret is shown here and nowhere else: keep it."""

    secret_key: str


def shown(rows: list[KeyRow]) -> list[KeyView]:
    """Access keys for a reply."""
    attached = attachments.of_many("key", [row.id for row in rows])
    return [KeyView(**_values(row, attached.get(row.id, []))) for row in rows]


def issued(row: KeyRow, secret: str) -> IssuedKey:
    """An access key with its secret, for the reply to whoever asked for it."""
    return IssuedKey(**_values(row, attachments.of("key", row.id)), secret_key=secret)


def _values(row: KeyRow, policies: list[str]) -> dict[str, Any]:
    status = "inactive" if not row.is_active else "active" if row.is_alive(now_ms()) else "expired"
    return {
        "access_key": row.id, "user_id": row.user_id, "tenant_id": row.tenant_id, "name": row.name, "status": status,
        "created_ms": row.created_ms, "expires_ms": row.expires_ms, "last_used_ms": row.last_used_ms,
        "scope": KeyScope(**json.loads(row.scope)) if row.scope else None, "policies": policies,
    }


def check_not_root(user: UserRow) -> None:
    """Root has one pair of keys, and other ways to change it. Raises Conflict."""
    if user.is_root:
        raise Conflict("Root has one access key: `maxiofs root reset`, or MAXIOFS_ROOT_ACCESS_KEY, replaces it.")


def check_expiry(expires_ms: int | None) -> None:
    """Raises InvalidFields for a moment that has passed."""
    if expires_ms is not None and expires_ms <= now_ms():
        raise InvalidFields(fields={"expires_ms": "It has passed."})


def check_new(ctx: AdminContext, given: NewAccessKey, tenant_id: int) -> None:
    """Check what does not depend on the user, before anything is made. Raises InvalidFields, AccessDenied, NotFound."""
    check_expiry(given.expires_ms)
    if (given.access_key is None) != (given.secret_key is None):
        raise InvalidFields(fields={"access_key": "It is given together with secret_key, or not at all."})
    if given.access_key is not None and not is_administrator(ctx.user):
        raise AccessDenied("Only administrators choose the id of an access key.")
    check_seen(ctx.user, given.policies, tenant_id)


def issue(ctx: AdminContext, user_id: int, given: NewAccessKey) -> IssuedKey:
    """Make an access key, in the caller's transaction if there is one. Raises NotFound, AlreadyExists, QuotaExceeded, InvalidFields."""
    key_id, secret = given.access_key or new_access_key(), given.secret_key or new_secret()
    scope = given.scope.stored() if given.scope else None
    with identity_change(by_root=ctx.user.is_root):
        row = keys.create(user_id, key_id, seal(ctx, key_id, secret), name=given.name, expires_ms=given.expires_ms, scope=scope)
        if given.policies:
            attachments.replace("key", key_id, given.policies, BUILTIN)
        return issued(row, secret)


def seal(ctx: AdminContext, key_id: str, secret: str) -> bytes:
    """A secret as the database has it."""
    return ctx.services.master_key.seal(secret.encode(), key_id.encode())
