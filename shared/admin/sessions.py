"""Who sends a request of the admin API: a session cookie with its CSRF token, or a bearer token.

The cookie is HttpOnly, SameSite=Strict, and under https ``__Host-`` keeps sub-domains from planting one. A request that changes something
by a cookie proves with X-CSRF-Token that its sender can read our replies; bearer tokens are never sent by a browser on its own.
"""

from __future__ import annotations

import hmac
import threading
import time
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

from shared import dynamic
from shared.admin.context import AdminContext
from shared.admin.errors import S3Error, TooManyRequests
from shared.auth.policy.patterns import OURS
from shared.clock import now_ms
from shared.meta import sessions
from shared.meta.people import PrincipalInfo
from shared.meta.sessions import BEARER, COOKIE, SessionInfo

COOKIE_NAME = "maxiofs_session"
BEARER_PREFIX = "maxiofs_"
HARMLESS = ("GET", "HEAD", "OPTIONS")

# What a session may do that has yet to change its password, or to set up the second factor that administrators need.
BASICS = frozenset({"admin.me", "admin.log_out"})
TO_CHANGE_PASSWORD = BASICS | {"admin.change_password"}
TO_SET_UP_FACTOR = BASICS | {"admin.factor_status", "admin.set_up_factor", "admin.enable_factor", "admin.change_password"}

# Who may do one of these to anybody or anything is an administrator: they need a second factor when security.require_2fa_admin is on.
ADMINISTRATION = (
    "admin:CreateUser", "admin:UpdateUser", "admin:DeleteUser", "admin:ResetTwoFactor", "admin:RevokeSession", "admin:CreateAccessKey",
    "admin:UpdateAccessKey", "admin:DeleteAccessKey", "admin:AttachPolicy", "admin:DetachPolicy", "admin:UpdatePolicy",
    "admin:AddGroupMember", "admin:RemoveGroupMember", "admin:DeleteGroup", "admin:PutBucketOwner", "admin:CreateTenant",
    "admin:UpdateTenant", "admin:DeleteTenant", "admin:UpdateSettings",
)


class CsrfTokenRequired(S3Error):
    status, message = 403, "The header X-CSRF-Token is missing or is not the one of this session."


class ForeignOrigin(S3Error):
    status, message = 403, "The request comes from a page of another site."


class PasswordChangeRequired(S3Error):
    status, message = 403, "The password must be changed first."


class TwoFactorRequired(S3Error):
    status, message = 403, "Administrators need two-factor authentication here. Set it up first."


class SignedIn(NamedTuple):
    """The session of a request. ``csrf_token`` is "" for bearer tokens. ``has_factor``: its owner has a second one."""

    info: SessionInfo
    csrf_token: str
    must_change_password: bool
    must_set_up_factor: bool
    has_factor: bool

    @property
    def kind(self) -> str:
        """``cookie`` or ``bearer``."""
        return self.info.kind


def identify(ctx: AdminContext) -> tuple[PrincipalInfo, SignedIn] | None:
    """The caller and their session; None for nobody. ``ctx.request``, ``ctx.known``, ``ctx.function`` and ``ctx.address`` are there.

    Raises CsrfTokenRequired, ForeignOrigin, PasswordChangeRequired, TwoFactorRequired, TooManyRequests.
    """
    found = _presented(ctx)
    if found is None:
        return None
    presented, token = found
    caller = ctx.known.principal(presented.session.principal_id)
    if caller is None or not presented.is_usable:
        return None
    session = presented.session
    if session.kind == COOKIE and ctx.request.method not in HARMLESS:
        refuse_foreign_origin(ctx)
        given = ctx.request.header("x-csrf-token") or ""
        if session.csrf is None or not hmac.compare_digest(sessions.digest(given), session.csrf):
            raise CsrfTokenRequired()
    _count(ctx, caller.id)
    must_set_up = not presented.has_factor and factor_is_required(ctx, caller)
    if presented.must_change and ctx.function.id not in TO_CHANGE_PASSWORD:
        raise PasswordChangeRequired()
    if must_set_up and ctx.function.id not in TO_SET_UP_FACTOR:
        raise TwoFactorRequired()
    sessions.touch(session, now_ms(), _idle_ms(ctx))
    csrf_token = csrf_token_of(token) if session.kind == COOKIE else ""
    return caller, SignedIn(session, csrf_token, presented.must_change, must_set_up, presented.has_factor)


def current(ctx: AdminContext) -> SignedIn:
    """The session of a function that is not for anyone. Raises CookieSessionRequired where there is none (``maxiofs invoke``)."""
    if not isinstance(ctx.session, SignedIn):
        raise CookieSessionRequired()
    return ctx.session


class CookieSessionRequired(S3Error):
    status, message = 403, "This needs a session of the console: tokens cannot do it."


def by_cookie(ctx: AdminContext) -> SignedIn:
    """The session, when it is a cookie's: what a person signs in with is not for scripts to change. Raises CookieSessionRequired."""
    session = current(ctx)
    if session.kind != COOKIE:
        raise CookieSessionRequired()
    return session


def begin(ctx: AdminContext, principal_id: int, moment_ms: int) -> tuple[SessionInfo, str]:
    """Begin a session with a token that nobody has seen, set its cookie, and return it with its CSRF token.

    The session that the request came with, if any, ends: signing in never continues one. In the caller's transaction.
    """
    if (old := cookie_of(ctx)) is not None:
        sessions.end(sessions.digest(old))
    token = sessions.new_token()
    csrf_token = csrf_token_of(token)
    longest_ms = int(_setting(ctx, "security.session_timeout")) * 1000
    made = sessions.create(token, csrf_token, principal_id, COOKIE, now_ms=moment_ms, expires_ms=moment_ms + longest_ms,
                           address=ctx.address, agent=ctx.agent)
    set_cookie(ctx, token)
    return made, csrf_token


def set_cookie(ctx: AdminContext, token: str) -> None:
    """Give the browser the session cookie; an empty token takes it away. It ends with the browser, or when the server says so."""
    secure = is_secure(ctx)
    parts = [f"{_cookie_name(secure)}={token}", "Path=/", "HttpOnly", "SameSite=Strict"]
    parts += ["Secure"] * secure + ["Max-Age=0"] * (not token)
    ctx.reply_headers[:] = [(name, value) for name, value in ctx.reply_headers if name != "Set-Cookie"]
    ctx.reply_headers.append(("Set-Cookie", "; ".join(parts)))


def is_secure(ctx: AdminContext) -> bool:
    """Whether browsers reach the console by https: as a trusted proxy says, or its public URL."""
    return ctx.services.proxies.scheme(ctx.request) == "https" or ctx.services.settings.console_public_url.startswith("https://")


def csrf_token_of(token: str) -> str:
    """The CSRF token of a session: whoever holds the cookie's token can make it, nobody else."""
    return urlsafe_b64encode(hmac.digest(token.encode(), b"csrf", "sha256")).decode().rstrip("=")


def refuse_foreign_origin(ctx: AdminContext) -> None:
    """Refuse what a browser says a page of another origin sent. Raises ForeignOrigin."""
    if (ctx.request.header("sec-fetch-site") or "none") not in ("same-origin", "none"):
        raise ForeignOrigin()


def factor_is_required(ctx: AdminContext, caller: PrincipalInfo) -> bool:
    """Whether somebody needs a second factor: an administrator, while security.require_2fa_admin is on."""
    return bool(_setting(ctx, "security.require_2fa_admin")) and _is_administrator(ctx, caller)


def _is_administrator(ctx: AdminContext, caller: PrincipalInfo) -> bool:
    """Whether somebody has power over other people or over settings, be it over one of them only."""
    documents = ctx.known.documents(caller.id)
    return caller.is_root or any(documents.could_allow(action, OURS) for action in ADMINISTRATION)


def cookie_of(ctx: AdminContext) -> str | None:
    """The session cookie's token. Of two cookies of its name one was planted, so neither counts."""
    name = _cookie_name(is_secure(ctx))
    found = set()
    for header, value in ctx.request.headers:
        if header.lower() == "cookie":
            pairs = (part.strip().partition("=") for part in value.split(";"))
            found |= {content for key, _, content in pairs if key == name}
    return found.pop() if len(found) == 1 else None


def _cookie_name(secure: bool) -> str:
    return "__Host-" + COOKIE_NAME if secure else COOKIE_NAME


def _presented(ctx: AdminContext) -> tuple[sessions.Presented, str] | None:
    """The living session that the request names. A bearer token, when there is one, is all that counts."""
    scheme, _, value = (ctx.request.header("authorization") or "").strip().partition(" ")
    kind, token = (BEARER, value.strip()) if scheme.lower() == "bearer" else (COOKIE, cookie_of(ctx))
    found = sessions.present(token) if token else None
    if found is None or token is None or found.session.kind != kind:
        return None
    longest_ms = int(_setting(ctx, "security.session_timeout")) * 1000
    return (found, token) if sessions.is_alive(found.session, now_ms(), _idle_ms(ctx), longest_ms) else None


def _idle_ms(ctx: AdminContext) -> int:
    return int(_setting(ctx, "security.session_idle_timeout")) * 1000


def _setting(ctx: AdminContext, name: str) -> Any:
    return dynamic.get(name, ctx.known.value)


# ---- requests of one user in a second: counted by each process for itself -------------------------------------------------------------

_counting = threading.Lock()
_second = 0
_counts: dict[int, int] = {}


def _count(ctx: AdminContext, principal_id: int) -> None:
    global _second
    if not _setting(ctx, "security.ratelimit_enabled"):
        return
    with _counting:
        second = int(time.monotonic())
        if second != _second:
            _second = second
            _counts.clear()
        _counts[principal_id] = count = _counts.get(principal_id, 0) + 1
    if count > int(_setting(ctx, "security.ratelimit_api_per_second")):
        error = TooManyRequests()
        error.headers["Retry-After"] = "1"
        raise error
