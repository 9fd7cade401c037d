"""Policies attached by name: to users, groups and roles, which they empower, and to access keys, which they narrow.

A name is looked up among the built-in policies, in the tenant of the target, then in the installation. So a tenant has no policy of its
own under a name of the installation's (policies.py refuses it): it would take the place of what somebody above it attached.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from shared.errors import NotFound, PreconditionFailed
from shared.meta.administrators import identity_change
from shared.meta.identity_models import Attachment, Membership, Policy, Role, UserGroup
from shared.meta.models import INSTALLATION, AccessKey, Principal
from shared.meta.revisions import revise

Kind = Literal["user", "group", "role", "key"]
MOST_IDS = 10_000       # in one query: PostgreSQL takes 65,535 parameters, SQLite 32,766
_MODELS: dict[str, Any] = {"user": Principal, "group": UserGroup, "role": Role}


class Target(NamedTuple):
    """Something a policy is attached to. ``name`` is a key's id, when it has no name of its own."""

    kind: str
    id: str
    name: str
    tenant_id: int


def of(kind: Kind, target_id: int | str) -> list[str]:
    """The names of the policies attached to a target, in order."""
    rows: Any = Attachment.select(Attachment.policy).where(_is(kind, target_id)).order_by(Attachment.policy).tuples()
    return [name for (name,) in rows]


def of_many(kind: Kind, target_ids: Collection[int | str]) -> dict[str, list[str]]:
    """The names of the policies attached to several targets, by id as text; those without any are left out."""
    ids = [str(target_id) for target_id in target_ids]
    query: Any = Attachment.select(Attachment.target_id, Attachment.policy).order_by(Attachment.policy)
    found: dict[str, list[str]] = {}
    for target_id, name in query.where((Attachment.target_kind == kind) & Attachment.target_id.in_(ids)).tuples():
        found.setdefault(target_id, []).append(name)
    return found


def held_by(principal_id: int) -> set[str]:
    """The names of all policies that a user has, also through groups."""
    groups: Any = Membership.select(Membership.group_id).where(Membership.principal_id == principal_id).tuples()
    ids = [str(group_id) for (group_id,) in groups]
    through = (Attachment.target_kind == "group") & Attachment.target_id.in_(ids)
    rows: Any = Attachment.select(Attachment.policy).where(_is("user", principal_id) | through).tuples()
    return {name for (name,) in rows}


def _is(kind: str, target_id: int | str) -> Any:
    return (Attachment.target_kind == kind) & (Attachment.target_id == str(target_id))


def replace(
    kind: Kind, target_id: int | str, names: Collection[str], builtin: Collection[str], *, expected: int | None = None,
    by_root: bool = False,
) -> None:
    """Attach exactly these policies; the revision of a user, group or role grows. ``builtin`` are the names that need no row.

    Raises NotFound for a target that is gone or a policy that is not there, PreconditionFailed, LastAdministrator.
    """
    with identity_change(by_root=by_root):
        tenant_id = _touch(kind, target_id, expected)
        there = set(of(kind, target_id))
        for name in set(names) - there:
            _check_policy(name, tenant_id, builtin)
            Attachment.insert(target_kind=kind, target_id=str(target_id), policy=name).execute()
        Attachment.delete().where(_is(kind, target_id) & Attachment.policy.in_(list(there - set(names)))).execute()


def attach(kind: Kind, target_id: int | str, name: str, builtin: Collection[str], *, expected: int | None = None) -> None:
    """Attach one policy more; twice is fine. Raises NotFound and PreconditionFailed as ``replace`` does."""
    with identity_change():
        tenant_id = _touch(kind, target_id, expected)
        _check_policy(name, tenant_id, builtin)
        Attachment.insert(target_kind=kind, target_id=str(target_id), policy=name).on_conflict_ignore().execute()


def detach(kind: Kind, target_id: int | str, name: str, *, expected: int | None = None, by_root: bool = False) -> None:
    """Take one policy away. Raises NotFound when it is not attached, PreconditionFailed, LastAdministrator."""
    with identity_change(by_root=by_root):
        _touch(kind, target_id, expected)
        if not Attachment.delete().where(_is(kind, target_id) & (Attachment.policy == name)).execute():
            raise NotFound


def forget(kind: Kind, target_ids: Collection[int | str]) -> None:
    """Take all policies away from targets that are being deleted, in the caller's transaction."""
    ids = [str(target_id) for target_id in target_ids]
    Attachment.delete().where((Attachment.target_kind == kind) & Attachment.target_id.in_(ids)).execute()


def _touch(kind: Kind, target_id: int | str, expected: int | None) -> int:
    """Let the target's revision grow, where it has one, and return its tenant. Raises NotFound, PreconditionFailed."""
    if kind == "key":
        if expected is not None:
            raise PreconditionFailed("Access keys have no ETag.")
        query = AccessKey.select(Principal.tenant_id).join(Principal, on=(Principal.id == AccessKey.principal_id))
        row = query.where(AccessKey.id == target_id).tuples().first()
    else:
        model = _MODELS[kind]
        revise(model, int(target_id), expected)
        row = model.select(model.tenant_id).where(model.id == target_id).tuples().first()
    if row is None:
        raise NotFound
    return int(row[0])


def _check_policy(name: str, tenant_id: int, builtin: Collection[str]) -> None:
    if name in builtin:
        return
    places = Policy.tenant_id.in_([tenant_id, INSTALLATION])
    if not Policy.select(Policy.name).where((Policy.name == name) & places).tuples().first():
        raise NotFound(no_policy(name))


def no_policy(name: str) -> str:
    """What is said of a policy that is not there, or not for the caller."""
    return f"There is no policy {name}."


def users_of(name: str, tenant_id: int | None) -> list[Target]:
    """Everything in a tenant that a policy of that name is attached to; in all tenants for None."""
    rows: Any = Attachment.select(Attachment.target_kind, Attachment.target_id).where(Attachment.policy == name).tuples()
    ids: dict[str, list[str]] = {}
    for kind, target_id in rows:
        ids.setdefault(kind, []).append(target_id)
    parts = [(kind, ids[kind][start:start + MOST_IDS]) for kind in sorted(ids) for start in range(0, len(ids[kind]), MOST_IDS)]
    found = [target for kind, part in parts for target in _targets(kind, part)]
    return [target for target in found if tenant_id is None or target.tenant_id == tenant_id]


def _targets(kind: str, ids: list[str]) -> list[Target]:
    """Look up what ids of one kind stand for."""
    if kind == "key":
        query = AccessKey.select(AccessKey.id, AccessKey.name, Principal.tenant_id)
        query = query.join(Principal, on=(Principal.id == AccessKey.principal_id)).where(AccessKey.id.in_(ids)).order_by(AccessKey.id)
    else:
        model = _MODELS[kind]
        query = model.select(model.id, model.name, model.tenant_id).where(model.id.in_([int(one) for one in ids])).order_by(model.id)
    return [Target(kind, str(id_), name or str(id_), tenant_id) for id_, name, tenant_id in query.tuples()]
