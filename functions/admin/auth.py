"""Signing in to the console and out again; who one is; one's own password."""

from __future__ import annotations

from pydantic import Field

from shared import audit
from shared.admin import passwords, sessions, signing_in
from shared.admin.context import ANYONE, SIGNED_IN, AdminContext
from shared.admin.model import Model
from shared.clock import now_ms
from shared.meta import database, logins
from shared.meta import sessions as stored
from shared.meta.people import PrincipalInfo
from shared.registry import admin


class Credentials(Model):
    """A name and a password; root's access key and secret key do as well."""

    username: str = Field(min_length=1, max_length=256)
    password: str = Field(min_length=1, max_length=1024)


class Me(Model):
    """Who is signed in, and what they have to do before anything else."""

    id: int
    username: str
    display_name: str
    email: str | None
    tenant_id: int = Field(description="0 for who belongs to no tenant.")
    is_root: bool
    two_factor_enabled: bool
    must_change_password: bool = Field(description="All else is refused until the password is changed.")
    must_set_up_2fa: bool = Field(description="All else is refused until two-factor authentication is on.")
    session_id: str | None = Field(default=None, description="The session of this request.")
    session_expires_ms: int | None = Field(default=None, description="When it ends at the latest, UTC milliseconds.")
    csrf_token: str | None = Field(default=None, description="For the header X-CSRF-Token of every request that changes something.")


class SignInResult(Model):
    """Either a session has begun (its cookie is in the reply), or a code of the second factor is asked for."""

    requires_2fa: bool = False
    challenge: str | None = Field(default=None, description="To be sent with the code.")
    challenge_expires_ms: int | None = None
    csrf_token: str | None = None
    user: Me | None = None


class Code(Model):
    """A code of the second factor."""

    challenge: str = Field(min_length=1, max_length=256)
    code: str = Field(min_length=1, max_length=64, description="Six digits of the app, or a backup code.")


class PasswordChange(Model):
    """One's own new password."""

    current_password: str = Field(min_length=1, max_length=1024)
    new_password: str = Field(max_length=1024)


@admin("POST /api/v1/auth/login", allow=ANYONE, takes=Credentials, gives=SignInResult, event="login_failed", lane="slow")
def log_in(ctx: AdminContext) -> SignInResult:
    """Sign in with a password. Unknown names, disabled users and wrong passwords get the same answer after the same time.

    Raises WrongCredentials, AccountLocked, TooManyRequests, ForeignOrigin.
    """
    _refuse_foreign_origin(ctx)
    ctx.details["username"] = ctx.body.username
    try:
        caller, login, moment_ms = signing_in.attempt_password(ctx, ctx.body.username, ctx.body.password)
    except signing_in.WrongCredentials:
        _note_lock(ctx)
        raise
    ctx.caller = caller
    if login.has_factor:
        return _ask_for_code(ctx, caller, login)
    return _signed_in(ctx, caller, login.password_hash, moment_ms, None)


@admin("POST /api/v1/auth/2fa/verify", allow=ANYONE, takes=Code, gives=SignInResult, event="2fa_verify_failed", lane="slow")
def verify_factor(ctx: AdminContext) -> SignInResult:
    """Finish signing in with a code. A challenge lasts 5 minutes and 5 codes; each code works once.

    Raises WrongCode, ChallengeExpired, AccountLocked, ForeignOrigin.
    """
    _refuse_foreign_origin(ctx)
    found = stored.try_challenge(ctx.body.challenge, now_ms())
    caller = ctx.known.principal(found[0]) if found else None
    if found is None or caller is None or ctx.known.inactive(caller):
        ctx.event = ""      # nobody has proven anything: that must not fill the audit log
        raise signing_in.ChallengeExpired()
    ctx.about("user", caller.id, caller.name, caller.tenant_id)
    password_hash = logins.find(caller.id).password_hash
    try:
        ctx.details["code"] = signing_in.attempt_code(ctx, caller.id, ctx.body.code)
    except signing_in.WrongCode:
        _note_lock(ctx)
        raise
    ctx.caller = caller
    return _signed_in(ctx, caller, password_hash, found[1], ctx.body.challenge)


@admin("POST /api/v1/auth/logout", allow=SIGNED_IN, event="logout")
def log_out(ctx: AdminContext) -> None:
    """End the session, or the token, that the request came with."""
    stored.end(sessions.current(ctx).info.id)
    ctx.about("user", ctx.user.id, ctx.user.name, ctx.user.tenant_id)
    if sessions.current(ctx).kind == stored.COOKIE:
        sessions.set_cookie(ctx, "")


@admin("GET /api/v1/auth/me", allow=SIGNED_IN, gives=Me)
def me(ctx: AdminContext) -> Me:
    """Return who is signed in, with the CSRF token: a page that was loaded anew needs it."""
    session = ctx.session
    if not isinstance(session, sessions.SignedIn):      # maxiofs invoke
        return _shown(ctx.user, logins.find(ctx.user.id).has_factor)
    return _shown(ctx.user, session.has_factor).model_copy(update={
        "must_change_password": session.must_change_password, "must_set_up_2fa": session.must_set_up_factor,
        "session_id": session.info.public_id, "session_expires_ms": session.info.expires_ms, "csrf_token": session.csrf_token or None,
    })


@admin("POST /api/v1/auth/password", allow=SIGNED_IN, takes=PasswordChange, gives=SignInResult, event="password_changed", lane="slow")
def change_password(ctx: AdminContext) -> SignInResult:
    """Change one's own password. All sessions and tokens end; a new session begins with this reply.

    Raises WrongCredentials, AccountLocked, TooManyRequests, InvalidFields, CookieSessionRequired.
    """
    sessions.by_cookie(ctx)
    caller = ctx.user
    ctx.about("user", caller.id, caller.name, caller.tenant_id)
    login = signing_in.confirm_password(ctx, ctx.body.current_password)
    made = passwords.checked_hash(ctx, ctx.body.new_password, caller.name, caller.id, field="new_password")
    moment_ms = now_ms()
    with database.transaction():
        if not logins.hold(caller.id, login.password_hash):
            raise signing_in.WrongCredentials("The password was changed in the meantime.")
        logins.set_password(caller.id, made, must_change=False, now_ms=moment_ms)
        session, csrf_token = sessions.begin(ctx, caller.id, moment_ms)
    return _result(ctx, caller, session, csrf_token, has_factor=login.has_factor, must_change=False)


# ---- the steps ------------------------------------------------------------------------------------------------------------------


def _refuse_foreign_origin(ctx: AdminContext) -> None:
    """No password is looked at, so no attempt is counted: that must not fill the audit log. Raises ForeignOrigin."""
    try:
        sessions.refuse_foreign_origin(ctx)
    except sessions.ForeignOrigin:
        ctx.event = ""
        raise


def _ask_for_code(ctx: AdminContext, caller: PrincipalInfo, login: logins.LoginInfo) -> SignInResult:
    token, moment_ms = stored.new_token(), now_ms()
    with database.transaction():
        if not logins.hold(caller.id, login.password_hash):
            raise signing_in.WrongCredentials()
        logins.take_back(caller.id, signing_in.limits(ctx))
        stored.challenge(token, caller.id, moment_ms)
    ctx.event = ""      # nobody is signed in yet: the second step will say how it ended
    return SignInResult(requires_2fa=True, challenge=token, challenge_expires_ms=moment_ms + stored.CHALLENGE_MS)


def _signed_in(ctx: AdminContext, caller: PrincipalInfo, password_hash: str | None, then_ms: int, challenge: str | None) -> SignInResult:
    """Begin the session, unless what it was earned with has changed since. ``then_ms`` is when the password step was counted."""
    with database.transaction():
        logins.succeeded(caller.id, signing_in.network_of(ctx.address), then_ms)
        if not logins.hold(caller.id, password_hash) or (challenge is not None and not stored.finish_challenge(challenge)):
            raise signing_in.WrongCredentials()
        login = logins.find(caller.id)
        if login.has_factor and challenge is None:
            raise signing_in.WrongCredentials()     # the second factor was switched on in the meantime
        session, csrf_token = sessions.begin(ctx, caller.id, now_ms())
    ctx.event = "login_success" if challenge is None else "2fa_verify_success"
    return _result(ctx, caller, session, csrf_token, has_factor=login.has_factor, must_change=login.must_change)


def _result(
    ctx: AdminContext, caller: PrincipalInfo, session: stored.SessionInfo, csrf_token: str, *, has_factor: bool, must_change: bool,
) -> SignInResult:
    must_set_up = not has_factor and sessions.factor_is_required(ctx, caller)
    user = _shown(caller, has_factor).model_copy(update={
        "must_change_password": must_change, "must_set_up_2fa": must_set_up, "session_id": session.public_id,
        "session_expires_ms": session.expires_ms, "csrf_token": csrf_token,
    })
    return SignInResult(csrf_token=csrf_token, user=user)


def _shown(caller: PrincipalInfo, has_factor: bool) -> Me:
    return Me(
        id=caller.id, username=caller.name, display_name=caller.display_name, email=caller.email, tenant_id=caller.tenant_id,
        is_root=caller.is_root, two_factor_enabled=has_factor, must_change_password=False, must_set_up_2fa=False,
    )


def _note_lock(ctx: AdminContext) -> None:
    """Say that this failure was one too many."""
    if not ctx.details.pop("locks", False) or ctx.resource is None:
        return
    kind, id, name = ctx.resource
    audit.record(audit.Event(
        event_type="user_blocked", resource_type=kind, resource_id=id, resource_name=name, action="block", tenant_id=ctx.tenant_id or 0,
        address=ctx.address, agent=ctx.agent, request_id=ctx.request_id, details={"reason": "too many failed attempts"},
    ))
