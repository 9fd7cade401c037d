"""Principals, their access keys and the policies they have. Secrets come and go sealed: this module never sees one in clear."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from shared.clock import now_ms
from shared.meta import sessions
from shared.meta.buckets import bump
from shared.meta.database import transaction
from shared.meta.identity_models import Attachment, Membership, Policy, UserGroup
from shared.meta.models import INSTALLATION, AccessKey, Principal

ROOT = "root"


class PrincipalInfo(NamedTuple):
    """Somebody. S3 replies show ``canonical_id`` and ``shown_name`` as owner. ``tenant_id`` INSTALLATION is no tenant: global."""

    id: int
    canonical_id: str
    name: str
    is_root: bool
    tenant_id: int = INSTALLATION
    is_active: bool = True
    display_name: str = ""
    email: str | None = None
    tags: str | None = None

    @property
    def shown_name(self) -> str:
        """The name for people."""
        return self.display_name or self.name


class KeyInfo(NamedTuple):
    """An access key with its sealed secret. ``scope`` is JSON of shared/auth/scopes.py, None for a key that is not narrowed."""

    id: str
    principal_id: int
    sealed_secret: bytes
    is_active: bool
    expires_ms: int | None = None
    scope: str | None = None


class AttachedPolicy(NamedTuple):
    """A policy that somebody has. ``document`` is its JSON text; None when there is no row of that name: it is built in, or gone."""

    name: str
    document: str | None


_PRINCIPAL = tuple(getattr(Principal, name) for name in PrincipalInfo._fields)
_group_id: Any = UserGroup._meta.primary_key    # UserGroup.id: peewee adds it unseen by type checkers


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
    return PrincipalInfo(row[0], row[1], row[2], bool(row[3]), row[4], bool(row[5]), *row[6:]) if row else None


def create_root() -> PrincipalInfo:
    """Create the root principal, or return the one there is."""
    with transaction() as conn:
        if (found := root()) is not None:
            return found
        Principal.insert(id=bump(conn), canonical_id=secrets.token_hex(32), name=ROOT, is_root=True, created_ms=now_ms()).execute()
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


_KEY = (
    AccessKey.id, AccessKey.principal_id, AccessKey.sealed_secret, AccessKey.is_active, AccessKey.expires_ms, AccessKey.scope,
)


def _key(query: Any) -> KeyInfo | None:
    row = query.tuples().first()
    return KeyInfo(row[0], row[1], bytes(row[2]), bool(row[3]), row[4], row[5]) if row else None


def replace_key(principal_id: int, access_key_id: str, sealed_secret: bytes) -> None:
    """Give a principal this access key and take all others away, in one transaction that every process notices.

    Sessions end: root may have begun them with the old key.
    """
    with transaction() as conn:
        AccessKey.delete().where(AccessKey.principal_id == principal_id).execute()
        AccessKey.insert(
            id=access_key_id, principal_id=principal_id, sealed_secret=sealed_secret, is_active=True, created_ms=now_ms()
        ).execute()
        bump(conn)
        sessions.revoke_all(principal_id)


def note_use(used: Mapping[str, int], apart_ms: int) -> None:
    """Write when access keys were used last (id → UTC ms); a key whose row says something less than ``apart_ms`` older is left alone.

    Moves no change counter: nothing that a request depends on has changed.
    """
    with transaction():
        for key_id, used_ms in sorted(used.items()):
            stale = AccessKey.last_used_ms.is_null() | (AccessKey.last_used_ms <= used_ms - apart_ms)
            AccessKey.update(last_used_ms=used_ms).where((AccessKey.id == key_id) & stale).execute()


# ---- policies -----------------------------------------------------------------------------------------------------------------------


def policies_of(who: PrincipalInfo) -> list[AttachedPolicy]:
    """The policies of a user and of the groups they are in, in order of name."""
    groups: Any = UserGroup.select(_group_id, UserGroup.tenant_id).join(Membership, on=(Membership.group_id == _group_id))
    rows = groups.where(Membership.principal_id == who.id).tuples()
    return _attached({("user", str(who.id)): who.tenant_id} | {("group", str(group)): tenant_id for group, tenant_id in rows})


def policies_of_key(key_id: str, tenant_id: int) -> list[AttachedPolicy]:
    """The policies that narrow an access key, in order of name; ``tenant_id`` is that of its principal."""
    return _attached({("key", key_id): tenant_id})


def _attached(targets: dict[tuple[str, str], int]) -> list[AttachedPolicy]:
    """What is attached to targets (kind, id) → tenant. A tenant's own policy stands before the installation's of the same name."""
    ids = [target_id for _, target_id in targets]
    rows: Any = Attachment.select(Attachment.target_kind, Attachment.target_id, Attachment.policy).where(Attachment.target_id.in_(ids))
    wanted = {(targets[kind, target_id], name) for kind, target_id, name in rows.tuples() if (kind, target_id) in targets}
    texts = _texts({name for _, name in wanted}, {INSTALLATION, *targets.values()}) if wanted else {}
    found = (AttachedPolicy(name, texts.get((tenant_id, name), texts.get((INSTALLATION, name)))) for tenant_id, name in wanted)
    return sorted(set(found), key=lambda one: (one.name, one.document or ""))


def _texts(names: Iterable[str], places: Iterable[int]) -> dict[tuple[int, str], str]:
    query: Any = Policy.select(Policy.tenant_id, Policy.name, Policy.document)
    rows = query.where(Policy.name.in_(list(names)) & Policy.tenant_id.in_(list(places))).tuples()
    return {(tenant_id, name): document for tenant_id, name, document in rows}
