"""Users: making, finding, changing and removing the people and programs that act here.

A user's name and tenant never change: ARNs and policy variables name the one, everything it made belongs to the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from peewee import fn

from shared.clock import now_ms
from shared.errors import AlreadyExists, Conflict, NotFound
from shared.meta import attachments, shares, tenants
from shared.meta.administrators import identity_change
from shared.meta.buckets import bump
from shared.meta.database import connection
from shared.meta.identity_models import Challenge, Login, Membership, Session
from shared.meta.models import INSTALLATION, AccessKey, Principal
from shared.meta.revisions import expect, revise


class UserRow(NamedTuple):
    """A user with all columns. ``email`` is in lower case or None; ``tags`` as shared.protocol.tags dumps them."""

    id: int
    canonical_id: str
    name: str
    is_root: bool
    created_ms: int
    tenant_id: int
    display_name: str
    email: str | None
    is_active: bool
    tags: str | None
    revision: int


_COLUMNS = tuple(getattr(Principal, name) for name in UserRow._fields)


def find(user_id: int) -> UserRow | None:
    """Find a user by id."""
    return _first(Principal.id == user_id)


def by_name(name: str) -> UserRow | None:
    """Find a user by name."""
    return _first(Principal.name == name)


def _first(condition: Any) -> UserRow | None:
    row = Principal.select(*_COLUMNS).where(condition).tuples().first()
    return _row(row) if row else None


def _row(row: Any) -> UserRow:
    return UserRow(*row)._replace(is_root=bool(row[3]), is_active=bool(row[8]))


def page(after: int, limit: int, *, tenant_id: int | None = None, name: str | None = None, search: str = "") -> list[UserRow]:
    """Users in order of id from behind ``after``: of a tenant, of that very ``name``, with ``search`` in a name or the email."""
    query = Principal.select(*_COLUMNS).where(Principal.id > after)
    if tenant_id is not None:
        query = query.where(Principal.tenant_id == tenant_id)
    if name is not None:
        query = query.where(Principal.name == name)
    if search:
        fields = (Principal.name, Principal.display_name, Principal.email)
        found = [fn.LOWER(field).contains(search.lower()) for field in fields]
        query = query.where(found[0] | found[1] | found[2])
    return [_row(row) for row in query.order_by(Principal.id).limit(limit).tuples()]


def create(
    name: str, tenant_id: int = INSTALLATION, *, canonical_id: str = "", display_name: str = "", email: str | None = None,
    is_active: bool = True, tags: str | None = None,
) -> UserRow:
    """Create a user; a random canonical id unless one is given.

    Raises AlreadyExists (fields ``username``, ``email``, ``canonical_id``), NotFound for a tenant that is not there, QuotaExceeded.
    """
    with identity_change():
        tenants.admit_user(tenant_id)
        canonical_id = canonical_id or secrets.token_hex(32)
        _check_free(name=name, email=email, canonical_id=canonical_id)
        Principal.insert(
            id=bump(connection()), canonical_id=canonical_id, name=name, created_ms=now_ms(), tenant_id=tenant_id,
            display_name=display_name, email=email, is_active=is_active, tags=tags,
        ).execute()
        made = by_name(name)
    assert made is not None
    return made


def _check_free(*, name: str = "", email: str | None = None, canonical_id: str = "", but: int = 0) -> None:
    """People are known by name and address, and root signs in by its access key: none may be another one of somebody else."""
    others = Principal.select(Principal.id).where(Principal.id != but)
    known = (Principal.name == name) | (Principal.email == name.lower()) | fn.EXISTS(AccessKey.select().where(AccessKey.id == name))
    taken = {
        "username": name and others.where(known),
        "email": email and others.where((Principal.email == email) | (fn.LOWER(Principal.name) == email)),
        "canonical_id": canonical_id and others.where(Principal.canonical_id == canonical_id),
    }
    if fields := {field: "taken" for field, query in taken.items() if query and query.tuples().first()}:
        raise AlreadyExists(f"There is a user with that {' and '.join(fields)} already.", **fields)


def change(user_id: int, values: Mapping[str, Any], expected: int | None = None, *, by_root: bool = False) -> UserRow:
    """Change ``display_name``, ``email``, ``tags`` or ``is_active``. Who is switched off is signed out everywhere, and root can't be.

    Raises NotFound, PreconditionFailed (a stale revision), AlreadyExists (the email), Conflict (root), LastAdministrator.
    """
    with identity_change(by_root=by_root):
        user = find(user_id)
        if user is None:
            raise NotFound
        if user.is_root and values.get("is_active") is False:
            raise Conflict("Root cannot be switched off.")
        _check_free(email=values.get("email"), but=user_id)
        revise(Principal, user_id, expected, **values)
        if values.get("is_active") is False:
            _sign_out(user_id)
        changed = find(user_id)
    assert changed is not None
    return changed


def _sign_out(user_id: int) -> None:
    for model in (Session, Challenge):
        model.delete().where(model.principal_id == user_id).execute()


def delete(user_id: int, expected: int | None = None, *, by_root: bool = False) -> None:
    """Remove a user with keys, memberships, attachments, sessions and login. What they stored keeps their id as owner: no id comes again.

    Raises NotFound, PreconditionFailed, Conflict (root), LastAdministrator.
    """
    with identity_change(by_root=by_root):
        expect(Principal, user_id, expected)
        user = find(user_id)
        if user is not None and user.is_root:
            raise Conflict("Root cannot be removed.")
        keys: Any = AccessKey.select(AccessKey.id).where(AccessKey.principal_id == user_id).tuples()
        attachments.forget("key", [key_id for (key_id,) in keys])
        attachments.forget("user", [user_id])
        _sign_out(user_id)
        shares.forget_person(user_id)
        for model in (AccessKey, Membership, Login):
            model.delete().where(model.principal_id == user_id).execute()
        Principal.delete().where(Principal.id == user_id).execute()
