"""Tenants: who shares the installation, with which limits. What they use is counted by quotas.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from peewee import fn

from shared.accounts import is_number
from shared.clock import now_ms
from shared.errors import AlreadyExists, Conflict, NotFound, QuotaExceeded
from shared.meta.buckets import bump
from shared.meta.database import transaction
from shared.meta.identity_models import TENANT_ACTIVE, TENANT_DELETING, Attachment, Policy, Role, Tenant, UserGroup
from shared.meta.models import INSTALLATION, AccessKey, Bucket, Principal
from shared.meta.revisions import expect, revise


class TenantRow(NamedTuple):
    """A tenant. ``status`` is one of identity_models.TENANT_*; a limit of 0 is no limit; ``bytes`` and ``objects`` are in use."""

    id: int
    name: str
    display_name: str
    description: str
    status: int
    max_bytes: int
    max_objects: int
    max_buckets: int
    max_users: int
    max_keys: int
    bytes: int
    objects: int
    created_ms: int
    revision: int


class Holdings(NamedTuple):
    """How many buckets, users and access keys that have not expired belong to a tenant."""

    buckets: int
    users: int
    keys: int


_id: Any = Tenant._meta.primary_key     # Tenant.id: peewee adds it unseen by type checkers
_COLUMNS = tuple(getattr(Tenant, name) for name in TenantRow._fields)


def find(tenant_id: int) -> TenantRow | None:
    """Find a tenant by id."""
    return _first(Tenant.select(*_COLUMNS).where(_id == tenant_id))


def by_name(name: str) -> TenantRow | None:
    """Find a tenant by name."""
    return _first(Tenant.select(*_COLUMNS).where(Tenant.name == name))


def _first(query: Any) -> TenantRow | None:
    row = query.tuples().first()
    return TenantRow(*row) if row else None


def page(after: int, limit: int, *, only: int | None = None, name: str | None = None) -> list[TenantRow]:
    """Tenants in order of id from behind ``after``: all, the one with id ``only``, or the one of that ``name``."""
    query = Tenant.select(*_COLUMNS).where(_id > after)
    if only is not None:
        query = query.where(_id == only)
    if name is not None:
        query = query.where(Tenant.name == name)
    return [TenantRow(*row) for row in query.order_by(_id).limit(limit).tuples()]


def create(name: str, values: Mapping[str, Any] | None = None) -> TenantRow:
    """Create a tenant; ``values`` are further columns. Raises AlreadyExists, Conflict for a name that looks like an account's number."""
    if is_number(name):
        raise Conflict("A name of 12 digits is taken for the number of an account.", name="12 digits")
    with transaction() as conn:
        new_id = bump(conn)
        if by_name(name) is not None:
            raise AlreadyExists(f"There is a tenant {name} already.", name="taken")
        Tenant.insert(id=new_id, name=name, created_ms=now_ms(), **(values or {})).execute()
        made = find(new_id)
    assert made is not None
    return made


def change(tenant_id: int, values: Mapping[str, Any], expected: int | None = None) -> TenantRow:
    """Change columns of a tenant; its name stays, because ARNs name it.

    Raises NotFound, PreconditionFailed (a stale revision), Conflict while it is being deleted: what is left of it must not come to life.
    """
    with transaction() as conn:
        bump(conn)
        there = find(tenant_id)
        if there is not None and there.status == TENANT_DELETING and values.get("status") != TENANT_DELETING:
            raise Conflict("The tenant is being deleted.")
        revise(Tenant, tenant_id, expected, **values)
        changed = find(tenant_id)
    assert changed is not None
    return changed


def holdings(tenant_id: int) -> Holdings:
    """Count what belongs to a tenant. Expired keys do nothing any more and do not count."""
    return holdings_of([tenant_id])[tenant_id]


def holdings_of(tenant_ids: Collection[int]) -> dict[int, Holdings]:
    """Count what belongs to several tenants, by id."""
    ids = list(tenant_ids)
    alive = AccessKey.expires_ms.is_null() | (AccessKey.expires_ms > now_ms())
    keys = Principal.select(Principal.tenant_id, fn.COUNT(AccessKey.id)).join(AccessKey, on=(AccessKey.principal_id == Principal.id))
    counts = [
        dict(query.where(query.model.tenant_id.in_(ids)).group_by(query.model.tenant_id).tuples())
        for query in (
            Bucket.select(Bucket.tenant_id, fn.COUNT(Bucket.id)), Principal.select(Principal.tenant_id, fn.COUNT(Principal.id)),
            keys.where(alive),
        )
    ]
    return {tenant_id: Holdings(*(count.get(tenant_id, 0) for count in counts)) for tenant_id in ids}


def admit_user(tenant_id: int) -> None:
    """Check that a tenant may have one user more, in the transaction that makes it. Raises NotFound, QuotaExceeded."""
    if tenant_id == INSTALLATION:
        return
    tenant = _living(tenant_id)
    if tenant.max_users and holdings(tenant_id).users >= tenant.max_users:
        raise QuotaExceeded(f"The tenant {tenant.name} may have {tenant.max_users} users.", max_users=tenant.max_users)


def admit_key(tenant_id: int, *, beyond: int = 0) -> None:
    """Check that a tenant may have one access key more, in the transaction that makes it; rotation may go ``beyond`` by one.

    Raises NotFound, QuotaExceeded.
    """
    if tenant_id == INSTALLATION:
        return
    tenant = _living(tenant_id)
    if tenant.max_keys and holdings(tenant_id).keys >= tenant.max_keys + beyond:
        raise QuotaExceeded(f"The tenant {tenant.name} may have {tenant.max_keys} access keys.", max_keys=tenant.max_keys)


def _living(tenant_id: int) -> TenantRow:
    """A tenant that is not being deleted. Raises NotFound."""
    tenant = find(tenant_id)
    if tenant is None or tenant.status == TENANT_DELETING:
        raise NotFound
    return tenant


def begin_deletion(tenant_id: int, expected: int | None = None) -> TenantRow:
    """Mark a tenant as being deleted: nobody of it signs in any more, nothing new is made in it. Twice is fine. Raises as ``change``."""
    return change(tenant_id, {"status": TENANT_DELETING}, expected)


def delete(tenant_id: int, expected: int | None = None) -> None:
    """Remove a tenant with its groups, roles and policies. Raises Conflict while it has buckets or users, NotFound, PreconditionFailed."""
    with transaction() as conn:
        bump(conn)
        expect(Tenant, tenant_id, expected)
        held = holdings(tenant_id)
        if held.buckets or held.users:
            raise Conflict("The tenant still has buckets or users.", buckets=held.buckets, users=held.users)
        for model, kind in ((UserGroup, "group"), (Role, "role")):
            ids = [str(row[0]) for row in model.select(model._meta.primary_key).where(model.tenant_id == tenant_id).tuples()]
            Attachment.delete().where((Attachment.target_kind == kind) & Attachment.target_id.in_(ids)).execute()
            model.delete().where(model.tenant_id == tenant_id).execute()
        Policy.delete().where(Policy.tenant_id == tenant_id).execute()
        Tenant.delete().where(_id == tenant_id).execute()


def is_usable(tenant_id: int) -> bool:
    """Whether people of a tenant may do anything: it is there and active. The installation always is."""
    tenant = None if tenant_id == INSTALLATION else find(tenant_id)
    return tenant_id == INSTALLATION or (tenant is not None and tenant.status == TENANT_ACTIVE)
