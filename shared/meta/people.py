"""Principals and their access keys. Secrets come and go sealed: this module never sees one in clear."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from shared.clock import now_ms
from shared.meta.buckets import bump
from shared.meta.database import transaction
from shared.meta.models import AccessKey, Principal

ROOT = "root"


class PrincipalInfo(NamedTuple):
    """Somebody. ``canonical_id`` and ``name`` are what S3 replies show as owner."""

    id: int
    canonical_id: str
    name: str
    is_root: bool


class KeyInfo(NamedTuple):
    """An access key with its sealed secret."""

    id: str
    principal_id: int
    sealed_secret: bytes
    is_active: bool


_PRINCIPAL = (Principal.id, Principal.canonical_id, Principal.name, Principal.is_root)


def principal(principal_id: int) -> PrincipalInfo | None:
    """Find a principal by id."""
    return _principal(Principal.select(*_PRINCIPAL).where(Principal.id == principal_id))


def root() -> PrincipalInfo | None:
    """The global administrator of the installation; None before the first start."""
    return _principal(Principal.select(*_PRINCIPAL).where(Principal.is_root == True))  # noqa: E712 - a query, not a comparison


def installation_id() -> str | None:
    """What tells this database from every other: root's canonical id. None before the first start; asks no more of the schema than that."""
    if not Principal.table_exists():
        return None
    row = Principal.select(Principal.canonical_id).where(Principal.is_root == True).tuples().first()  # noqa: E712 - a query
    return row[0] if row else None


def _principal(query: Any) -> PrincipalInfo | None:
    row = query.tuples().first()
    return PrincipalInfo(row[0], row[1], row[2], bool(row[3])) if row else None


def create_root() -> PrincipalInfo:
    """Create the root principal, or return the one there is."""
    with transaction() as conn:
        if (found := root()) is not None:
            return found
        Principal.insert(canonical_id=secrets.token_hex(32), name=ROOT, is_root=True, created_ms=now_ms()).execute()
        bump(conn)
        created = root()
    assert created is not None
    return created


def born_ms() -> int | None:
    """When this database began: root is the first thing made in it. None before that."""
    row = Principal.select(Principal.created_ms).where(Principal.is_root == True).tuples().first()  # noqa: E712 - a query
    return row[0] if row else None


def access_key(access_key_id: str) -> KeyInfo | None:
    """Find an access key. NUL, which PostgreSQL's text cannot hold, is in none."""
    if "\0" in access_key_id:
        return None
    return _key(AccessKey.select(*_KEY).where(AccessKey.id == access_key_id))


def key_of(principal_id: int) -> KeyInfo | None:
    """The newest access key of a principal."""
    return _key(AccessKey.select(*_KEY).where(AccessKey.principal_id == principal_id).order_by(AccessKey.created_ms.desc()))


_KEY = (AccessKey.id, AccessKey.principal_id, AccessKey.sealed_secret, AccessKey.is_active)


def _key(query: Any) -> KeyInfo | None:
    row = query.tuples().first()
    return KeyInfo(row[0], row[1], bytes(row[2]), bool(row[3])) if row else None


def replace_key(principal_id: int, access_key_id: str, sealed_secret: bytes) -> None:
    """Give a principal this access key and take all others away, in one transaction that every process notices."""
    with transaction() as conn:
        AccessKey.delete().where(AccessKey.principal_id == principal_id).execute()
        AccessKey.insert(
            id=access_key_id, principal_id=principal_id, sealed_secret=sealed_secret, is_active=True, created_ms=now_ms()
        ).execute()
        bump(conn)
