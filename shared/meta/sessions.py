"""Sessions of the console, bearer tokens of scripts, and sign-ins that wait for a code. Only digests of what clients hold are kept."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, NamedTuple

from peewee import JOIN

from shared.errors import Conflict
from shared.meta.database import connection, transaction
from shared.meta.identity_models import TENANT_ACTIVE, Challenge, Login, Session, Tenant
from shared.meta.models import INSTALLATION, Principal
from shared.meta.statement import P, Statement

COOKIE, BEARER = "cookie", "bearer"
MOST_SESSIONS = 100             # of one principal and kind: the oldest make room
CHALLENGE_MS = 300_000          # between the password and the code
CHALLENGE_ATTEMPTS = 5          # with one challenge
TOUCH_MOST_MS = 60_000

_principal_id: Any = Principal._meta.primary_key
_tenant_id: Any = Tenant._meta.primary_key


class SessionInfo(NamedTuple):
    """A session or token. ``id`` is the digest of what the client holds, ``public_id`` what it is called in lists."""

    id: bytes
    public_id: str
    principal_id: int
    kind: str
    name: str
    csrf: bytes | None
    created_ms: int
    seen_ms: int
    expires_ms: int
    address: str
    agent: str


class Presented(NamedTuple):
    """A session that somebody presents, and what its owner may do with it now. ``is_usable``: neither disabled nor suspended."""

    session: SessionInfo
    is_usable: bool
    must_change: bool
    has_factor: bool


_COLUMNS = tuple(getattr(Session, name) for name in SessionInfo._fields)
_find = Statement(lambda: (
    Session.select(*_COLUMNS, Principal.is_active, Principal.tenant_id, Tenant.status, Login.must_change, Login.totp_since_ms)
    .join(Principal, on=(_principal_id == Session.principal_id))
    .join(Tenant, JOIN.LEFT_OUTER, on=(_tenant_id == Principal.tenant_id))
    .join(Login, JOIN.LEFT_OUTER, on=(Login.principal_id == Session.principal_id))
    .where(Session.id == P("id"))
))
_try = Statement(lambda: Challenge.update(attempts=Challenge.attempts + 1).where(
    (Challenge.id == P("id")) & (Challenge.attempts < CHALLENGE_ATTEMPTS)
    & (Challenge.expires_ms > P("now")) & (Challenge.expires_ms <= P("latest"))
).returning(Challenge.principal_id, Challenge.expires_ms))


def digest(token: str) -> bytes:
    """What is kept of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_token() -> str:
    """Something for a client to hold: 256 random bits."""
    return secrets.token_urlsafe(32)


# ---- sessions ---------------------------------------------------------------------------------------------------------------------


def create(token: str, csrf: str | None, principal_id: int, kind: str, *, expires_ms: int, now_ms: int,
           name: str = "", address: str = "", agent: str = "") -> SessionInfo:
    """Begin a session. Where its owner has too many, the one seen longest ago ends; of tokens none does: raises Conflict."""
    made = SessionInfo(digest(token), secrets.token_hex(8), principal_id, kind, name, digest(csrf) if csrf else None,
                       now_ms, now_ms, expires_ms, address, agent)
    with transaction():
        owned = (Session.principal_id == principal_id) & (Session.kind == kind)
        surplus: Any = Session.select(Session.id).where(owned).order_by(Session.seen_ms.desc()).offset(MOST_SESSIONS - 1).tuples()
        gone = [row[0] for row in surplus.limit(MOST_SESSIONS)]
        if gone and kind == BEARER:
            raise Conflict(f"There are {MOST_SESSIONS} tokens already. Revoke one first.")
        if gone:
            Session.delete().where(Session.id.in_(gone)).execute()
        Session.insert(**made._asdict()).execute()
    return made


def present(token: str) -> Presented | None:
    """Find the session of a token; whether it has expired is for the caller to say (``is_alive``)."""
    row = _find(connection(), id=digest(token)).fetchone()
    if row is None:
        return None
    width = len(_COLUMNS)
    is_active, tenant_id, status, must_change, totp_since_ms = row[width:]
    usable = bool(is_active) and (tenant_id == INSTALLATION or status == TENANT_ACTIVE)
    return Presented(_info(row[:width]), usable, bool(must_change), totp_since_ms is not None)


def _info(row: Any) -> SessionInfo:
    one = SessionInfo(*row)
    return one._replace(id=bytes(one.id), csrf=bytes(one.csrf) if one.csrf is not None else None)


def is_alive(session: SessionInfo, now_ms: int, idle_ms: int, longest_ms: int) -> bool:
    """Whether a session has not expired: by its end, and for cookies by ``idle_ms`` without a request and ``longest_ms`` in all.

    Limits that were lowered bind at once. A clock that went back by less than the idle time ends no session, and prolongs none by more
    than that; if it went back further, nobody can say how long the session lay idle, and it is over.
    """
    if session.kind == BEARER:
        return now_ms < session.expires_ms
    return now_ms < min(session.expires_ms, session.created_ms + longest_ms) and abs(now_ms - session.seen_ms) < idle_ms


def touch(session: SessionInfo, now_ms: int, idle_ms: int) -> None:
    """Note that a session was used: not each time, so that it may end up to a twentieth of the idle time (a minute) early."""
    if abs(now_ms - session.seen_ms) >= min(TOUCH_MOST_MS, idle_ms // 20):
        with transaction():
            Session.update(seen_ms=now_ms).where(Session.id == session.id).execute()


def revoke(principal_id: int | None, public_id: str) -> SessionInfo | None:
    """End one session (of this principal, where one is named) and return it; None when there is no such."""
    with transaction():
        wanted = Session.public_id == public_id
        if principal_id is not None:
            wanted &= Session.principal_id == principal_id
        row = Session.select(*_COLUMNS).where(wanted).tuples().first()
        if row is not None:
            Session.delete().where(Session.id == _info(row).id).execute()
        return _info(row) if row else None


def end(session_id: bytes) -> None:
    """End the session with this digest, if there is one."""
    with transaction():
        Session.delete().where(Session.id == session_id).execute()


def revoke_all(principal_id: int, *, but: bytes | None = None, kind: str | None = None) -> int:
    """End the sessions and tokens (or one ``kind``) of a principal, and sign-ins that wait for a code; returns how many sessions.

    Call it in the transaction that disables somebody or takes away what they signed in with.
    """
    with transaction():
        wanted = Session.principal_id == principal_id
        if but is not None:
            wanted &= Session.id != but
        if kind is not None:
            wanted &= Session.kind == kind
        Challenge.delete().where(Challenge.principal_id == principal_id).execute()
        return int(Session.delete().where(wanted).execute())


def find(public_id: str) -> SessionInfo | None:
    """Find a session by its name in lists."""
    row = Session.select(*_COLUMNS).where(Session.public_id == public_id).tuples().first()
    return _info(row) if row else None


def page(now_ms: int, after: str, limit: int, *, principal_id: int | None = None, tenant_id: int | None = None) -> list[SessionInfo]:
    """Sessions that have not reached their end, by public id from behind ``after``: all, a principal's or a tenant's."""
    query = Session.select(*_COLUMNS).where((Session.public_id > after) & (Session.expires_ms > now_ms))
    if principal_id is not None:
        query = query.where(Session.principal_id == principal_id)
    if tenant_id is not None:
        query = query.where(Session.principal_id.in_(Principal.select(_principal_id).where(Principal.tenant_id == tenant_id)))
    return [_info(row) for row in query.order_by(Session.public_id).limit(limit).tuples()]


# ---- challenges -------------------------------------------------------------------------------------------------------------------


def challenge(token: str, principal_id: int, now_ms: int) -> None:
    """Remember that somebody's password was right and a code is awaited."""
    with transaction():
        Challenge.insert(id=digest(token), principal_id=principal_id, expires_ms=now_ms + CHALLENGE_MS).execute()


def try_challenge(token: str, now_ms: int) -> tuple[int, int] | None:
    """Use one of a challenge's attempts: whose it is, and when its password step was; None when it has expired or has none left."""
    with transaction() as conn:
        row = _try(conn, id=digest(token), now=now_ms, latest=now_ms + CHALLENGE_MS).fetchone()
        return (row[0], row[1] - CHALLENGE_MS) if row else None


def finish_challenge(token: str) -> bool:
    """Use a challenge up; False when somebody was faster, or its owner's password changed."""
    with transaction():
        return bool(Challenge.delete().where(Challenge.id == digest(token)).execute())


def prune(now_ms: int) -> None:
    """Remove sessions and challenges that are over."""
    with transaction():
        Session.delete().where(Session.expires_ms <= now_ms).execute()
        Challenge.delete().where(Challenge.expires_ms <= now_ms).execute()
