"""Two-factor authentication of one's own: setting it up, confirming it, backup codes, switching it off."""

from __future__ import annotations

import io
from importlib import import_module

from pydantic import Field

from shared.admin import sessions, signing_in
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import Conflict, InvalidFields
from shared.admin.model import Model
from shared.auth import passwords, totp
from shared.clock import now_ms
from shared.meta import factors, logins
from shared.registry import admin


class FactorStatus(Model):
    """How two-factor authentication stands for the caller."""

    enabled: bool
    since_ms: int | None = Field(description="UTC milliseconds.")
    backup_codes_left: int
    required: bool = Field(description="Whether the installation asks the caller for it (security.require_2fa_admin).")


class Password(Model):
    """The caller's password once more."""

    password: str = Field(min_length=1, max_length=1024)


class FactorOffer(Model):
    """What the authenticator app needs. Nothing is switched on before a code confirms it."""

    secret: str
    uri: str
    qr_svg: str = Field(description="The URI as a QR code; empty where the server cannot draw one.")


class AppCode(Model):
    """A code of the authenticator app."""

    code: str = Field(min_length=1, max_length=64)


class PasswordAndCode(Model):
    """The caller's password, and a code of the app or a backup code."""

    password: str = Field(min_length=1, max_length=1024)
    code: str = Field(min_length=1, max_length=64)


class BackupCodes(Model):
    """Ten codes, each for one sign-in without the app. They are shown now and never again."""

    backup_codes: list[str]


@admin("GET /api/v1/auth/2fa", allow=SIGNED_IN, gives=FactorStatus)
def factor_status(ctx: AdminContext) -> FactorStatus:
    """Return how two-factor authentication stands for the caller."""
    login = logins.find(ctx.user.id)
    return FactorStatus(
        enabled=login.has_factor, since_ms=login.totp_since_ms, backup_codes_left=len(login.backup_hashes),
        required=sessions.factor_is_required(ctx, ctx.user),
    )


@admin("POST /api/v1/auth/2fa/setup", allow=SIGNED_IN, takes=Password, gives=FactorOffer, lane="slow")
def set_up_factor(ctx: AdminContext) -> FactorOffer:
    """Offer a new secret for an authenticator app. An earlier offer that was not confirmed is forgotten.

    Raises Conflict when two-factor authentication is on, WrongCredentials, CookieSessionRequired.
    """
    sessions.by_cookie(ctx)
    signing_in.confirm_password(ctx, ctx.body.password)
    secret = totp.new_secret()
    factors.offer(ctx.user.id, signing_in.seal_secret(ctx, ctx.user.id, secret))
    uri = totp.uri(secret, ctx.user.name)
    return FactorOffer(secret=secret, uri=uri, qr_svg=_drawn(uri))


@admin("POST /api/v1/auth/2fa/enable", allow=SIGNED_IN, takes=AppCode, gives=BackupCodes, event="2fa_enabled", lane="slow")
def enable_factor(ctx: AdminContext) -> BackupCodes:
    """Switch two-factor authentication on with a code of the offered secret. The caller's other sessions end.

    Raises Conflict without an offer, InvalidFields for a wrong code, CookieSessionRequired.
    """
    session = sessions.by_cookie(ctx)
    caller = ctx.user
    ctx.about("user", caller.id, caller.name, caller.tenant_id)
    login = logins.find(caller.id)
    if login.has_factor or login.totp_sealed is None:
        raise Conflict("Two-factor authentication is on already." if login.has_factor else "Set it up first.")
    step = totp.step_of(signing_in.open_secret(ctx, caller.id, login.totp_sealed), ctx.body.code.replace(" ", ""), now_ms())
    if step is None:
        raise InvalidFields(fields={"code": "It is wrong. Is the clock of the device right?"})
    codes = totp.new_backup_codes()
    hashes = passwords.hashed_alike(codes)
    factors.confirm(caller.id, login.totp_sealed, step, hashes, keep=session.info.id, now_ms=now_ms())
    return BackupCodes(backup_codes=codes)


@admin("POST /api/v1/auth/2fa/disable", allow=SIGNED_IN, takes=PasswordAndCode, event="2fa_disabled", lane="slow")
def disable_factor(ctx: AdminContext) -> None:
    """Switch one's own two-factor authentication off. Raises WrongCredentials, WrongCode, Conflict when it is off."""
    _prove_both(ctx)
    factors.clear(ctx.user.id)


@admin("POST /api/v1/auth/2fa/backup-codes", allow=SIGNED_IN, takes=PasswordAndCode, gives=BackupCodes, event="2fa_backup_codes_created",
       lane="slow")
def renew_backup_codes(ctx: AdminContext) -> BackupCodes:
    """Make ten new backup codes; the old ones are void. Raises WrongCredentials, WrongCode, Conflict without two-factor authentication."""
    _prove_both(ctx)
    codes = totp.new_backup_codes()
    factors.set_backup_hashes(ctx.user.id, passwords.hashed_alike(codes))
    return BackupCodes(backup_codes=codes)


def _prove_both(ctx: AdminContext) -> None:
    """Password and code, as for signing in. Raises WrongCredentials, WrongCode, Conflict, CookieSessionRequired."""
    sessions.by_cookie(ctx)
    ctx.about("user", ctx.user.id, ctx.user.name, ctx.user.tenant_id)
    if not signing_in.confirm_password(ctx, ctx.body.password).has_factor:
        raise Conflict("Two-factor authentication is off.")
    ctx.details["code"] = signing_in.attempt_code(ctx, ctx.user.id, ctx.body.code)
    logins.forget_failures(ctx.user.id)


def _drawn(uri: str) -> str:
    """The text as an SVG picture of a QR code; empty where the library for it is not installed."""
    try:
        segno = import_module("segno")
    except ModuleNotFoundError:
        return ""
    picture = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(picture, kind="svg", border=4, scale=4, xmldecl=False)
    return picture.getvalue().decode()
