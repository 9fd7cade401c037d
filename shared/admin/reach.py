"""How far one reaches: whose rows one finds, and that nobody hands out rights that they do not have themselves.

* Rows of another tenant look like rows that are not there: 404 to whoever might act on them, 403 to whoever might not anyway.
* An administrator (root, or a user of no tenant with the policy ``administrator``) hands out and takes away what there is.
* Who has ``tenant-admin`` in a tenant does so with the tenant's own policies and the built-in ones but ``administrator``. What the
  installation's people attached there stays.
* Anybody else with ``admin:AttachPolicy`` does so with what they have themselves.

To act as somebody (make keys, set a password, change the address) is to have what they have: so it needs the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

from shared.auth.policy import BUILTIN
from shared.errors import AccessDenied, NotFound
from shared.meta import attachments, policies
from shared.meta.administrators import ADMINISTRATOR
from shared.meta.models import INSTALLATION

if TYPE_CHECKING:
    from shared.admin.context import AdminContext

TENANT_ADMIN = "tenant-admin"


class Person(Protocol):
    """A user, as the identity cache or the users' table has them."""

    @property
    def id(self) -> int: ...
    @property
    def tenant_id(self) -> int: ...
    @property
    def is_root(self) -> bool: ...


class Owned(Protocol):
    """Something that belongs to a tenant."""

    @property
    def tenant_id(self) -> int: ...


T = TypeVar("T", bound=Owned)


def required(ctx: AdminContext, action: str, resource: str, row: T | None) -> T:
    """The row, when it is there and the caller may do this to it. ``resource`` is ``kind/id``. Raises NotFound, AccessDenied."""
    if row is not None and sees(ctx, row.tenant_id):
        ctx.require(action, row.tenant_id, resource)
        return row
    ctx.require(action, ctx.user.tenant_id, resource)
    raise NotFound


def sees(ctx: AdminContext, tenant_id: int) -> bool:
    """Whether a tenant's rows are there for the caller."""
    return ctx.is_global or tenant_id == ctx.user.tenant_id


def listed_tenant(ctx: AdminContext, action: str, kind: str, asked: int | None) -> int | None:
    """Whose rows a list shows: of the tenant that was asked for, of all (None), of the caller's own. Raises NotFound, AccessDenied."""
    if asked is None and not ctx.is_global:
        asked = ctx.user.tenant_id
    if asked is not None and not sees(ctx, asked):
        ctx.require(action, ctx.user.tenant_id, f"{kind}/*")
        raise NotFound
    ctx.require(action, INSTALLATION if asked is None else asked, f"{kind}/*")
    return asked


def home(ctx: AdminContext, action: str, kind: str, asked: int | None) -> int:
    """The tenant that something new is made in: the one asked for, else the caller's own. Raises NotFound, AccessDenied."""
    tenant_id = ctx.user.tenant_id if asked is None else asked
    if not sees(ctx, tenant_id):
        ctx.require(action, ctx.user.tenant_id, f"{kind}/*")
        raise NotFound
    ctx.require(action, tenant_id, f"{kind}/*")
    return tenant_id


def is_administrator(caller: Person) -> bool:
    """Whether the caller is a global administrator."""
    return caller.is_root or (caller.tenant_id == INSTALLATION and ADMINISTRATOR in attachments.held_by(caller.id))


def check_gift(caller: Person, names: Iterable[str], tenant_id: int) -> None:
    """Check that policies may be handed out, or taken away, in a tenant. Raises AccessDenied; NotFound for what a tenant does not see."""
    names = set(names)
    if not names or is_administrator(caller):
        return
    held = attachments.held_by(caller.id)
    runs_tenant = _runs(caller, held, tenant_id)
    for name in sorted(names):
        if runs_tenant and name not in BUILTIN and policies.find(tenant_id, name) is None:
            raise NotFound(attachments.no_policy(name))
        if not _may_give(caller, held, name, tenant_id):
            raise AccessDenied(f"You may not hand out or take away the policy {name}: you do not have it yourself.")


def check_seen(caller: Person, names: Iterable[str], tenant_id: int) -> None:
    """Check that policies are there for the caller: enough where they only narrow. Raises NotFound."""
    for name in names:
        if name not in BUILTIN and policies.find(tenant_id, name) is None and caller.tenant_id != INSTALLATION:
            raise NotFound(attachments.no_policy(name))


def check_over(caller: Person, user: Person) -> None:
    """Check that the caller has all that a user has, as they must to act as that user. Raises AccessDenied."""
    if caller.id == user.id or caller.is_root:
        return
    held, theirs = attachments.held_by(caller.id), attachments.held_by(user.id)
    if user.is_root:
        allowed = False
    elif caller.tenant_id == INSTALLATION and ADMINISTRATOR in held:
        allowed = True
    elif _runs(caller, held, user.tenant_id):
        allowed = ADMINISTRATOR not in theirs or ADMINISTRATOR in held
    else:
        allowed = all(_may_give(caller, held, name, user.tenant_id) for name in theirs)
    if not allowed:
        raise AccessDenied("You may not act for a user who may do more than you.")


def check_rewriting(caller: Person, policy: policies.PolicyRow) -> None:
    """Check that the caller may change what a policy says: whoever has it then may do something else. Raises AccessDenied."""
    held = attachments.held_by(caller.id)
    if is_administrator(caller) or _runs(caller, held, policy.tenant_id) or not policies.used_by(policy):
        return
    raise AccessDenied("The policy is attached: only an administrator may change what it says.")


def _runs(caller: Person, held: set[str], tenant_id: int) -> bool:
    """Whether the caller is an administrator of that very tenant."""
    return tenant_id != INSTALLATION and caller.tenant_id == tenant_id and bool(held & {TENANT_ADMIN, ADMINISTRATOR})


def _may_give(caller: Person, held: set[str], name: str, tenant_id: int) -> bool:
    """Whether the name stands there for something the caller may hand out."""
    own = None if name in BUILTIN else policies.resolve(tenant_id, name)
    if _runs(caller, held, tenant_id):
        return name != ADMINISTRATOR if own is None else own.tenant_id == tenant_id
    return name in held and (own is None or own == policies.resolve(caller.tenant_id, name))
