"""Sessions and bearer tokens: one's own, and those of others for administrators."""

from __future__ import annotations

from pydantic import Field

from shared.admin import sessions
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import NotFound
from shared.admin.model import Model, Page, PageQuery, cursor_of, position_of
from shared.admin.reach import check_over, listed_tenant, required
from shared.clock import now_ms
from shared.meta import sessions as stored
from shared.meta.people import PrincipalInfo
from shared.meta.sessions import SessionInfo
from shared.registry import admin

LONGEST_TOKEN_S = 365 * 86400


class SessionShown(Model):
    """A session of the console (``cookie``) or a token of a script (``bearer``). All times are UTC milliseconds."""

    id: str
    user_id: int
    username: str
    kind: str
    name: str = Field(description="What its owner called the token.")
    created_ms: int
    seen_ms: int = Field(description="When it was used last, to about a minute.")
    expires_ms: int
    address: str = Field(description="Where it was begun from.")
    agent: str = Field(description="What the client called itself.")
    current: bool = Field(description="Whether this request came with it.")


class SessionQuery(PageQuery):
    """Which sessions."""

    user: int | None = Field(default=None, ge=1, description="Only those of the user with this id.")


class NewToken(Model):
    """A token for a script."""

    name: str = Field(min_length=1, max_length=100)
    expires_in_s: int = Field(default=30 * 86400, ge=60, le=LONGEST_TOKEN_S, description="Seconds until it ends.")


class TokenMade(Model):
    """A new token. It is shown now and never again."""

    id: str
    token: str
    name: str
    expires_ms: int


class Revoked(Model):
    """How many sessions and tokens ended."""

    revoked: int


# ---- one's own ------------------------------------------------------------------------------------------------------------------


@admin("GET /api/v1/auth/sessions", allow=SIGNED_IN, query=PageQuery, gives=Page[SessionShown])
def list_own_sessions(ctx: AdminContext) -> Page[SessionShown]:
    """List the caller's sessions and tokens."""
    return _page(ctx, principal_id=ctx.user.id)


@admin("DELETE /api/v1/auth/sessions/{session}", allow=SIGNED_IN, event="session_revoked")
def revoke_own_session(ctx: AdminContext) -> None:
    """End one of the caller's sessions or tokens. Raises NotFound."""
    if stored.revoke(ctx.user.id, ctx.args["session"]) is None:
        raise NotFound()


@admin("DELETE /api/v1/auth/sessions", allow=SIGNED_IN, gives=Revoked, event="session_revoked")
def revoke_other_sessions(ctx: AdminContext) -> Revoked:
    """End all of the caller's sessions and tokens but the one that asks."""
    ctx.about("user", ctx.user.id, ctx.user.name, ctx.user.tenant_id)
    return Revoked(revoked=stored.revoke_all(ctx.user.id, but=_own_id(ctx)))


@admin("POST /api/v1/auth/tokens", allow=SIGNED_IN, takes=NewToken, gives=TokenMade, status=201, event="token_created")
def create_token(ctx: AdminContext) -> TokenMade:
    """Make a bearer token, which does what the caller may do: ``Authorization: Bearer …``. A token cannot make others.

    Raises Conflict for too many, CookieSessionRequired.
    """
    sessions.by_cookie(ctx)
    token, moment_ms = sessions.BEARER_PREFIX + stored.new_token(), now_ms()
    made = stored.create(
        token, None, ctx.user.id, stored.BEARER, name=ctx.body.name, now_ms=moment_ms,
        expires_ms=moment_ms + ctx.body.expires_in_s * 1000, address=ctx.address, agent=ctx.agent,
    )
    ctx.about("token", made.public_id, made.name, ctx.user.tenant_id)
    return TokenMade(id=made.public_id, token=token, name=made.name, expires_ms=made.expires_ms)


# ---- of others ------------------------------------------------------------------------------------------------------------------


@admin("GET /api/v1/sessions", allow="admin:ListSessions", query=SessionQuery, gives=Page[SessionShown], inside=True)
def list_sessions(ctx: AdminContext) -> Page[SessionShown]:
    """List the sessions and tokens of the people one may see: a tenant's administrators see those of their tenant. Raises NotFound."""
    if ctx.query.user is not None:
        return _page(ctx, principal_id=_somebody(ctx, "admin:ListSessions", ctx.query.user).id)
    return _page(ctx, tenant_id=listed_tenant(ctx, "admin:ListSessions", "user", None))


@admin("DELETE /api/v1/sessions/{session}", allow="admin:RevokeSession", event="session_revoked", inside=True)
def revoke_session(ctx: AdminContext) -> None:
    """End a session or token of somebody. Raises NotFound, AccessDenied."""
    found = stored.find(ctx.args["session"])
    owner = _somebody(ctx, "admin:RevokeSession", found.principal_id if found else None)
    ctx.about("session", ctx.args["session"], owner.name, owner.tenant_id)
    check_over(ctx.user, owner)
    if stored.revoke(owner.id, ctx.args["session"]) is None:
        raise NotFound()


@admin("DELETE /api/v1/users/{user}/sessions", allow="admin:RevokeSession", gives=Revoked, event="session_revoked", inside=True)
def revoke_sessions_of_user(ctx: AdminContext) -> Revoked:
    """End all sessions and tokens of somebody. Raises NotFound, AccessDenied."""
    user = _somebody(ctx, "admin:RevokeSession", ctx.id("user"))
    ctx.about("user", user.id, user.name, user.tenant_id)
    check_over(ctx.user, user)
    return Revoked(revoked=stored.revoke_all(user.id, but=_own_id(ctx)))


def _somebody(ctx: AdminContext, action: str, user_id: int | None) -> PrincipalInfo:
    """Whom the caller may do this to. Raises NotFound also for people of other tenants, AccessDenied."""
    return required(ctx, action, f"user/{user_id}" if user_id is not None else "user/*", ctx.known.principal(user_id or 0))


def _own_id(ctx: AdminContext) -> bytes | None:
    return ctx.session.info.id if isinstance(ctx.session, sessions.SignedIn) else None


def _page(ctx: AdminContext, *, principal_id: int | None = None, tenant_id: int | None = None) -> Page[SessionShown]:
    position = position_of(ctx.query.cursor, str)
    rows = stored.page(
        now_ms(), str(position[0]) if position else "", ctx.query.limit + 1, principal_id=principal_id, tenant_id=tenant_id,
    )
    more, rows = len(rows) > ctx.query.limit, rows[: ctx.query.limit]
    return Page(items=[_shown(ctx, row) for row in rows], next_cursor=cursor_of(rows[-1].public_id) if more else None)


def _shown(ctx: AdminContext, session: SessionInfo) -> SessionShown:
    owner = ctx.known.principal(session.principal_id)
    return SessionShown(
        user_id=session.principal_id, username=owner.name if owner else "", id=session.public_id, current=session.id == _own_id(ctx),
        **{name: getattr(session, name) for name in ("kind", "name", "created_ms", "seen_ms", "expires_ms", "address", "agent")},
    )
