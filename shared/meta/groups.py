"""Groups of users who share policies, and roles: named sets of policies that are assumed. Both belong to one tenant, or to none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from peewee import fn

from shared.clock import now_ms
from shared.errors import AlreadyExists, NotFound
from shared.meta import attachments, tenants
from shared.meta.administrators import identity_change
from shared.meta.buckets import bump
from shared.meta.database import connection
from shared.meta.identity_models import Membership, Role, UserGroup
from shared.meta.models import INSTALLATION, Principal
from shared.meta.revisions import expect, revise


class GroupRow(NamedTuple):
    """A group or a role."""

    id: int
    tenant_id: int
    name: str
    description: str
    created_ms: int
    revision: int


class Member(NamedTuple):
    """A user in a group."""

    id: int
    name: str
    display_name: str
    is_active: bool


class Sets:
    """The groups, or the roles: what they have in common."""

    def __init__(self, model: Any, kind: attachments.Kind) -> None:
        self._model, self.kind = model, kind
        self._columns = tuple(getattr(model, name) for name in GroupRow._fields)

    def find(self, set_id: int) -> GroupRow | None:
        """Find one by id."""
        row = self._model.select(*self._columns).where(self._model.id == set_id).tuples().first()
        return GroupRow(*row) if row else None

    def by_name(self, tenant_id: int, name: str) -> GroupRow | None:
        """Find one by name in its tenant."""
        found = self.page(0, 1, tenant_id=tenant_id, name=name)
        return found[0] if found else None

    def page(self, after: int, limit: int, *, tenant_id: int | None = None, name: str | None = None) -> list[GroupRow]:
        """In order of id from behind ``after``: all, those of a tenant, those of a name."""
        query = self._model.select(*self._columns).where(self._model.id > after)
        if tenant_id is not None:
            query = query.where(self._model.tenant_id == tenant_id)
        if name is not None:
            query = query.where(self._model.name == name)
        return [GroupRow(*row) for row in query.order_by(self._model.id).limit(limit).tuples()]

    def create(self, name: str, tenant_id: int = INSTALLATION, description: str = "") -> GroupRow:
        """Create one. Raises AlreadyExists, NotFound for a tenant that is not there."""
        with identity_change():
            _check_tenant(tenant_id)
            self._check_free(tenant_id, name)
            row = {"name": name, "tenant_id": tenant_id, "description": description, "created_ms": now_ms()}
            self._model.insert(id=bump(connection()), **row).execute()
            made = self.by_name(tenant_id, name)
        assert made is not None
        return made

    def _check_free(self, tenant_id: int, name: str) -> None:
        if self.by_name(tenant_id, name) is not None:
            raise AlreadyExists(f"There is a {self.kind} {name} already.", name="taken")

    def change(self, set_id: int, values: Mapping[str, Any], expected: int | None = None) -> GroupRow:
        """Change ``name`` or ``description``. Raises NotFound, PreconditionFailed (a stale revision), AlreadyExists."""
        with identity_change():
            there = self.find(set_id)
            if there is None:
                raise NotFound
            if values.get("name", there.name) != there.name:
                self._check_free(there.tenant_id, values["name"])
            revise(self._model, set_id, expected, **values)
            changed = self.find(set_id)
        assert changed is not None
        return changed

    def delete(self, set_id: int, expected: int | None = None, *, by_root: bool = False) -> None:
        """Remove one with its attachments and members. Raises NotFound, PreconditionFailed, LastAdministrator."""
        with identity_change(by_root=by_root):
            expect(self._model, set_id, expected)
            attachments.forget(self.kind, [set_id])
            if self.kind == "group":
                Membership.delete().where(Membership.group_id == set_id).execute()
            self._model.delete().where(self._model.id == set_id).execute()


groups = Sets(UserGroup, "group")
roles = Sets(Role, "role")


def _check_tenant(tenant_id: int) -> None:
    if tenant_id != INSTALLATION and tenants.find(tenant_id) is None:
        raise NotFound


def members(group_id: int, after: int, limit: int) -> list[Member]:
    """The users of a group in order of id, from behind ``after``."""
    query = Principal.select(Principal.id, Principal.name, Principal.display_name, Principal.is_active)
    query = query.join(Membership, on=(Membership.principal_id == Principal.id)).where(Membership.group_id == group_id)
    query = query.where(Principal.id > after)
    return [Member(row[0], row[1], row[2], bool(row[3])) for row in query.order_by(Principal.id).limit(limit).tuples()]


def sizes(group_ids: Collection[int]) -> dict[int, int]:
    """How many members groups have, by id; groups without any are left out."""
    query = Membership.select(Membership.group_id, fn.COUNT(Membership.principal_id)).where(Membership.group_id.in_(list(group_ids)))
    return dict(query.group_by(Membership.group_id).tuples())


def of_user(user_id: int) -> list[GroupRow]:
    """The groups of a user, in order of name."""
    return of_users([user_id]).get(user_id, [])


def of_users(user_ids: Collection[int]) -> dict[int, list[GroupRow]]:
    """The groups of several users, by id; users in none are left out."""
    columns = tuple(getattr(UserGroup, name) for name in GroupRow._fields)
    query = UserGroup.select(Membership.principal_id, *columns).join(Membership, on=(Membership.group_id == UserGroup.id))
    found: dict[int, list[GroupRow]] = {}
    for user_id, *row in query.where(Membership.principal_id.in_(list(user_ids))).order_by(UserGroup.name).tuples():
        found.setdefault(user_id, []).append(GroupRow(*row))
    return found


def add_member(group_id: int, user_id: int, *, expected: int | None = None) -> None:
    """Put a user into a group of the same tenant; twice is fine. ``expected`` is the group's revision.

    Raises NotFound when either is not there, or of another tenant; PreconditionFailed.
    """
    with identity_change():
        expect(UserGroup, group_id, expected)
        group = groups.find(group_id)
        user = Principal.select(Principal.tenant_id).where(Principal.id == user_id).tuples().first()
        if group is None or user is None or user[0] != group.tenant_id:
            raise NotFound
        if Membership.insert(group_id=group_id, principal_id=user_id).on_conflict_ignore().as_rowcount().execute():
            _touch(group_id, user_id)


def remove_member(group_id: int, user_id: int, *, expected: int | None = None, by_root: bool = False) -> None:
    """Take a user out of a group. Raises NotFound for no member, PreconditionFailed, LastAdministrator."""
    with identity_change(by_root=by_root):
        expect(UserGroup, group_id, expected)
        gone = Membership.delete().where((Membership.group_id == group_id) & (Membership.principal_id == user_id)).execute()
        if not gone:
            raise NotFound
        _touch(group_id, user_id)


def _touch(group_id: int, user_id: int) -> None:
    """Both show the membership, so both have changed."""
    revise(UserGroup, group_id, None)
    revise(Principal, user_id, None)
