"""How people sign in: password hashes, failures in a row, the second factor. Hashes are made elsewhere, never inside a transaction."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from peewee import JOIN

from shared.meta import rates, sessions
from shared.meta.database import connection, is_sqlite, transaction
from shared.meta.identity_models import TENANT_ACTIVE, Login, RateCount, Tenant
from shared.meta.lockout import Limits, Standing, attempt, taken_back
from shared.meta.models import INSTALLATION, Principal
from shared.meta.statement import P, Statement

MINUTE_MS = 60_000
MOST_OLD_HASHES = 24

_principal_id: Any = Principal._meta.primary_key        # ids that peewee adds unseen by type checkers
_tenant_id: Any = Tenant._meta.primary_key


class LoginInfo(NamedTuple):
    """How a principal signs in. ``totp_since_ms`` None: there is no second factor (perhaps one that is not confirmed yet)."""

    principal_id: int
    password_hash: str | None = None
    old_hashes: tuple[str, ...] = ()
    changed_ms: int | None = None
    must_change: bool = False
    failures: int = 0
    locked_until_ms: int = 0
    totp_sealed: bytes | None = None
    totp_since_ms: int | None = None
    totp_step: int = 0
    backup_hashes: tuple[str, ...] = ()

    @property
    def has_factor(self) -> bool:
        """Whether a second factor is asked for."""
        return self.totp_since_ms is not None

    def is_locked(self, now_ms: int) -> bool:
        """Whether too many failures keep the account closed."""
        return self.locked_until_ms > now_ms


class Account(NamedTuple):
    """Whom a name means. ``is_usable`` is False for the disabled, and for the people of a tenant that is suspended."""

    principal_id: int
    is_usable: bool


_COLUMNS = tuple(getattr(Login, name) for name in LoginInfo._fields)
_account = Statement(lambda: (
    Principal.select(_principal_id, Principal.is_active, Principal.tenant_id, Tenant.status)
    .join(Tenant, JOIN.LEFT_OUTER, on=(_tenant_id == Principal.tenant_id))
    .where(Principal.name == P("name"))
))


def account(name: str) -> Account | None:
    """Find who signs in under this name."""
    if "\0" in name or not name.isprintable():
        return None     # PostgreSQL's text cannot hold NUL, no database halves of characters, and no name has any
    row = _account(connection(), name=name).fetchone()
    return Account(row[0], bool(row[1]) and (row[2] == INSTALLATION or row[3] == TENANT_ACTIVE)) if row else None


def find(principal_id: int) -> LoginInfo:
    """How a principal signs in; the defaults for one who has no password."""
    row = Login.select(*_COLUMNS).where(Login.principal_id == principal_id).tuples().first()
    return _info(row) if row else LoginInfo(principal_id)


def find_many(principal_ids: list[int]) -> dict[int, LoginInfo]:
    """How several principals sign in: for lists of users."""
    rows: Any = Login.select(*_COLUMNS).where(Login.principal_id.in_(principal_ids)).tuples()
    found = {row[0]: _info(row) for row in rows}
    return {one: found.get(one, LoginInfo(one)) for one in principal_ids}


def _info(row: Any) -> LoginInfo:
    one = LoginInfo(*row)
    return one._replace(
        old_hashes=tuple(json.loads(row[2])), must_change=bool(one.must_change), backup_hashes=tuple(json.loads(row[10])),
        totp_sealed=bytes(one.totp_sealed) if one.totp_sealed is not None else None,
    )


# ---- passwords ------------------------------------------------------------------------------------------------------------------


def set_password(principal_id: int, password_hash: str, *, must_change: bool, now_ms: int) -> None:
    """Replace a password and end all sessions, tokens and half-finished sign-ins of its owner; an account that was locked opens."""
    with transaction():
        own_row(principal_id)
        before = find(principal_id)
        old = [before.password_hash, *before.old_hashes] if before.password_hash else [*before.old_hashes]
        Login.update(
            password_hash=password_hash, old_hashes=json.dumps(old[:MOST_OLD_HASHES]), changed_ms=now_ms, must_change=must_change,
            failures=0, failed_ms=0, locked_until_ms=0,
        ).where(Login.principal_id == principal_id).execute()
        sessions.revoke_all(principal_id)


def hold(principal_id: int, password_hash: str | None) -> bool:
    """Whether this is the password still, which then nobody changes until the end of the transaction: a session may begin."""
    with transaction():
        own_row(principal_id)
        return find(principal_id).password_hash == password_hash


def renew_hash(principal_id: int, old_hash: str, new_hash: str) -> None:
    """Store a hash of the same password, made with newer parameters, unless the password has changed since."""
    with transaction():
        Login.update(password_hash=new_hash).where((Login.principal_id == principal_id) & (Login.password_hash == old_hash)).execute()


def remove(principal_id: int) -> None:
    """Forget all that a principal signs in with, inside the transaction that deletes them."""
    with transaction():
        sessions.revoke_all(principal_id)
        Login.delete().where(Login.principal_id == principal_id).execute()


# ---- attempts -------------------------------------------------------------------------------------------------------------------


class Attempt(NamedTuple):
    """What an attempt may do. ``wait_ms`` > 0: not now. ``locked_until_ms`` > 0: the account is closed until then.

    ``locks`` says that it is closed by this attempt, unless it succeeds.
    """

    wait_ms: int = 0
    locked_until_ms: int = 0
    locks: bool = False


def count_attempt(
    principal_id: int | None, name: str, address: str, now_ms: int, *, limits: Limits, per_minute: int,
) -> Attempt:
    """Count an attempt to sign in as a failure before anybody looks at the password, and say whether it may be made.

    Who has no account is counted alike, under a digest of the name, so that nobody learns which names there are. ``per_minute`` bounds
    the attempts of an address, and those on an account; 0: no bound.
    """
    names = _counted(principal_id, name, address) if per_minute else []
    too_many = Attempt(wait_ms=MINUTE_MS - now_ms % MINUTE_MS)
    if any(rates.count(connection(), one, now_ms, MINUTE_MS) >= per_minute for one in names):
        return too_many         # a flood costs a read each, no write
    with transaction() as conn:
        counts = [rates.hit(conn, one, now_ms, MINUTE_MS) for one in names]
        if max(counts, default=0) > per_minute:
            return too_many
        return _strike(principal_id, name, now_ms, limits)


def count_code(principal_id: int, now_ms: int, limits: Limits) -> Attempt:
    """Count an attempt with a code of the second factor, in the same way."""
    with transaction():
        return _strike(principal_id, "", now_ms, limits)


def take_back(principal_id: int, limits: Limits) -> None:
    """The attempt's password was right, and a code is still to come: it was no failure, but those before it still count."""
    with transaction():
        own_row(principal_id)
        _set_standing(principal_id, taken_back(_standing(principal_id), limits))


def succeeded(principal_id: int, address: str, then_ms: int) -> None:
    """Forget the failures in a row, and the count of the attempt that was begun at ``then_ms``. In the transaction of the sign-in."""
    with transaction() as conn:
        for one in _counted(principal_id, "", address):
            rates.give_back(conn, one, then_ms, MINUTE_MS)
        forget_failures(principal_id)


def forget_failures(principal_id: int) -> None:
    """All was proven: the attempts before were no failures in a row."""
    with transaction():
        Login.update(failures=0, failed_ms=0, locked_until_ms=0).where(Login.principal_id == principal_id).execute()


def unlock(principal_id: int) -> None:
    """Open an account that too many failures closed, also to attempts within this minute."""
    with transaction():
        RateCount.delete().where(RateCount.name == f"login account {principal_id}").execute()
        forget_failures(principal_id)


def _counted(principal_id: int | None, name: str, address: str) -> list[str]:
    """The names of the counts: always the address first, so that two attempts never wait for each other crosswise."""
    return [f"login address {address}", f"login account {principal_id}" if principal_id else f"login name {_digest(name)}"]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _strike(principal_id: int | None, name: str, now_ms: int, limits: Limits) -> Attempt:
    if principal_id is None:
        before = _standing_of_nobody(name, limits)
    else:
        own_row(principal_id)
        before = _standing(principal_id)
    after, may = attempt(before, now_ms, limits)
    if principal_id is None:
        RateCount.update(count=after.failures, window=after.failed_ms).where(RateCount.name == f"login failures {_digest(name)}").execute()
    else:
        _set_standing(principal_id, after)
    return Attempt(locked_until_ms=0 if may else after.locked_until_ms, locks=may and after.locked_until_ms > 0)


def _standing_of_nobody(name: str, limits: Limits) -> Standing:
    key = f"login failures {_digest(name)}"
    RateCount.insert(name=key, window=0, count=0).on_conflict_ignore().execute()
    count, failed_ms = _fresh(RateCount.select(RateCount.count, RateCount.window).where(RateCount.name == key))
    is_over = 0 < limits.failures <= count
    return Standing(count, failed_ms, failed_ms + limits.duration_ms if is_over else 0)


def _standing(principal_id: int) -> Standing:
    row = Login.select(Login.failures, Login.failed_ms, Login.locked_until_ms).where(Login.principal_id == principal_id)
    return Standing(*row.tuples().first())


def _set_standing(principal_id: int, standing: Standing) -> None:
    Login.update(**standing._asdict()).where(Login.principal_id == principal_id).execute()


def own_row(principal_id: int) -> None:
    """Make sure that the row is there, and have it alone until the end of the transaction."""
    Login.insert(principal_id=principal_id).on_conflict_ignore().execute()
    _fresh(Login.select(Login.principal_id).where(Login.principal_id == principal_id))


def _fresh(query: Any) -> Any:
    """The row as it is now, locked where rows can be: on SQLite the transaction is alone anyway."""
    return (query if is_sqlite() else query.for_update()).tuples().first()
