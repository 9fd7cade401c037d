"""Identity policies: named documents. What is in them is none of this module's business; the built-in ones are code and have no row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.clock import now_ms
from shared.errors import AlreadyExists, Conflict, NotFound
from shared.meta import attachments, tenants
from shared.meta.administrators import identity_change
from shared.meta.attachments import Target
from shared.meta.buckets import bump
from shared.meta.database import connection
from shared.meta.identity_models import Policy
from shared.meta.models import INSTALLATION
from shared.meta.revisions import expect, revise


class PolicyRow(NamedTuple):
    """A policy. ``document`` is the JSON text as it was given."""

    id: int
    tenant_id: int
    name: str
    description: str
    document: str
    created_ms: int
    revision: int


_id: Any = Policy._meta.primary_key     # Policy.id: peewee adds it unseen by type checkers
_COLUMNS = tuple(getattr(Policy, name) for name in PolicyRow._fields)


def find(tenant_id: int, name: str) -> PolicyRow | None:
    """Find a policy by name among those of one tenant, or of the installation."""
    row = Policy.select(*_COLUMNS).where((Policy.tenant_id == tenant_id) & (Policy.name == name)).tuples().first()
    return PolicyRow(*row) if row else None


def resolve(tenant_id: int, name: str) -> PolicyRow | None:
    """The policy that a name stands for in a tenant: its own, else the installation's."""
    return find(tenant_id, name) or (find(INSTALLATION, name) if tenant_id != INSTALLATION else None)


def page(after: int, limit: int, *, tenant_id: int | None = None) -> list[PolicyRow]:
    """Policies in order of id from behind ``after``: all, or those of a tenant."""
    query = Policy.select(*_COLUMNS).where(_id > after)
    if tenant_id is not None:
        query = query.where(Policy.tenant_id == tenant_id)
    return [PolicyRow(*row) for row in query.order_by(_id).limit(limit).tuples()]


def create(tenant_id: int, name: str, document: str, description: str = "") -> PolicyRow:
    """Create a policy. Raises AlreadyExists; NotFound for a tenant not there.

    No name is both a tenant's and the installation's: what is attached by name would be another policy in that tenant than elsewhere.
    """
    with identity_change():
        if tenant_id != INSTALLATION and tenants.find(tenant_id) is None:
            raise NotFound
        if resolve(tenant_id, name) is not None:
            raise AlreadyExists(f"There is a policy {name} already.", name="taken")
        if tenant_id == INSTALLATION and Policy.select(_id).where(Policy.name == name).tuples().first():
            raise AlreadyExists(f"A tenant has a policy {name}: it would stay what the name means there.", name="taken")
        row = {"tenant_id": tenant_id, "name": name, "document": document, "description": description, "created_ms": now_ms()}
        Policy.insert(id=bump(connection()), **row).execute()
        made = find(tenant_id, name)
    assert made is not None
    return made


def change(tenant_id: int, name: str, values: Mapping[str, Any], expected: int | None = None) -> PolicyRow:
    """Change ``document`` or ``description``; it binds everywhere at the next request. Raises NotFound, PreconditionFailed."""
    with identity_change():
        there = find(tenant_id, name)
        if there is None:
            raise NotFound
        revise(Policy, there.id, expected, **values)
        changed = find(tenant_id, name)
    assert changed is not None
    return changed


def delete(tenant_id: int, name: str, expected: int | None = None) -> None:
    """Remove a policy. Raises NotFound, PreconditionFailed, Conflict while anything has it."""
    with identity_change():
        there = find(tenant_id, name)
        if there is None:
            raise NotFound
        expect(Policy, there.id, expected)
        if used := used_by(there):
            fields = {f"{target.kind}/{target.id}": f"{target.kind} {target.name} has it" for target in used[:50]}
            raise Conflict(f"The policy {name} is attached to {len(used)}: detach it first.", **fields)
        Policy.delete().where(_id == there.id).execute()


def used_by(policy: PolicyRow) -> list[Target]:
    """Everything that has this policy; one of the installation's reaches all tenants, which have none of that name."""
    return attachments.users_of(policy.name, None if policy.tenant_id == INSTALLATION else policy.tenant_id)
