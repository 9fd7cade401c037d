"""The key ring as the database has it: keys by name, and their versions, sealed. Nothing here can open one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from peewee import fn

from shared.clock import now_ms
from shared.errors import AlreadyExists, NotFound
from shared.meta.buckets import bump
from shared.meta.database import repeated, transaction
from shared.meta.key_models import EncryptionKey, EncryptionKeyVersion
from shared.meta.models import INSTALLATION

SSE_S3 = ""     # the name of the key that SSE-S3 uses


class KeyRow(NamedTuple):
    """A key and the highest of its versions. ``tenant_id`` is INSTALLATION for one that every bucket may name."""

    id: str
    tenant_id: int
    description: str
    is_enabled: bool
    created_ms: int
    version: int


class SealedVersion(NamedTuple):
    """A version of a key, sealed with the master key."""

    key_id: str
    version: int
    sealed: bytes
    created_ms: int


Seal = Callable[[int], bytes]       # a new key for this version number, sealed

_newest = EncryptionKeyVersion.select(fn.MAX(EncryptionKeyVersion.version)).where(EncryptionKeyVersion.key_id == EncryptionKey.id)
_COLUMNS = (
    EncryptionKey.id, EncryptionKey.tenant_id, EncryptionKey.description, EncryptionKey.is_enabled, EncryptionKey.created_ms, _newest,
)


def find(key_id: str) -> KeyRow | None:
    """Find a key by name."""
    if "\0" in key_id:      # PostgreSQL's text cannot hold it
        return None
    row = EncryptionKey.select(*_COLUMNS).where(EncryptionKey.id == key_id).tuples().first()
    return _key(row) if row else None


def page(after: str, limit: int, tenant_id: int | None = None) -> list[KeyRow]:
    """Keys in order of their names, from behind ``after``, without the one of SSE-S3; of one tenant, or all."""
    query = EncryptionKey.select(*_COLUMNS).where((EncryptionKey.id > after) & (EncryptionKey.id != SSE_S3))
    if tenant_id is not None:
        query = query.where(EncryptionKey.tenant_id == tenant_id)
    return [_key(row) for row in query.order_by(EncryptionKey.id).limit(limit).tuples()]


def _key(row: Any) -> KeyRow:
    key_id, tenant_id, description, is_enabled, created_ms, version = row
    # peewee takes the subquery for a text, as the first column is one
    return KeyRow(key_id, tenant_id, description, is_enabled, created_ms, int(version or 0))


def versions(key_id: str | None = None) -> list[SealedVersion]:
    """The versions of a key, or of all keys, oldest first."""
    columns = (EncryptionKeyVersion.key_id, EncryptionKeyVersion.version, EncryptionKeyVersion.sealed, EncryptionKeyVersion.created_ms)
    query = EncryptionKeyVersion.select(*columns).order_by(EncryptionKeyVersion.key_id, EncryptionKeyVersion.version)
    if key_id is not None:
        query = query.where(EncryptionKeyVersion.key_id == key_id)
    return [SealedVersion(name, version, bytes(sealed), created_ms) for name, version, sealed, created_ms in query.tuples()]


def create(key_id: str, seal: Seal, *, tenant_id: int = INSTALLATION, description: str = "") -> None:
    """Add a key with its first version. Raises AlreadyExists."""
    if not _create(key_id, seal(1), tenant_id, description):
        raise AlreadyExists


def ensure(key_id: str, seal: Seal) -> None:
    """Add a key with its first version unless it is there: of two that do so at once, one key stays."""
    _create(key_id, seal(1), INSTALLATION, "")


@repeated
def _create(key_id: str, sealed: bytes, tenant_id: int, description: str) -> bool:
    with transaction() as conn:
        bump(conn)
        at_ms = now_ms()
        row = {"id": key_id, "tenant_id": tenant_id, "description": description, "is_enabled": True, "created_ms": at_ms}
        if not EncryptionKey.insert(row).on_conflict_ignore().as_rowcount().execute():
            return False
        EncryptionKeyVersion.insert(key_id=key_id, version=1, sealed=sealed, created_ms=at_ms).execute()
        return True


@repeated
def rotate(key_id: str, seal: Seal) -> int:
    """Add a version, which wraps from now on; returns its number. ``seal`` is called inside the transaction. Raises NotFound."""
    with transaction() as conn:
        bump(conn)      # one at a time: the row of the counter is locked
        found = find(key_id)
        if found is None:
            raise NotFound
        version = found.version + 1
        EncryptionKeyVersion.insert(key_id=key_id, version=version, sealed=seal(version), created_ms=now_ms()).execute()
        return version


@repeated
def change(key_id: str, **columns: object) -> None:
    """Write ``description`` or ``is_enabled``. Raises NotFound."""
    with transaction() as conn:
        bump(conn)
        if not EncryptionKey.update(**columns).where(EncryptionKey.id == key_id).execute():
            raise NotFound


@repeated
def restore(keys: list[KeyRow], sealed: list[SealedVersion]) -> int:
    """Put back keys and versions that are missing, and leave alone what is there; returns how many versions came back."""
    with transaction() as conn:
        bump(conn)
        for key in keys:
            row = {name: value for name, value in key._asdict().items() if name != "version"}
            EncryptionKey.insert(row).on_conflict_ignore().execute()
        added = 0
        for one in sealed:
            added += EncryptionKeyVersion.insert(one._asdict()).on_conflict_ignore().as_rowcount().execute()
        return added


@repeated
def reseal(sealed: list[SealedVersion]) -> None:
    """Replace how versions are sealed, when the master key is another one."""
    with transaction() as conn:
        bump(conn)
        for one in sealed:
            here = (EncryptionKeyVersion.key_id == one.key_id) & (EncryptionKeyVersion.version == one.version)
            EncryptionKeyVersion.update(sealed=one.sealed).where(here).execute()
