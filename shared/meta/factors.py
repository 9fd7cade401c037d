"""The second factor of a sign-in: a secret that is offered, then confirmed; time steps and backup codes that work once."""

from __future__ import annotations

import json

from shared.errors import Conflict
from shared.meta import logins, sessions
from shared.meta.database import transaction
from shared.meta.identity_models import Login


def offer(principal_id: int, sealed: bytes) -> None:
    """Keep a secret that its owner has yet to confirm. Raises Conflict when there is a confirmed one."""
    with transaction():
        logins.own_row(principal_id)
        fresh = Login.update(totp_sealed=sealed).where((Login.principal_id == principal_id) & Login.totp_since_ms.is_null())
        if not fresh.execute():
            raise Conflict("Two-factor authentication is on. Switch it off first.")


def confirm(principal_id: int, sealed: bytes, step: int, backup_hashes: list[str], *, keep: bytes, now_ms: int) -> None:
    """Switch the offered factor on, and end all sessions but ``keep`` (an id), which were begun without it.

    Raises Conflict when the secret is no longer the offered one.
    """
    with transaction():
        logins.own_row(principal_id)
        changed = Login.update(totp_since_ms=now_ms, totp_step=step, backup_hashes=json.dumps(backup_hashes)).where(
            (Login.principal_id == principal_id) & (Login.totp_sealed == sealed) & Login.totp_since_ms.is_null()
        )
        if not changed.execute():
            raise Conflict("Another secret was set up in the meantime. Begin again.")
        sessions.revoke_all(principal_id, but=keep, kind=sessions.COOKIE)


def clear(principal_id: int) -> bool:
    """Switch the second factor off; False when it was off."""
    with transaction():
        was_on: bool = Login.select().where((Login.principal_id == principal_id) & Login.totp_since_ms.is_null(False)).exists()
        Login.update(totp_sealed=None, totp_since_ms=None, totp_step=0, backup_hashes="[]").where(
            Login.principal_id == principal_id
        ).execute()
        return was_on


def set_backup_hashes(principal_id: int, hashes: list[str]) -> None:
    """Replace all backup codes."""
    with transaction():
        Login.update(backup_hashes=json.dumps(hashes)).where(Login.principal_id == principal_id).execute()


def use_step(principal_id: int, step: int) -> bool:
    """Use up a time step of the second factor; False when it, or a later one, was used before. One statement: who is second loses."""
    with transaction():
        used = Login.update(totp_step=step).where(
            (Login.principal_id == principal_id) & (Login.totp_step < step) & Login.totp_since_ms.is_null(False)
        )
        return bool(used.execute())


def use_backup_hash(principal_id: int, used: str) -> bool:
    """Use up a backup code; False when somebody was faster."""
    with transaction():
        logins.own_row(principal_id)
        hashes = logins.find(principal_id).backup_hashes
        if used not in hashes:
            return False
        set_backup_hashes(principal_id, [one for one in hashes if one != used])
        return True
