"""How others sign in: an administrator gives a new password, opens a locked account, or resets a lost second factor."""

from __future__ import annotations

from pydantic import Field

from shared.admin import passwords
from shared.admin.context import AdminContext
from shared.admin.errors import Conflict
from shared.admin.model import Model
from shared.admin.reach import check_over, required
from shared.meta import database, factors, logins, sessions
from shared.meta.people import PrincipalInfo
from shared.registry import admin


class GivenPassword(Model):
    """A password for somebody else."""

    password: str = Field(min_length=1, max_length=1024)
    must_change: bool = Field(default=True, description="All that can be done with it is to choose another.")


@admin("PUT /api/v1/users/{user}/password", allow="admin:UpdateUser", takes=GivenPassword, event="password_changed", inside=True,
       lane="slow")
def give_password(ctx: AdminContext) -> None:
    """Give somebody a new password, and end all their sessions and tokens. One's own is changed by POST /api/v1/auth/password.

    Raises NotFound, AccessDenied, InvalidFields, Conflict (one's own).
    """
    user = _somebody(ctx, "admin:UpdateUser")
    if user.id == ctx.user.id and ctx.session is not None:
        raise Conflict("Change your own password with POST /api/v1/auth/password, which asks for the old one.")
    passwords.choose(ctx, user.id, user.name, ctx.body.password, must_change=ctx.body.must_change)


@admin("POST /api/v1/users/{user}/unlock", allow="admin:UpdateUser", event="user_unblocked", inside=True)
def unlock_user(ctx: AdminContext) -> None:
    """Open an account that too many failed attempts closed. Raises NotFound, AccessDenied."""
    logins.unlock(_somebody(ctx, "admin:UpdateUser").id)


@admin("DELETE /api/v1/users/{user}/2fa", allow="admin:ResetTwoFactor", event="2fa_disabled", inside=True)
def reset_factor(ctx: AdminContext) -> None:
    """Switch somebody's two-factor authentication off, for who lost the device, and end their sessions and tokens.

    Raises NotFound, AccessDenied, Conflict when it is off, or is one's own.
    """
    user = _somebody(ctx, "admin:ResetTwoFactor")
    if user.id == ctx.user.id and ctx.session is not None:
        raise Conflict("Switch your own off with POST /api/v1/auth/2fa/disable, which asks for a code.")
    with database.transaction():
        if not factors.clear(user.id):
            raise Conflict("Two-factor authentication is off.")
        sessions.revoke_all(user.id)


def _somebody(ctx: AdminContext, action: str) -> PrincipalInfo:
    """Whom the path names, when the caller may do this to them. Raises NotFound also for people of other tenants, AccessDenied."""
    user = required(ctx, action, f"user/{ctx.id('user')}", ctx.known.principal(ctx.id("user")))
    ctx.about("user", user.id, user.name, user.tenant_id)
    check_over(ctx.user, user)
    return user
