"""Signing in: the steps from a name and a password to a session.

An attempt counts as a failure before its password is looked at, and success takes that back: no burst of attempts outruns the limits.
Unknown names, disabled users and wrong passwords are answered alike, after the same work; also the lock after too many failures does not
tell which names there are.
"""

from __future__ import annotations

import hmac
import time
import unicodedata
from ipaddress import IPv6Address, ip_address

from shared import dynamic
from shared.admin.context import AdminContext
from shared.admin.errors import S3Error, TooManyRequests
from shared.auth import passwords, totp
from shared.clock import now_ms
from shared.meta import database, factors, logins, people, rates, sessions
from shared.meta.lockout import Limits
from shared.meta.logins import Account, Attempt, LoginInfo
from shared.meta.people import PrincipalInfo

PRUNE_S = 600       # how often a process clears away what is over

_pruned_s = float("-inf")


class WrongCredentials(S3Error):
    """One answer for an unknown name, a disabled user, a suspended tenant and a wrong password."""

    status, message = 401, "The user name or the password is wrong."


class WrongCode(S3Error):
    status, message = 401, "The code is wrong, or was used before."


class ChallengeExpired(S3Error):
    status, message = 401, "Too much time has passed, or too many codes were wrong. Begin again with the password."


class AccountLocked(S3Error):
    """``locked_until_ms`` among the fields is UTC milliseconds. It tells nothing of whether there is such an account."""

    status, message = 403, "Too many attempts failed. The account is locked for a while."


def limits(ctx: AdminContext) -> Limits:
    """When failures in a row lock an account."""
    at = ctx.known.value
    duration_s = int(dynamic.get("security.lockout_duration", at))
    return Limits(int(dynamic.get("security.max_failed_attempts", at)), duration_s * 1000)


def attempt_password(ctx: AdminContext, name: str, password: str) -> tuple[PrincipalInfo, LoginInfo, int]:
    """Check name and password; returns who it is, how they sign in, and when the attempt was counted.

    The attempt still counts as a failure: ``logins.take_back`` or ``logins.succeeded`` is for who goes on.
    Raises WrongCredentials, AccountLocked, TooManyRequests, ServiceUnavailable.
    """
    moment_ms = now_ms()
    name = unicodedata.normalize("NFC", name)       # as names are kept
    prune(moment_ms)
    root_secret, account = _account(ctx, name)
    caller = ctx.known.principal(account.principal_id) if account else None
    if caller is not None:
        ctx.about("user", caller.id, caller.name, caller.tenant_id)
    login = logins.find(account.principal_id if account else 0)
    _admit(ctx, logins.count_attempt(
        account.principal_id if account else None, name, network_of(ctx.address), moment_ms, limits=limits(ctx), per_minute=per_minute(ctx)
    ))
    right = _is_right(login, root_secret, password)
    if not right or account is None or caller is None or not account.is_usable:
        raise WrongCredentials()
    if login.password_hash and root_secret is None and passwords.is_outdated(login.password_hash):
        logins.renew_hash(account.principal_id, login.password_hash, renewed := passwords.hashed(password))
        login = login._replace(password_hash=renewed)
    return caller, login, moment_ms


def confirm_password(ctx: AdminContext, password: str) -> LoginInfo:
    """Make sure that the caller knows their password (root: or its secret key) before something grave; counted as an attempt to sign in.

    Raises WrongCredentials, AccountLocked, TooManyRequests.
    """
    caller, moment_ms = ctx.user, now_ms()
    login = logins.find(caller.id)
    address = network_of(ctx.address)
    _admit(ctx, logins.count_attempt(caller.id, caller.name, address, moment_ms, limits=limits(ctx), per_minute=per_minute(ctx)))
    right = passwords.matches(login.password_hash, password)
    if not right and not (caller.is_root and _is_root_secret(ctx, caller, password)):
        raise WrongCredentials("The password is wrong.")
    logins.succeeded(caller.id, address, moment_ms)
    return login


def attempt_code(ctx: AdminContext, principal_id: int, text: str) -> str:
    """Use up a code of the second factor, or a backup code; returns which it was: ``totp`` or ``backup``.

    A wrong one counts as a failed attempt to sign in. Raises WrongCode, AccountLocked.
    """
    moment_ms = now_ms()
    _admit(ctx, logins.count_code(principal_id, moment_ms, limits(ctx)))
    login = logins.find(principal_id)
    if login.totp_sealed is None or not login.has_factor:
        raise WrongCode()
    step = totp.step_of(open_secret(ctx, principal_id, login.totp_sealed), text.replace(" ", ""), moment_ms)
    if step is not None:
        if not factors.use_step(principal_id, step):
            raise WrongCode()
        return "totp"
    code = totp.backup_code(text)
    if code is None:
        raise WrongCode()
    used = passwords.found_among(list(login.backup_hashes), code)
    if used is None or not factors.use_backup_hash(principal_id, used):
        raise WrongCode()
    return "backup"


def seal_secret(ctx: AdminContext, principal_id: int, secret: str) -> bytes:
    """The secret of a second factor as it is stored."""
    return ctx.services.master_key.seal(secret.encode(), _context(principal_id))


def open_secret(ctx: AdminContext, principal_id: int, sealed: bytes) -> str:
    """What ``seal_secret`` sealed for this principal. Raises SealBroken."""
    return ctx.services.master_key.open(sealed, _context(principal_id)).decode()


def rules(ctx: AdminContext) -> passwords.Rules:
    """What the settings ask of a new password."""
    at = ctx.known.value
    return passwords.Rules(
        int(dynamic.get("security.password_min_length", at)), bool(dynamic.get("security.password_require_uppercase", at)),
        bool(dynamic.get("security.password_require_numbers", at)), bool(dynamic.get("security.password_require_special", at)),
    )


def network_of(address: str) -> str:
    """What counts as one address: a customer has a whole IPv6 /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64" if isinstance(parsed, IPv6Address) else str(parsed)


def per_minute(ctx: AdminContext) -> int:
    """How many attempts an address, and an account, has in a minute; 0: they are not counted."""
    at = ctx.known.value
    return int(dynamic.get("security.ratelimit_login_per_minute", at)) if dynamic.get("security.ratelimit_enabled", at) else 0


def prune(moment_ms: int) -> None:
    """Clear away what is over, now and then."""
    global _pruned_s
    if time.monotonic() - _pruned_s > PRUNE_S:
        _pruned_s = time.monotonic()
        with database.transaction():
            rates.prune(moment_ms)
            sessions.prune(moment_ms)


def _account(ctx: AdminContext, name: str) -> tuple[str | None, Account | None]:
    """Whom a name means, and root's secret where it is an access key of root's. No other access key opens the console."""
    account = logins.account(name)
    key = ctx.known.credential(name)
    if account is None and key is not None and key.principal.is_root and not ctx.known.key_documents(name):
        return key.secret, Account(key.principal.id, True)
    return None, account


def _is_right(login: LoginInfo, root_secret: str | None, password: str) -> bool:
    right = passwords.matches(login.password_hash if root_secret is None else None, password)
    if root_secret is None:
        return right
    return hmac.compare_digest(root_secret.encode(), password.encode("utf-8", "surrogatepass"))


def _is_root_secret(ctx: AdminContext, caller: PrincipalInfo, password: str) -> bool:
    key = people.key_of(caller.id)
    found = ctx.known.credential(key.id) if key else None
    return found is not None and hmac.compare_digest(found.secret.encode(), password.encode("utf-8", "surrogatepass"))


def _admit(ctx: AdminContext, attempt: Attempt) -> None:
    """Raises TooManyRequests, AccountLocked."""
    if attempt.wait_ms:
        error = TooManyRequests()
        error.headers["Retry-After"] = str(-(-attempt.wait_ms // 1000))
        raise error
    if attempt.locked_until_ms:
        raise AccountLocked(locked_until_ms=attempt.locked_until_ms)
    if attempt.locks:
        ctx.details["locks"] = True


def _context(principal_id: int) -> bytes:
    return f"totp:{principal_id}".encode()
