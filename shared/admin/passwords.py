"""Choosing a password: what the settings ask of it, what it may not repeat, and what changes with it."""

from __future__ import annotations

from shared import dynamic
from shared.admin.context import AdminContext
from shared.admin.errors import InvalidFields
from shared.admin.signing_in import rules
from shared.auth import passwords
from shared.clock import now_ms
from shared.meta import logins


def checked_hash(ctx: AdminContext, password: str, name: str, principal_id: int | None = None, *, field: str = "password") -> str:
    """The hash of a new password for somebody called ``name``. Outside any transaction: it takes a moment.

    With an id, the last passwords of that user (security.password_history, the one in force among them) are refused.
    Raises InvalidFields naming ``field``, ServiceUnavailable.
    """
    try:
        passwords.check_policy(password, rules(ctx), name)
    except passwords.UnfitPassword as error:
        raise InvalidFields(fields={field: "; ".join(error.problems)}) from None
    if principal_id is not None:
        login = logins.find(principal_id)
        past = [login.password_hash, *login.old_hashes] if login.password_hash else [*login.old_hashes]
        if any(passwords.matches(one, password) for one in past[: int(dynamic.get("security.password_history", ctx.known.value))]):
            raise InvalidFields(fields={field: "must not be one of the last passwords"})
    return passwords.hashed(password)


def choose(ctx: AdminContext, principal_id: int, name: str, password: str, *, must_change: bool, field: str = "password") -> None:
    """Give somebody a new password and end all their sessions and tokens. ``must_change``: all they can do with it is to choose another.

    Raises InvalidFields, ServiceUnavailable.
    """
    made = checked_hash(ctx, password, name, principal_id, field=field)
    logins.set_password(principal_id, made, must_change=must_change, now_ms=now_ms())
