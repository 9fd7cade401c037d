"""Access keys of users. Secrets come sealed; no secret leaves this module (people.access_key reads them, for signatures)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.clock import now_ms
from shared.errors import AlreadyExists, Conflict, NotFound
from shared.meta import attachments, tenants
from shared.meta.administrators import identity_change
from shared.meta.identity_models import Attachment
from shared.meta.models import AccessKey, Principal


class KeyRow(NamedTuple):
    """An access key without its secret. ``scope`` is JSON (shared/auth/scopes.py) or None; ``tenant_id`` is its user's."""

    id: str
    user_id: int
    tenant_id: int
    name: str
    is_active: bool
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None
    scope: str | None

    def is_alive(self, moment_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_ms is None or self.expires_ms > moment_ms


_COLUMNS = (
    AccessKey.id, AccessKey.principal_id, Principal.tenant_id, AccessKey.name, AccessKey.is_active, AccessKey.created_ms,
    AccessKey.expires_ms, AccessKey.last_used_ms, AccessKey.scope,
)


def _select() -> Any:
    return AccessKey.select(*_COLUMNS).join(Principal, on=(Principal.id == AccessKey.principal_id))


def _row(row: Any) -> KeyRow:
    return KeyRow(*row)._replace(is_active=bool(row[4]))


def find(key_id: str) -> KeyRow | None:
    """Find an access key. NUL, which PostgreSQL's text cannot hold, is in none."""
    row = None if "\0" in key_id else _select().where(AccessKey.id == key_id).tuples().first()
    return _row(row) if row else None


def page(after: str, limit: int, *, user_id: int | None = None, tenant_id: int | None = None) -> list[KeyRow]:
    """Access keys in order of id from behind ``after``: all, those of a user, those of a tenant's users."""
    query = _select().where(AccessKey.id > after)
    if user_id is not None:
        query = query.where(AccessKey.principal_id == user_id)
    if tenant_id is not None:
        query = query.where(Principal.tenant_id == tenant_id)
    return [_row(row) for row in query.order_by(AccessKey.id).limit(limit).tuples()]


def create(
    user_id: int, key_id: str, sealed_secret: bytes, *, name: str = "", expires_ms: int | None = None, scope: str | None = None,
) -> KeyRow:
    """Give a user an access key. Raises NotFound for no such user, AlreadyExists, QuotaExceeded (the tenant's max_keys)."""
    with identity_change():
        tenants.admit_key(_tenant_of(user_id))
        return _insert(user_id, key_id, sealed_secret, name=name, expires_ms=expires_ms, scope=scope)


def _tenant_of(user_id: int) -> int:
    row = Principal.select(Principal.tenant_id).where(Principal.id == user_id).tuples().first()
    if row is None:
        raise NotFound
    return int(row[0])


def _insert(user_id: int, key_id: str, sealed_secret: bytes, *, name: str, expires_ms: int | None, scope: str | None) -> KeyRow:
    if find(key_id) is not None:
        raise AlreadyExists("There is an access key of that id already.", access_key="taken")
    AccessKey.insert(
        id=key_id, principal_id=user_id, sealed_secret=sealed_secret, created_ms=now_ms(), name=name, expires_ms=expires_ms, scope=scope,
    ).execute()
    made = find(key_id)
    assert made is not None
    return made


def change(key_id: str, values: Mapping[str, Any]) -> KeyRow:
    """Change ``name``, ``is_active``, ``expires_ms`` or ``scope``; it binds at the next request.

    Raises NotFound; QuotaExceeded when an expired key is to live on and the tenant has as many as it may.
    """
    with identity_change():
        there = find(key_id)
        if there is None:
            raise NotFound
        now = now_ms()
        if not there.is_alive(now) and there._replace(**values).is_alive(now):
            tenants.admit_key(there.tenant_id)
        if values:
            AccessKey.update(**values).where(AccessKey.id == key_id).execute()
        changed = find(key_id)
    assert changed is not None
    return changed


def rotate(key_id: str, successor_id: str, sealed_secret: bytes, overlap_ms: int) -> KeyRow:
    """Make a successor with the same name, scope, policies and length of life; the old key expires after ``overlap_ms`` at the latest.

    Within the overlap a tenant may have one key more than its limit. Returns the successor. Raises NotFound, AlreadyExists,
    QuotaExceeded, Conflict for a key that is switched off or has expired.
    """
    with identity_change():
        old = find(key_id)
        if old is None:
            raise NotFound
        now = now_ms()
        if not old.is_active or not old.is_alive(now):
            raise Conflict("The key is switched off or has expired: make a new one instead.")
        tenants.admit_key(old.tenant_id, beyond=1)
        expires_ms = None if old.expires_ms is None else now + old.expires_ms - old.created_ms
        made = _insert(old.user_id, successor_id, sealed_secret, name=old.name, expires_ms=expires_ms, scope=old.scope)
        for policy in attachments.of("key", key_id):
            Attachment.insert(target_kind="key", target_id=successor_id, policy=policy).execute()
        ends_ms = min(now + overlap_ms, old.expires_ms if old.expires_ms is not None else now + overlap_ms)
        AccessKey.update(expires_ms=ends_ms).where(AccessKey.id == key_id).execute()
    return made


def delete(key_id: str) -> None:
    """Remove an access key; requests signed with it are refused from the next one on. Raises NotFound."""
    with identity_change():
        attachments.forget("key", [key_id])
        if not AccessKey.delete().where(AccessKey.id == key_id).execute():
            raise NotFound
